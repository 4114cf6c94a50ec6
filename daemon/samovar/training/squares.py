"""Which squares of a picture are trained on, and how they are cut: parts of it, its middle, or the faces in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyvips
import torch

from samovar.training import detail, pictures

LEAST = 0.5
"""Of the side that is asked for: what is smaller than that would be more invented than seen."""


@dataclass(frozen=True)
class Square:
    """In pixels of the picture that it lies in, inside of it."""

    left: int
    top: int
    side: int


@dataclass(frozen=True)
class Found:
    """What is in one picture, the best first. too_small : how many were too small"""

    squares: Sequence[Square] = ()
    too_small: int = 0


class Way(Protocol):
    """How squares are found in a picture, (h, w, 3) uint8. number : decides what is drawn by chance"""

    def __call__(self, pixels: npt.NDArray[np.uint8], number: int) -> Found: ...


@dataclass(frozen=True)
class Patches:
    """Parts as they are in the picture, not scaled, those with most in them. side : in pixels; count : at most"""

    side: int
    count: int
    seed: int

    def __call__(self, pixels: npt.NDArray[np.uint8], number: int) -> Found:
        if min(pixels.shape[:2]) < self.side:
            return Found(too_small=1)
        chance = pictures.generator(self.seed, number)
        planes = torch.from_numpy(pixels).permute(2, 0, 1)
        corners = detail.corners(planes, self.side, self.count, chance)
        return Found([Square(left, top, self.side) for left, top in corners])


@dataclass(frozen=True)
class Whole:
    """The middle of each picture."""

    side: int

    def __call__(self, pixels: npt.NDArray[np.uint8], number: int) -> Found:
        height, width = pixels.shape[:2]
        side = min(height, width)
        if side < LEAST * self.side:
            return Found(too_small=1)
        return Found([Square((width - side) // 2, (height - side) // 2, side)])


def cut(pixels: npt.NDArray[np.uint8], square: Square, side: int) -> npt.NDArray[np.uint8]:
    """A square of a picture, (h, w, 3), made as large as is wanted: (side, side, 3)"""
    return scaled(
        pixels[square.top : square.top + square.side, square.left : square.left + square.side], side
    )  # fmt: skip


def scaled(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """A picture as a square, by Lanczos's filter, as wide as the scale asks for: (h, w, 3) -> (side, side, 3)"""
    height, width = pixels.shape[:2]
    if height == width == side:
        return np.ascontiguousarray(pixels)
    image = pyvips.Image.new_from_memory(np.ascontiguousarray(pixels).data.cast("B"), width, height, 3, "uchar")
    image = image.copy(interpretation="srgb").thumbnail_image(side, height=side, size="force")
    array = np.ndarray(buffer=image.write_to_memory(), dtype=np.uint8, shape=(side, side, 3))
    return array.copy()
