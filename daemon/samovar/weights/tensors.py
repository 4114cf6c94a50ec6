"""Reads files of weights that anybody may have made: numbers only, never a program.

A `.pth` is a pickle, and a pickle may run whatever it likes when it is opened. So it is opened by torch's reader of
plain tensors, after a look at its outside, and a `.safetensors` by its own library. Whatever is wrong with a file gets
a sentence of its own.
"""

from __future__ import annotations

import re
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar import descriptors
from samovar.weights.store import SUFFIXES
from samovar_link.errors import ModelUnavailable, name_of

if TYPE_CHECKING:
    from torch import Tensor

MOST_BYTES = 4 << 30
MOST_HEADER_BYTES = 25_000_000
"""Of a `.safetensors`; that of a model with ten thousand tensors has one or two million."""

_FOREIGN_NAME = re.compile(r"GLOBAL (\S+)")
_PICKLE, _ZIP = b"\x80", b"PK"


def read(path: Path) -> dict[str, Any]:
    """What the file holds: tensors by name, perhaps within further dictionaries. Raises ModelUnavailable."""
    size_bytes = _size(path)
    found = _safetensors(path, size_bytes) if path.suffix.lower() == ".safetensors" else _pickled(path, size_bytes)
    claimed = sum(each.numel() * each.element_size() for each in tensors(found))
    if claimed > size_bytes:
        raise _refused(path, f"claims {claimed / 1e6:.0f} MB of numbers and holds {size_bytes / 1e6:.1f} MB")
    if not claimed:
        raise _refused(path, "holds no weights")
    return found


def tensors(found: Any) -> Iterator[Tensor]:
    """All of them, however deep; each once, since a file may hold dictionaries in each other, and without end."""
    import torch

    seen: set[int] = set()
    todo = [found]
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, dict):
            todo += reversed(each.values())


def _size(path: Path) -> int:
    if path.suffix.lower() not in SUFFIXES:
        raise _refused(path, f"is none of the kinds that Samovar reads: {', '.join(SUFFIXES)}")
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    if not size_bytes:
        raise _refused(path, "is empty")
    if size_bytes > MOST_BYTES:
        raise _refused(path, f"has {size_bytes / 1e9:.1f} GB, more than the {MOST_BYTES / 1e9:.1f} GB that are read")
    return size_bytes


def _safetensors(path: Path, size_bytes: int) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with path.open("rb") as file:
        start = file.read(8)
    header_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if header_bytes > MOST_HEADER_BYTES:
        raise _refused(path, f"announces a header of {header_bytes} bytes; at most {MOST_HEADER_BYTES} are read")
    if not 2 <= header_bytes <= size_bytes - 8:
        raise _refused(path, "is no .safetensors, or is cut off")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise _refused(path, f"is damaged or cut off ({error})") from error


def _pickled(path: Path, size_bytes: int) -> dict[str, Any]:
    import torch
    from torch._weights_only_unpickler import UnpicklingError  # type: ignore[attr-defined]

    _look_at_outside(path, size_bytes)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what it does not expect, all of which is refused anyway
            found = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        name = _FOREIGN_NAME.search(str(error))
        what = f"more than weights ({name.group(1)})" if name else "more than weights"
        raise _refused(path, f"holds {what}; opening that could run a program, so it was not opened") from error
    except Exception as error:  # torch's reader takes the file at its word: a dozen types come of that, asserts too
        reason = (str(error) or type(error).__name__).splitlines()[0][:100]
        raise _refused(path, f"is damaged or cut off ({reason})") from error
    if not isinstance(found, dict):
        raise _refused(path, f"holds a {type(found).__name__} instead of weights by name")
    return found


def _look_at_outside(path: Path, size_bytes: int) -> None:
    """What can be told before a byte of it is interpreted."""
    with path.open("rb") as file:
        start = file.read(2)
    if start[:1] == _PICKLE:
        return  # torch's older format
    if start != _ZIP:
        raise _refused(path, "is no file of weights")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, OSError) as error:
        raise _refused(path, "is damaged or cut off") from error
    if any("/code/" in f"/{each.filename}" for each in entries):
        raise _refused(path, "is TorchScript, which is a program; such are run only from the catalogue")
    unpacked = sum(each.file_size for each in entries)
    if unpacked > size_bytes or any(each.compress_type != zipfile.ZIP_STORED for each in entries):
        raise _refused(path, f"is compressed and unpacks to {unpacked / 1e6:.0f} MB; torch writes no such files")


def _refused(path: Path, what: str) -> ModelUnavailable:
    """Raises OSError where no file can be opened."""
    descriptors.need_one()
    sentence = f"{name_of(path.name, 120)} {name_of(what, 300)}"  # it quotes what the file holds
    return ModelUnavailable(sentence, "get the file again from where it was published")
