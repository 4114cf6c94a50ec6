"""Which parts of pictures are worth training on: those with most in them.

Source: nagadomi, waifu2x, lib/pairwise_transform_utils.lua (`active_cropping`: half of the time the best of ten crops).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from samovar.picture import PictureError
from samovar.training import pictures
from samovar.training.pictures import Photo

TRIES, SHARE = 10, 0.5
OVERLAP = 0.25
"""Of a part's area, that another one of the same picture may cover."""


def parted(photos: Sequence[Photo], side: int) -> tuple[list[Photo], list[Photo]]:
    """Those to train on and those held out, of the pictures that have so many pixels on each side. Raises PictureError
    if either are lacking."""
    large = [photo for photo in photos if min(photo.pixels.shape[-2:]) >= side]
    ours, held = pictures.parted(large)
    if not ours or not held:
        raise PictureError(
            f"{len(large)} of {len(photos)} pictures are {side} pixels or more on each side; give more of them,"
            " a smaller --size, or a larger --shrink"
        )
    return ours, held


def drawn(photos: Sequence[Photo], side: int, chance: torch.Generator) -> Tensor:
    """A part of one of the pictures, which are as large or larger, turned and mirrored: (1, 3, side, side), 0..1"""
    photo = photos[int(torch.randint(len(photos), (), generator=chance))]
    tries = TRIES if torch.rand((), generator=chance) < SHARE else 1
    part = max((_part(photo, side, chance) for _ in range(tries)), key=_detail)
    turned = part.transpose(1, 2) if torch.rand((), generator=chance) < 0.5 else part
    for axis in (1, 2):
        turned = turned.flip(axis) if torch.rand((), generator=chance) < 0.5 else turned
    return turned.float().unsqueeze(0) / 255


def corners(pixels: Tensor, side: int, count: int, chance: torch.Generator) -> list[tuple[int, int]]:
    """Left and top of parts of one picture, each the one with most in it of TRIES: `count` of them, or as many as find
    room beside each other.

    pixels : (3, h, w) uint8, as large as a part or larger
    """
    found: list[tuple[int, int]] = []
    while len(found) < count:
        drawn = [_corner(pixels, side, chance) for _ in range(TRIES)]
        free = [each for each in drawn if all(_shared(each, other, side) <= OVERLAP for other in found)]
        if not free:
            break
        found.append(max(free, key=lambda at: _detail(pixels[:, at[1] : at[1] + side, at[0] : at[0] + side])))
    return found


def _corner(pixels: Tensor, side: int, chance: torch.Generator) -> tuple[int, int]:
    height, width = pixels.shape[-2:]
    left, top = (int(torch.randint(length - side + 1, (), generator=chance)) for length in (width, height))
    return left, top


def _shared(one: tuple[int, int], other: tuple[int, int], side: int) -> float:
    """0..1, of the area of either"""
    across, down = (max(0, side - abs(a - b)) for a, b in zip(one, other, strict=True))
    return across * down / side**2


def _part(photo: Photo, side: int, chance: torch.Generator) -> Tensor:
    height, width = photo.pixels.shape[-2:]
    top = int(torch.randint(height - side + 1, (), generator=chance))
    left = int(torch.randint(width - side + 1, (), generator=chance))
    return photo.pixels[:, top : top + side, left : left + side]


def _detail(part: Tensor) -> float:
    return float(part[:, ::2, ::2].float().std(correction=0))
