"""Changing the size of a picture without a network.

Shrinking uses the bicubic kernel (a = -0.5) widened by the factor, so that detail finer than the new pixels is averaged
away instead of turning into moiré. Source: Keys, "Cubic convolution interpolation for digital image processing", IEEE
TASSP 29 (1981); the widening is the usual one of Pillow and torch (`antialias=True`).
"""

from __future__ import annotations

import math

import torch

from samovar.worker.image import Image

KERNEL_RADIUS = 2
"""Pixels of the coarser of the two grids."""


def resize(image: Image, height: int, width: int, wrap: tuple[bool, bool] = (False, False)) -> Image:
    """The picture at another size; values may overshoot those of the input by a few per cent, as the kernel does."""
    if image.shape[-2:] == (height, width):
        return image
    if any(wrap):
        return _resize_wrapped(image, height, width, wrap)
    if image.shape[3] == 1:  # torch 2.13 gets a single column wrong (a single row not): it does not mix its rows
        return resize(image.expand(-1, -1, -1, 2), height, 2 * width)[..., :width]
    resized: Image = torch.nn.functional.interpolate(image, (height, width), mode="bicubic", antialias=True)
    return resized


def _resize_wrapped(image: Image, height: int, width: int, wrap: tuple[bool, bool]) -> Image:
    """As many periods along each wrapping axis as the kernel sees, resized together, the middle one taken."""
    for axis, side in ((0, height), (1, width)):
        sides = [image.shape[2], image.shape[3]]
        reach = KERNEL_RADIUS * max(1.0, sides[axis] / side) + 1
        before = math.ceil(reach / sides[axis]) if wrap[axis] else 0
        sides[axis] = (2 * before + 1) * side
        image = resize(torch.cat([image] * (2 * before + 1), dim=2 + axis), sides[0], sides[1])
        image = image.narrow(2 + axis, before * side, side)
    return image.contiguous()
