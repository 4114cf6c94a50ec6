"""Files of weights that are damaged, cut off, bombs, or programs: each a sentence of its own, and nothing is run."""

from __future__ import annotations

import importlib
import os
import pickle
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from samovar.networks import trained
from samovar.weights import tensors
from samovar_link.errors import ModelUnavailable

WEIGHTS = {"conv.weight": torch.arange(2000, dtype=torch.float32).reshape(2, 1000), "conv.bias": torch.zeros(3)}


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._path),)


def refused(path: Path, words: str) -> None:
    with pytest.raises(ModelUnavailable, match=words) as caught:
        tensors.read(path)
    assert str(caught.value).startswith(path.name) and "\n" not in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True])
def test_weights_of_both_formats_of_torch_are_read(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "model.pth"
    torch.save({"params": WEIGHTS, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
    found = tensors.read(path)
    assert torch.equal(found["params"]["conv.weight"], WEIGHTS["conv.weight"])
    assert len(list(tensors.tensors(found))) == 2


def test_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path)
    assert torch.equal(tensors.read(path)["conv.weight"], WEIGHTS["conv.weight"])


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_would_run_a_program_is_not_opened(tmp_path: Path, legacy: bool) -> None:
    path, touched = tmp_path / "evil.pth", tmp_path / "touched"
    torch.save({"params": WEIGHTS, "extra": Touch(touched)}, path, _use_new_zipfile_serialization=not legacy)
    refused(path, r"holds more than weights \(posix\.mkdir\); opening that could run a program")
    assert not touched.exists()
    with pytest.raises(FileExistsError):  # it would have: the test is worth something
        touched.mkdir()
        torch.load(path, weights_only=False)


def test_a_plain_pickle_that_would_run_a_program_is_not_opened(tmp_path: Path) -> None:
    path, touched = tmp_path / "evil.pth", tmp_path / "touched"
    path.write_bytes(pickle.dumps(Touch(touched)))
    refused(path, "holds more than weights|is damaged")
    assert not touched.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_file_that_is_cut_off_says_so(tmp_path: Path, suffix: str, share: float) -> None:
    from safetensors.torch import save_file

    path = tmp_path / f"model{suffix}"
    if suffix == ".pth":
        torch.save(WEIGHTS, path)
    else:
        save_file(WEIGHTS, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    refused(path, "cut off")


def test_an_enormous_header_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 40) + b"{}")
    refused(path, "announces a header of 1099511627776 bytes")


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50 << 20))
    refused(path, "is compressed and unpacks to 52 MB")


def test_more_numbers_than_the_file_holds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save({"weight": torch.zeros(1).expand(1 << 30)}, path)
    refused(path, r"claims 4295 MB of numbers and holds 0\.0 MB")


def test_torchscript_is_a_program(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/code/__torch__.py", "def forward(self): pass")
    refused(path, "is TorchScript, which is a program")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.pth", b"", "is empty"),
        ("model.exe", b"MZ", r"is none of the kinds that Samovar reads: \.safetensors, \.pth"),
        ("model.pth", b"<html>404</html>", "is no file of weights"),
        ("model.pth", b"PK\x03\x04nonsense", "is damaged or cut off"),
        ("model.pth", b"\x80\x02nonsense", "is damaged or cut off|holds more than weights"),
        ("model.safetensors", b"short", "is no .safetensors, or is cut off"),
        ("model.safetensors", struct.pack("<Q", 4) + b"nope", "is damaged"),
    ],
)
def test_what_is_no_model_says_what_it_is(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    refused(path, words)


@pytest.mark.parametrize(("content", "words"), [(torch.zeros(3), "holds a Tensor"), ({"a": 1}, "holds no weights")])
def test_what_holds_no_weights_by_name_is_refused(tmp_path: Path, content: object, words: str) -> None:
    torch.save(content, tmp_path / "model.pth")
    refused(tmp_path / "model.pth", words)


def test_names_in_a_file_do_not_break_the_line(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    header = b'{"a\\nb\\u001b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(ModelUnavailable, match="is damaged .* tensor `a") as caught:
        tensors.read(path)
    assert str(caught.value).isprintable()


def test_dictionaries_in_each_other_are_counted_once_and_without_end(tmp_path: Path) -> None:
    """Thirty lines that hold each other twice would be a thousand million, one that holds itself never ends."""
    inner: dict[str, object] = {"weight": torch.zeros(3)}
    outer = inner
    for _ in range(30):
        outer = {"a": outer, "b": outer}
    inner["itself"] = outer
    deep = inner
    for _ in range(2000):
        deep = {"in": deep}
    assert [each.numel() for each in tensors.tensors(deep)] == [3]


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02Nh\x07.",
        b"\x80\x02X\x02\x00\x00\x00\xff\xfeq\x00.",
        b"\x80\x02U\x01xQ.",
        b"\x80\x02]" + b"]" * 5000 + b"a" * 5000 + b".",
    ],
    ids=["memo that is not there", "text that is none", "storage that is not there", "deep"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_makes_no_sense_is_refused(tmp_path: Path, pickled: bytes, zipped: bool) -> None:
    path = tmp_path / "model.pth"
    if zipped:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickled)
            archive.writestr("a/version", b"3\n")
    else:
        path.write_bytes(pickled)
    refused(path, "is damaged|holds")


def test_weights_that_the_older_format_only_claims_to_hold_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(WEIGHTS, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    key = re.findall(rb"\d{9,}", content)[-1]  # in the list at the end of those that follow
    path.write_bytes(content[: content.rindex(key)] + content[content.rindex(key) :].replace(key, b"9" * len(key)))
    refused(path, "is damaged or cut off")


@pytest.mark.skipif(sys.platform == "win32", reason="asks for the peak of memory")
@pytest.mark.parametrize(
    "options",
    ['{"features": 4000}', '{"features": 1000000}', '{"depth": 100000000}', '{"features": -1}', "[]", "[" * 5000],
)
def test_a_file_cannot_ask_for_a_network_that_is_larger_than_itself(tmp_path: Path, options: str) -> None:
    import resource

    from safetensors.torch import save_file

    path = tmp_path / "model.safetensors"
    save_file(WEIGHTS, path, {"architecture": "srvgg", "options": options})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelUnavailable, match="says that it is a Compact and holds the weights of something else"):
        trained.describe(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000 << (10 * (sys.platform == "darwin"))


@pytest.mark.parametrize("architecture", trained.KINDS)
def test_a_network_of_our_own_is_opened_as_it_was(tmp_path: Path, architecture: str) -> None:
    from safetensors.torch import save_file

    made = importlib.import_module(f"samovar.networks.{trained.KINDS[architecture].purpose}").build()
    save_file(made.state_dict(), tmp_path / "model.safetensors", {"architecture": architecture})
    opened = trained.open_file(tmp_path / "model.safetensors").state_dict()
    assert opened.keys() == made.state_dict().keys()
    assert all(torch.equal(each, opened[name].to(each.dtype)) for name, each in made.state_dict().items())


def test_a_name_in_a_zip_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é/data.pkl", b"\x80\x02N.")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xff\xfe"))
    refused(path, "is damaged or cut off")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "model.pth", "cannot be read: No such file")
