"""The canonical image, and the only two places where pixels change between it and what travels.

An `Image` is a tensor (1, C, H, W), float32, sRGB-encoded, nominally 0..1, planar and contiguous, on the CPU unless
said otherwise. C is 3 (RGB order) or 1 (gray). Alpha is no channel of it: it goes beside it as an `Alpha`, a tensor
(1, 1, H, W) of the same kind, straight, 0..1. Colour where alpha is 0 means nothing.

Integers are scaled so that the largest one is exactly 1.0 and come back to the bit; results are rounded to nearest and
cut to the range. Floats pass unscaled; what is beyond 0..1 is kept, what is no number becomes 0, and infinities become
the largest f16.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from samovar_link.errors import BadRequest
from samovar_link.messages import CHANNEL_NAMES, DTYPE_BYTES, ORDERS, Raster

Image = Tensor
"""See the module's docstring."""
Alpha = Tensor
"""(1, 1, H, W) float32, straight, 0..1."""

NUMPY_DTYPES = {"u8": np.uint8, "u16": np.uint16, "f16": np.float16, "f32": np.float32}
LEVELS = {"u8": 255, "u16": 65535}
LARGEST = 65504.0
BAND_ROWS = 16
LARGE_PIXELS = 1 << 18
"""From here on a plane is worth waking torch's threads for."""
"""Rows converted at a time: what is in hand stays in the processor's cache."""


def has_alpha(raster: Raster) -> bool:
    return raster.channels in (2, 4)


def pixels(raster: Raster, frame: memoryview | bytearray | bytes) -> npt.NDArray[np.generic]:
    """The frame as (H, W, C), without a copy. Raises BadRequest for a raster that does not describe the frame."""
    if raster.dtype not in DTYPE_BYTES:
        raise BadRequest.field("dtype", raster.dtype, ", ".join(DTYPE_BYTES))
    if raster.channels not in CHANNEL_NAMES:
        raise BadRequest.field("channels", raster.channels, "1, 2, 3, 4")
    if raster.order not in ORDERS:
        raise BadRequest.field("order", raster.order, ", ".join(ORDERS))
    if min(raster.height, raster.width) < 1:
        raise BadRequest.field("size", f"{raster.width}x{raster.height}", "1x1 or larger")
    array = np.frombuffer(frame, NUMPY_DTYPES[raster.dtype])
    if array.nbytes != raster.size_bytes:
        raise BadRequest.field("frame size", array.nbytes, f"{raster.size_bytes} bytes")
    return array.reshape(raster.height, raster.width, raster.channels)


def _positions(raster: Raster) -> list[int]:
    """Position in the raster of R, G, B or of gray."""
    if raster.channels < 3:
        return [0]
    return [2, 1, 0] if raster.order == "bgra" else [0, 1, 2]


def decode(raster: Raster, frame: memoryview | bytearray | bytes) -> tuple[Image, Alpha | None]:
    """Colour and alpha of a raster; alpha is None where the raster has none."""
    return read(pixels(raster, frame), raster)


def read(source: npt.NDArray[np.generic], raster: Raster) -> tuple[Image, Alpha | None]:
    """Colour and alpha of an array (h, w, C) of pixels of a raster's kind."""
    height, width = source.shape[:2]
    colour = torch.empty((1, len(_positions(raster)), height, width))
    for channel, position in enumerate(_positions(raster)):
        _read_plane(source[..., position], colour[0, channel], raster.dtype)
    if not has_alpha(raster):
        return colour, None
    alpha = torch.empty((1, 1, height, width))
    _read_plane(source[..., -1], alpha[0, 0], raster.dtype)
    return colour, alpha.clamp_(0, 1)


def _read_plane(source: npt.NDArray[np.generic], target: Tensor, dtype: str) -> None:
    into = target.numpy()
    if dtype in LEVELS:
        np.divide(source, np.float32(LEVELS[dtype]), out=into, dtype=np.float32)
    else:
        np.copyto(into, source)
        torch.nan_to_num_(target, nan=0.0, posinf=LARGEST, neginf=-LARGEST)


def encode(
    image: Image, alpha: Alpha | None, like: Raster, allocate: Callable[[int], memoryview]
) -> tuple[Raster, memoryview]:
    """Pixels of the same kind as `like` (channels, dtype, order), written straight into memory from `allocate`.

    The raster keeps `like`'s offset; whoever changed the scale moves it.
    """
    height, width = image.shape[-2:]
    raster = Raster(height, width, like.channels, like.dtype, like.order, like.x, like.y)
    frame = allocate(raster.size_bytes)
    target = np.frombuffer(frame, NUMPY_DTYPES[raster.dtype]).reshape(height, width, raster.channels)
    write(image, alpha, target, raster)
    return raster, frame


def write(image: Image, alpha: Alpha | None, target: npt.NDArray[np.generic], raster: Raster) -> None:
    """Colour and alpha (None: opaque) into an array (H, W, C) of pixels of a raster's kind."""
    write_colour(image, target, raster)
    if has_alpha(raster):
        write_alpha(torch.ones((1, 1, *image.shape[-2:])) if alpha is None else alpha, target, raster)


def write_alpha(alpha: Alpha, target: npt.NDArray[np.generic], raster: Raster) -> None:
    """The alpha into an array (H, W, C) of pixels of a raster's kind; not into its colour."""
    _write_plane(alpha[0, 0], target[..., -1], raster.dtype)


def write_colour(image: Image, target: npt.NDArray[np.generic], raster: Raster, where: Tensor | None = None) -> None:
    """The colour into an array (H, W, C) of pixels of a raster's kind; not into its alpha.

    where : (H, W) bool, the pixels to write; None writes all
    """
    for plane, position in zip(image[0], _positions(raster), strict=True):
        _write_plane(plane, target[..., position], raster.dtype, where)


def _write_plane(plane: Tensor, target: npt.NDArray[np.generic], dtype: str, where: Tensor | None = None) -> None:
    if dtype == "u8" and where is None and plane.numel() >= LARGE_PIXELS:
        torch.from_numpy(target).copy_(plane.mul(255).add_(0.5).clamp_(0, 255))
        return
    for top in range(0, len(plane), BAND_ROWS):
        band = slice(top, top + BAND_ROWS)
        values = _quantised(plane[band].numpy(), dtype)
        if where is None:
            target[band] = values
        else:
            np.copyto(target[band], values, casting="unsafe", where=where[band].numpy())


def _quantised(band: npt.NDArray[np.float32], dtype: str) -> npt.NDArray[np.float32]:
    """Values that only need their type changed. In numpy and small bands: it is done before torch's threads are up."""
    if dtype in LEVELS:
        levels = np.float32(LEVELS[dtype])
        scaled = band * levels
        scaled += np.float32(0.5)
        return np.clip(scaled, 0, levels, out=scaled)
    return np.clip(band, -LARGEST, LARGEST) if dtype == "f16" else band
