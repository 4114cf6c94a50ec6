"""Pictures to train on: from a folder or a tar, shrunk, in memory."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath

import numpy as np
import numpy.typing as npt
import psutil
import pyvips
import torch
from torch import Tensor

from samovar.picture import FORMATS, PictureError, header, reading
from samovar_link.messages import Limits

log = logging.getLogger(__name__)

ROOM = 0.5
"""Of the memory that is free, for pictures."""
NAMED = 5
"""Of files that are passed over."""
HELD_OUT = 0.03
"""Of all pictures; of few ones LEAST_HELD_OUT, if there are twice as many."""
LEAST_HELD_OUT = 8
DROPPED = "dropped"
"""A folder of what somebody looked at and does not want."""
_PART = re.compile(r"_\d+$")
_STRICT = "[fail_on=error]"
"""For libvips's loaders: what is cut short is none. (Thumbnails out of memory take no heed of their own `fail_on`.)"""


@dataclass(frozen=True)
class Photo:
    """One picture. pixels : (3, h, w) uint8, sRGB; name : with its folder, as in the folder or tar it came from"""

    name: str
    pixels: Tensor

    @property
    def folders(self) -> list[str]:
        """That it lies in, outermost first."""
        return self.name.split("/")[:-1]

    @property
    def group(self) -> str:
        """What it was cut out of: `a_0` and `a_1` are of one picture, and are held out together."""
        return _PART.sub("", self.name.rpartition(".")[0])


def read(sources: Sequence[Path], side: int, share: float = 1.0) -> list[Photo]:
    """All pictures in folders (with those in them) and tars, in order of their names, the shorter side shrunk to
    `side`, and all of them to `share` of their size at most: what a file's compression left in them goes by that.

    Transparent parts become white. Files that are no picture, or not all of one, are passed over, and the log says
    which. Raises PictureError if there is none, or more than there is memory for.
    """
    room_bytes = psutil.virtual_memory().available * ROOM
    found: list[Photo] = []
    strange: list[str] = []
    for source in sources:
        for name, data in files(source):
            try:
                pixels = decoded(name, data(), side, share)
            except PictureError as error:
                strange.append(str(error))
                continue
            found.append(Photo(name, torch.from_numpy(pixels).permute(2, 0, 1).contiguous()))
            room_bytes -= pixels.nbytes
            if room_bytes < 0:
                raise PictureError(
                    f"{source}: there is no memory for more than {len(found)} of its pictures; give fewer, a smaller"
                    " --shrink, or parts of them: samovar train prepare"
                )
    if strange:
        log.warning("%d files are passed over: %s", len(strange), "; ".join([*strange[:NAMED], "..."][: len(strange)]))
    if not found:
        raise PictureError(f"{', '.join(map(str, sources))}: no pictures ({', '.join(FORMATS)}) in there")
    return sorted(found, key=lambda photo: photo.name)


def files(source: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Pictures in a folder (with those in it) or a tar, by what their names end in: the name there, and what reads the
    file, until the next one is asked for. What lies in a folder named DROPPED is not among them.

    Both raise PictureError: for what is neither, and for a file that cannot be read.
    """
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            name = path.relative_to(source)
            if _is_wanted(name) and path.is_file():
                yield name.as_posix(), partial(_content, path, path.read_bytes)
        return
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                file = archive.extractfile(member) if _is_wanted(PurePosixPath(member.name)) else None
                if file is not None:
                    yield member.name, partial(_content, source / member.name, file.read)
    except (tarfile.TarError, OSError) as error:
        raise PictureError(f"{source} is neither a folder nor a tar of pictures ({error})") from error


def _content(path: Path, read: Callable[[], bytes]) -> bytes:
    try:
        return read()
    except (tarfile.TarError, OSError) as error:
        raise PictureError(f"{path} cannot be read ({error})") from error


def _is_wanted(name: PurePath) -> bool:
    return name.suffix.lower() in FORMATS and DROPPED not in name.parts[:-1]


def decoded(name: str, data: bytes, side: float = math.inf, share: float = 1.0) -> npt.NDArray[np.uint8]:
    """The pixels of a picture's file, upright, on white: (h, w, 3), sRGB; sizes as of `read`.

    name : for what is wrong with it

    Raises PictureError for what is no picture, is cut short, or is larger than the daemon would take.
    """
    try:
        image = pyvips.Image.new_from_buffer(data, "").autorot()  # as `thumbnail_buffer` turns it, too
        scale = min(share, side / min(image.width, image.height))
        width, height = (max(1, round(length * scale)) for length in (image.width, image.height))
        header.check_size(Path(name), width, height, Limits())
        image = pyvips.Image.thumbnail_buffer(data, width, height=height, size="force", option_string=_STRICT)
        if image.hasalpha():
            image = image.flatten(background=255)
        image = image.colourspace("srgb").cast("uchar")
        array = np.ndarray(buffer=image.write_to_memory(), dtype=np.uint8, shape=(image.height, image.width, 3))
    except pyvips.Error as error:
        raise PictureError(f"{name} is damaged, cut short or no picture{reading.reason(error)}") from error
    return array.copy()


def parted(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """Those to train on, and those held out.

    By their names alone: what was held out of many pictures is held out again where a training goes on with some of
    them.
    """
    lots = {photo.group: _lot(photo.group) for photo in photos}
    few = sorted(lots, key=lambda group: lots[group])[: min(LEAST_HELD_OUT, len(lots) // 2)]
    held = {group for group, lot in lots.items() if lot < HELD_OUT}.union(few)
    return [each for each in photos if each.group not in held], [each for each in photos if each.group in held]


def _lot(group: str) -> float:
    """0..1, by its name."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:6], "big") / (1 << 48)


def generator(*seeds: int) -> torch.Generator:
    """Of one step, or one picture: decided by numbers alone."""
    text = " ".join(map(str, seeds)).encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(text).digest()[:7], "little"))


def crop(photo: Photo, side: int, least: float, chance: torch.Generator) -> Tensor:
    """A part of a picture, flipped or not, as (1, 3, side, side) float32, 0..1. least : of the shorter side"""
    height, width = photo.pixels.shape[-2:]
    share = least + (1 - least) * float(torch.rand((), generator=chance))
    size = max(1, round(min(height, width) * share))
    top = int(torch.randint(height - size + 1, (), generator=chance))
    left = int(torch.randint(width - size + 1, (), generator=chance))
    part = photo.pixels[None, :, top : top + size, left : left + size].float() / 255
    if torch.rand((), generator=chance) < 0.5:
        part = part.flip(3)
    return sized(part, side)


def centre(photo: Photo, side: int) -> Tensor:
    """The middle of a picture, as of `crop`."""
    height, width = photo.pixels.shape[-2:]
    size = min(height, width)
    top, left = (height - size) // 2, (width - size) // 2
    return sized(photo.pixels[None, :, top : top + size, left : left + size].float() / 255, side)


def sized(image: Tensor, side: int) -> Tensor:
    if image.shape[-1] == side:
        return image
    resized = torch.nn.functional.interpolate(image, (side, side), mode="bilinear", antialias=True, align_corners=False)
    return resized.clamp(0, 1)
