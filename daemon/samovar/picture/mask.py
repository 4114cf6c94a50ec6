"""A picture as a mask: gray, white where something is to be done."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from samovar.picture import Picture, PictureError

NUMBERS = {"u8": np.uint8, "u16": np.uint16, "f16": np.float16, "f32": np.float32}
TOPS = {"u8": 255, "u16": 65535}


def of_file(picture: Picture, name: str, of: Picture) -> Picture:
    """The mask that a picture of any kind is: its mean colour, black where it is transparent.

    name : of the file, for what is wrong with it; of : what it is to be the mask of

    Raises PictureError if the two are not of one size.
    """
    raster = picture.raster
    if (raster.width, raster.height) != (of.raster.width, of.raster.height):
        raise PictureError(
            f"{name} is {raster.width}x{raster.height}; a mask has the size of its picture, "
            f"{of.raster.width}x{of.raster.height}"
        )
    if raster.channels == 1:
        return picture
    pixels, top = _pixels(picture), TOPS.get(raster.dtype, 1)
    gray = pixels[..., : 1 if raster.channels == 2 else 3].astype(np.float64).mean(2)
    if raster.channels in (2, 4):
        gray *= pixels[..., -1] / top
    return _mask(picture, gray.astype(pixels.dtype))


def of_transparency(picture: Picture, name: str) -> Picture:
    """White where a picture is wholly transparent. Raises PictureError if it has no alpha."""
    if picture.raster.channels not in (2, 4):
        raise PictureError(f"{name} has no transparency to take as the mask; give one with --mask")
    pixels, top = _pixels(picture), TOPS.get(picture.raster.dtype, 1)
    return _mask(picture, np.where(pixels[..., -1] == 0, top, 0).astype(pixels.dtype))


def _pixels(picture: Picture) -> npt.NDArray[Any]:
    raster = picture.raster
    return np.frombuffer(picture.pixels, NUMBERS[raster.dtype]).reshape(raster.height, raster.width, raster.channels)


def _mask(like: Picture, gray: npt.NDArray[Any]) -> Picture:
    raster = dataclasses.replace(like.raster, channels=1)
    return Picture(raster, np.ascontiguousarray(gray).data.cast("B"), like.metadata)
