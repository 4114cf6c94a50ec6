"""Changing the size of a picture without a network.

Shrinking uses the bicubic kernel (a = -0.5) widened by the factor, so that detail finer than the new pixels is averaged
away instead of turning into moiré. Source: Keys, "Cubic convolution interpolation for digital image processing", IEEE
TASSP 29 (1981); the widening is the usual one of Pillow and torch (`antialias=True`).
"""

from __future__ import annotations

import torch

from samovar.worker.image import Image


def resize(image: Image, height: int, width: int, wrap: tuple[bool, bool] = (False, False)) -> Image:
    """The picture at another size; values may overshoot those of the input by a few per cent, as the kernel does."""
    if image.shape[-2:] == (height, width):
        return image
    if any(wrap):
        return _resize_wrapped(image, height, width, wrap)
    resized: Image = torch.nn.functional.interpolate(image, (height, width), mode="bicubic", antialias=True)
    return resized


def _resize_wrapped(image: Image, height: int, width: int, wrap: tuple[bool, bool]) -> Image:
    """Three periods along each wrapping axis, resized together, the middle one taken."""
    for axis, side in ((0, height), (1, width)):
        repeats = 3 if wrap[axis] else 1
        sides = [image.shape[2], image.shape[3]]
        sides[axis] = repeats * side
        image = resize(torch.cat([image] * repeats, dim=2 + axis), sides[0], sides[1])
        image = image.narrow(2 + axis, side if wrap[axis] else 0, side)
    return image.contiguous()
