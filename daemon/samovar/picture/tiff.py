"""What libvips leaves out of TIFF files: EXIF.

An EXIF block is itself a small TIFF, so one reader and one writer of directories serve both ways. Nothing here looks at
pixels. Damaged directories give nothing rather than an error: the picture matters more than its notes.

Source: TIFF Revision 6.0 (1992), section 2; Exif 2.3 (CIPA DC-008-2012), section 4.6.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_WIDTHS = {3: 2, 4: 4, 5: 4, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8}
_DESCRIPTIVE = (270, 271, 272, 305, 306, 315, 33432)  # title, make, model, software, date, artist, copyright
_EXIF, _GPS = 34665, 34853
_SIDES = (40962, 40963)
_FOREIGN = (40965,)  # points to a directory that is not carried over
_UNREADABLE = (OSError, ValueError, KeyError, struct.error)
_EXIF_START = b"Exif\0\0"
_MAX_BYTES = 1 << 20
_MAX_DIRECTORY_BYTES = 16 << 20


@dataclass(frozen=True)
class _Entry:
    """One tag: its type, how many values, and their bytes in the order of its file."""

    kind: int
    count: int
    value: bytes


_Directory = dict[int, _Entry]


class _Reader:
    """The directories of a classic (not Big) TIFF."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self.order = {b"II": "<", b"MM": ">"}[data[:2]]
        magic, self.first = struct.unpack_from(self.order + "HI", data, 2)
        if magic != 42:
            raise ValueError("not a classic TIFF")
        self._data = data

    def directory(self, offset: int) -> tuple[_Directory, int]:
        """The entries at `offset` that are of known type, and where the next directory is."""
        (count,) = struct.unpack_from(self.order + "H", self._data, offset)
        entries: _Directory = {}
        total = 0
        for index in range(count):
            tag, kind, number, inline = struct.unpack_from(self.order + "HHI4s", self._data, offset + 2 + 12 * index)
            size = _SIZES.get(kind, 0) * number
            start = offset + 10 + 12 * index if size <= 4 else self.number(inline)
            if (total := total + size) > _MAX_DIRECTORY_BYTES:
                raise ValueError("directory values overlap or are absurdly large")
            if size and tag not in _FOREIGN and start + size <= len(self._data):
                entries[tag] = _Entry(kind, number, self._data[start : start + size])
        return entries, self.number(self._data[offset + 2 + 12 * count :][:4])

    def number(self, raw: bytes) -> int:
        return int.from_bytes(raw, "little" if self.order == "<" else "big")

    def part(self, entries: _Directory, tag: int) -> _Directory:
        """The directory that a tag points to; empty if there is none."""
        return self.directory(self.number(entries[tag].value))[0] if tag in entries else {}


def read_exif(path: Path) -> bytes | None:
    """An EXIF block as JPEG has it, made from a TIFF file's tags; None if they say nothing."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(data)
            main, _ = reader.directory(reader.first)
            exif, gps = reader.part(main, _EXIF), reader.part(main, _GPS)
    except _UNREADABLE:
        return None
    kept = {tag: entry for tag, entry in main.items() if tag in _DESCRIPTIVE}
    if not (kept or exif or gps):
        return None
    mark = {"<": b"II", ">": b"MM"}[reader.order]
    header = mark + struct.pack(reader.order + "HI", 42, 8)
    block = _EXIF_START + header + _laid_out(reader.order, 8, kept, exif, gps, 0)
    return block if len(block) <= _MAX_BYTES else None


def add_exif(path: Path, block: bytes, width: int, height: int) -> bool:
    """Write an EXIF block into a TIFF file that has none, behind its end; False if it cannot be done.

    width, height : of the picture in the file; the block may be about another size
    """
    try:
        source = _Reader(block.removeprefix(_EXIF_START))
        told, _ = source.directory(source.first)
        exif, gps = source.part(told, _EXIF), source.part(told, _GPS)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            target, size = _Reader(data), len(data)
            main, following = target.directory(target.first)
    except _UNREADABLE:
        return False
    if size + len(block) >= 1 << 32:
        return False
    told = {tag: entry for tag, entry in told.items() if tag in _DESCRIPTIVE}
    if source.order != target.order:
        told, exif, gps = _turned(told), _turned(exif), _turned(gps)
    exif.update((tag, _long(target.order, side)) for tag, side in zip(_SIDES, (width, height), strict=True))
    start = size + size % 2
    with path.open("rb+") as output:
        output.seek(start)
        output.write(_laid_out(target.order, start, {**main, **told}, exif, gps, following))
        output.seek(4)
        output.write(struct.pack(target.order + "I", start))
    return True


def _turned(entries: _Directory) -> _Directory:
    """The same values in the other byte order."""
    turned = {}
    for tag, entry in entries.items():
        width = _WIDTHS.get(entry.kind, 1)
        numbers = [entry.value[at : at + width][::-1] for at in range(0, len(entry.value), width)]
        turned[tag] = _Entry(entry.kind, entry.count, b"".join(numbers))
    return turned


def _long(order: str, number: int) -> _Entry:
    return _Entry(4, 1, struct.pack(order + "I", number))


def _laid_out(order: str, start: int, main: _Directory, exif: _Directory, gps: _Directory, following: int) -> bytes:
    """A main directory for offset `start`, and behind it what it points to."""
    main = {**main, **{tag: _long(order, 0) for tag, part in ((_EXIF, exif), (_GPS, gps)) if part}}
    parts = b""
    end = start + len(_packed(order, start, main, following))  # its size does not depend on the offsets in it
    for tag, entries in ((_EXIF, exif), (_GPS, gps)):
        if entries:
            main[tag] = _long(order, end + len(parts))
            parts += _packed(order, end + len(parts), entries, 0)
    return _packed(order, start, main, following) + parts


def _packed(order: str, start: int, entries: _Directory, following: int) -> bytes:
    table, values = struct.pack(order + "H", len(entries)), b""
    behind = start + 2 + 12 * len(entries) + 4
    for tag, entry in sorted(entries.items()):
        field = entry.value
        if len(field) > 4:
            field = struct.pack(order + "I", behind + len(values))
            values += entry.value + b"\0" * (len(entry.value) % 2)
        table += struct.pack(order + "HHI4s", tag, entry.kind, entry.count, field)
    return table + struct.pack(order + "I", following) + values
