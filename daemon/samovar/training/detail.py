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


def _part(photo: Photo, side: int, chance: torch.Generator) -> Tensor:
    height, width = photo.pixels.shape[-2:]
    top = int(torch.randint(height - side + 1, (), generator=chance))
    left = int(torch.randint(width - side + 1, (), generator=chance))
    return photo.pixels[:, top : top + side, left : left + side]


def _detail(part: Tensor) -> float:
    return float(part[:, ::2, ::2].float().std(correction=0))
