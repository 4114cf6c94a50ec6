"""Files of weights that somebody made up: read, or refused in one sentence of the declared kind.

An ncnn model is text and bytes, and is read as such. `.safetensors` and torch's two formats go through a file, as
their libraries want it; a small true one is changed at a few places, since bytes alone hardly get beyond the first.
"""

from __future__ import annotations

import functools
import io
import json
import os
import struct
import tempfile
import zipfile
from pathlib import Path

from target import Choices, Target, one_line

from samovar.weights import ncnn, tensors
from samovar_link.errors import ModelUnavailable

GRAPH = """7767517
5 5
Input data 0 1 data
Convolution conv 1 1 data a 0=1 1=3 5=1 6=9
PReLU slope 1 1 a b 0=1
InnerProduct inner 1 1 b c 0=2 1=1 2=4
Deconvolution up 1 1 c d 0=2 1=2 11=1 6=4
"""
NUMBERS = (
    "0",
    "-1",
    "1",
    "2",
    "9",
    "1e999",
    "-1e999",
    "nan",
    "1e19",
    "65536",
    "4294967296",
    "",
    "x",
    "1,2",
    "-23300",
    "1" * 30,
)
WORDS = tuple(word.encode() for word in ("7767517", "Convolution", "PReLU", "InnerProduct", "Deconvolution", "0=", "6=",
                                         "-23300=", "11=", "1=", "5=", "2=", *NUMBERS) if word)  # fmt: skip


def any_model(data: bytes) -> None:
    """The text up to the first zero byte, then the weights."""
    text, _, weights = data.partition(b"\0")
    try:
        ncnn.read(text.decode("latin-1"), weights)
    except ncnn.DamagedModel as error:
        one_line(str(error))


def any_graph(data: bytes) -> None:
    """The graph above with other words at some places."""
    choices = Choices(data)
    words = GRAPH.split(" ")
    for _ in range(choices.number() % 4 + 1):
        at = choices.number() % len(words)
        key, equals, _ = words[at].partition("=")
        words[at] = f"{key}{equals}{choices.pick(NUMBERS)}" if equals and choices.chance(2) else choices.pick(NUMBERS)
    any_model(" ".join(words).encode() + b"\0" + bytes(4) + choices.rest().ljust(200, b"\0"))


# --- files ------------------------------------------------------------------------------------------------------------


def _path(suffix: str) -> Path:
    folder = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    return folder / f"samovar-fuzz-{os.getpid()}{suffix}"


def _read(suffix: str, content: bytes) -> None:
    path = _path(suffix)
    path.write_bytes(content)
    try:
        for each in tensors.tensors(tensors.read(path)):
            each.double().sum() if not each.is_quantized else each.dequantize()
    except ModelUnavailable as error:
        one_line(str(error))
    finally:
        path.unlink()


@functools.cache
def _true_files() -> tuple[tuple[str, bytes], ...]:
    import torch  # late: who fuzzes something else need not wait for it
    from safetensors.torch import save

    weights = {"conv.weight": torch.arange(8.0).reshape(2, 4), "bias": torch.zeros(3, dtype=torch.float16)}
    files = [(".safetensors", save(weights))]
    for suffix, zipped in ((".pth", True), (".pth", False)):
        buffer = io.BytesIO()
        torch.save({"params": weights, "epoch": 3}, buffer, _use_new_zipfile_serialization=zipped)
        files.append((suffix, buffer.getvalue()))
    return tuple(files)


def any_edit(data: bytes) -> None:
    """A true file, with bytes exchanged, put in or left out. In a `.pth` of today mostly the pickle, which is the part
    that says something."""
    choices = Choices(data)
    suffix, content = choices.pick(_true_files())
    start, length = _telling(suffix, content)
    for _ in range(choices.number() % 6):
        at = choices.number(2) % (length if not choices.chance(8) else len(content) - start) + start
        new = choices.take(choices.number() % 6)
        content = content[:at] + new + content[at + (len(new) if not choices.chance(4) else choices.number() % 16) :]
    _read(suffix, content)


def _telling(suffix: str, content: bytes) -> tuple[int, int]:
    """(start, length) of the part that says what the rest is."""
    if suffix == ".safetensors":
        return 0, 8 + struct.unpack("<Q", content[:8])[0]
    pickle = content.find(b"\x80\x02")
    return pickle, 400


def any_header(data: bytes) -> None:
    """A `.safetensors` of which the header is made up."""
    choices = Choices(data)
    odd = (
        0,
        -1,
        1,
        4,
        1 << 40,
        1 << 63,
        1 << 64,
        1e308,
        None,
        "",
        [],
        {},
        [1 << 63, 1 << 63],
        [0, 4],
        [4, 0],
        [0],
        [0, 0],
    )
    header: dict[str, object] = {}
    for _ in range(choices.number() % 3):
        header[choices.pick(("w", "", "a\nb", "__metadata__", "w" * 300))] = {
            "dtype": choices.pick(("F32", "F16", "BF16", "U64", "F8_E4M3", "F4", "C64", "BOOL", "", None)),
            "shape": choices.pick(([1], [], [0], [2, 2], *odd)),
            "data_offsets": choices.pick(([0, 4], [0, 16], *odd)),
        }
    text = choices.rest() if choices.chance(6) else json.dumps(header).encode()
    _read(".safetensors", struct.pack("<Q", len(text)) + text + bytes(16))


def zips() -> dict[str, bytes]:
    """Index of the file, and edits."""
    _true_files()
    return {"safetensors": b"\0\0", "pth": b"\1\0", "old pth": b"\2\0", "edit": b"\1\3\0\5\0\2ab\0" + bytes(range(40))}


def made_up() -> dict[str, bytes]:
    _true_files()
    return {"one": b"\1\0\0\0\0\0"}


def any_pth(data: bytes) -> None:
    """What begins as a `.pth` of either kind."""
    _read(".pth", data)


def pths() -> dict[str, bytes]:
    def zipped(content: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a/data.pkl", content)
            archive.writestr("a/version", b"3\n")
        return buffer.getvalue()

    return {
        "zip": _true_files()[1][1],
        "pickle": _true_files()[2][1],
        "a number": zipped(b"\x80\x02K\x01."),
        "a pickle that asks for the impossible": zipped(b"\x80\x02]q\x00J\xff\xff\xff\x7fr\xff\xff\xff\x7fh\x05."),
        "deep": zipped(b"\x80\x02" + b"]" * 20_000 + b"a" * 19_999 + b"."),
        "large memo": zipped(b"\x80\x02Nr\xff\xff\xff\xff."),
        "bytes that are not there": zipped(b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."),
        "frame": zipped(b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\xffN."),
    }


TARGETS = (
    Target("ncnn", any_model, lambda: {"right": GRAPH.encode() + bytes(120)}, words=WORDS, most_bytes=512),
    Target("ncnn_graph", any_graph, lambda: {"right": b"\0", "other": b"\2\5\3\10\7\12\1"}, most_bytes=64),
    Target("weights_edited", any_edit, zips, most_bytes=96),
    Target("safetensors_header", any_header, made_up, most_bytes=96),
    Target("pth", any_pth, pths, most_bytes=2048),
)
