"""`samovar train prepare`: a folder of the user's pictures becomes one of squares to train on.

Rules:
1. One picture at a time is in memory; of those before it, their fingerprints and what became of them.
2. Where a picture is cut is decided by its bytes, the settings and the cascade; not by its name or those before it.
3. Nothing is overwritten and nothing deleted. What was written is whole, whatever ends the program.
4. The parts of a picture are named after it, `a_0`, `a_1`, so that `pictures.parted` holds them out together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import xxhash

from samovar.picture import FORMATS, Picture, PictureError, reading, writing
from samovar.training import fingerprint, pictures, squares
from samovar.training.ledger import Ledger, Record
from samovar.training.squares import Way
from samovar_link.messages import Raster

_STEM_BYTES = 200
"""Of a part's name at most, which may be 255 with its number and what a file has while it is written."""


@dataclass(frozen=True)
class Settings:
    """All that decides what is cut, beside the way.

    side : pixels of what is written; per_picture : parts of one picture, at most; limit : of parts in all, 0 for none
    alike : bits in which fingerprints may differ and count as one, see `fingerprint.ALIKE`
    compared : whether pictures as a whole are compared, too: two of a kind would be cut at different places
    """

    side: int = 128
    per_picture: int = 8
    limit: int = 0
    alike: int = fingerprint.ALIKE
    compared: bool = True


@dataclass
class Report:
    """What became of the pictures, of this run and those before it.

    unreadable : sentences, of this run; others : see `Record`
    """

    pictures: int = 0
    unreadable: list[str] = field(default_factory=list)
    duplicate_pictures: int = 0
    found: int = 0
    too_small: int = 0
    left_out: int = 0
    duplicates: int = 0
    written: int = 0


class Preparation:
    """One folder in the making. facts : all that decides what is cut, by the options' names, see `Ledger`"""

    def __init__(self, folder: Path, settings: Settings, way: Way, facts: Mapping[str, object]) -> None:
        self._folder, self._settings, self._way = folder, settings, way
        self._ledger = Ledger(folder, facts)
        self._unreadable: list[str] = []
        self._known: set[tuple[str, str]] = set()
        self._stems: set[str] = set()
        self._wholes, self._parts = fingerprint.Seen(settings.alike), fingerprint.Seen(settings.alike)
        self._written = 0
        for record in self._ledger.records:
            self._remember(record)

    @property
    def is_full(self) -> bool:
        return 0 < self._settings.limit <= self._written

    def take(self, name: str, data: Callable[[], bytes]) -> None:
        """Cut one picture. Raises PictureError if what it gives cannot be written; that it cannot be read is noted."""
        try:
            content = data()
            digest = xxhash.xxh3_128_hexdigest(content)
            if (name, digest) in self._known:
                return
            pixels = pictures.decoded(name, content)
        except PictureError as error:
            self._unreadable.append(str(error))
            return
        mark = fingerprint.of(pixels) if self._settings.compared else 0
        if self._settings.compared and self._wholes.has(mark):
            self._add(Record(name, digest, mark, duplicate=True))
        else:
            self._add(self._cut(name, digest, mark, pixels))

    def _cut(self, name: str, digest: str, mark: int, pixels: npt.NDArray[np.uint8]) -> Record:
        found = self._way(pixels, int(digest, 16))
        stem, parts, duplicates, left_out = self._stem(name), dict[str, int](), 0, 0
        most = self._settings.per_picture
        if self._settings.limit:
            most = min(most, self._settings.limit - self._written)
        new = fingerprint.Seen(self._settings.alike)
        for square in found.squares:
            if len(parts) == most:
                left_out += 1
                continue
            part = squares.cut(pixels, square, self._settings.side)
            its = fingerprint.of(part)
            if self._parts.has(its) or new.has(its):
                duplicates += 1
                continue
            new.add(its)
            file = f"{stem}_{len(parts)}.png"
            _write(part, self._folder / file)
            parts[file] = its
        return Record(
            name, digest, mark, stem=stem, parts=parts, found=len(found.squares), too_small=found.too_small,
            left_out=left_out, duplicates=duplicates,
        )  # fmt: skip

    def _stem(self, name: str) -> str:
        """What a picture's parts are named after: its own name, of letters and digits, with a number where another has
        that already. Capitals make no difference, as there are file systems in which they make none."""
        path = PurePosixPath(name.partition("/")[2])
        plain = re.sub(r"[^\w.+-]+", "-", path.with_suffix("").as_posix()).lstrip(".-")
        stem = short = plain.encode()[:_STEM_BYTES].decode(errors="ignore") or "picture"
        number = 1
        while stem.casefold() in self._stems:
            number += 1
            stem = f"{short}-{number}"
        return stem

    def _add(self, record: Record) -> None:
        self._ledger.add(record)
        self._remember(record)

    def _remember(self, record: Record) -> None:
        self._known.add((record.picture, record.digest))
        if record.stem:
            self._stems.add(record.stem.casefold())
        if self._settings.compared and not record.duplicate:
            self._wholes.add(record.fingerprint)
        for its in record.parts.values():
            self._parts.add(its)
        self._written += len(record.parts)

    def report(self) -> Report:
        records = self._ledger.records
        return Report(
            pictures=len(records),
            unreadable=self._unreadable,
            duplicate_pictures=sum(each.duplicate for each in records),
            found=sum(each.found for each in records),
            too_small=sum(each.too_small for each in records),
            left_out=sum(each.left_out for each in records),
            duplicates=sum(each.duplicates for each in records),
            written=self._written,
        )


def count(sources: Sequence[Path], folder: Path) -> int:
    """How many pictures there are to read. Raises PictureError if there is none, or FOLDER would be among them."""
    for source in sources:
        if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
            raise PictureError(f"{folder} lies in {source}, to whose pictures it would add; choose a folder beside it")
    number = sum(1 for _ in walked(sources))
    if not number:
        raise PictureError(f"{', '.join(map(str, sources))}: no pictures ({', '.join(FORMATS)}) in there")
    return number


def walked(sources: Sequence[Path]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """As `pictures.files`, of all of them; a name begins with that of its source."""
    for source in sources:
        for name, data in pictures.files(source):
            yield f"{source.resolve().name}/{name}", data


def _write(pixels: npt.NDArray[np.uint8], path: Path) -> None:
    """A part to its file; one that is there is of this picture, which was broken off before it had its line."""
    if path.exists():
        if bytes(reading.read(path).pixels) != pixels.tobytes():
            raise PictureError(f"{path} is there already, and not made by samovar train prepare; move it away")
        return
    writing.write(Picture(Raster(*pixels.shape), pixels.data.cast("B")), path)
