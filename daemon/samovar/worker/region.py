"""Which part of a layer is asked for, and how much of the result is taken: boxes and masks.

A `Mask` is a tensor (1, 1, H, W), float32, 0..1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from samovar.worker.blur import gaussian
from samovar.worker.tiling import Wrap
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster, Rectangle

Mask = Tensor


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of a layer; may reach beyond it where the layer wraps."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.width)

    def grown(self, margin: int, pitch: int, height: int, width: int, wrap: Wrap = (False, False)) -> Box:
        """With at least `margin` more on each side, from one multiple of `pitch` to another, within a layer of the
        given size; along an axis that wraps beyond it, or from end to end where that is less."""
        spans = []
        for start, length, size, wraps in (
            (self.top, self.height, height, wrap[0]),
            (self.left, self.width, width, wrap[1]),
        ):
            first = math.floor((start - margin) / pitch) * pitch
            stop = math.ceil((start + length + margin) / pitch) * pitch
            if stop - first >= size or not wraps:
                first, stop = (0, size) if stop - first >= size and wraps else (max(0, first), min(size, stop))
            spans.append((first, stop - first))
        return Box(spans[0][0], spans[1][0], spans[0][1], spans[1][1])

    def within(self, other: Box) -> tuple[slice, slice]:
        """Rows and columns of this box, seen from a box around it."""
        top, left = self.top - other.top, self.left - other.left
        return slice(top, top + self.height), slice(left, left + self.width)


def scope(region: Rectangle | None, raster: Raster) -> Box:
    """What is to come back. Raises BadRequest for a region that is empty or not inside the layer."""
    if region is None:
        return Box(0, 0, raster.height, raster.width)
    inside = 0 <= region.x <= raster.width - region.width and 0 <= region.y <= raster.height - region.height
    if not inside or min(region.width, region.height) < 1:
        found = f"{region.width}x{region.height} at {region.x}, {region.y}"
        raise BadRequest.field("region", found, f"inside {raster.width}x{raster.height}")
    return Box(region.y, region.x, region.height, region.width)


def placed(mask: Mask, raster: Raster, layer: Raster, box: Box) -> Mask:
    """A mask that came with an offset of its own, cut and filled up with 0 to cover a box of the layer."""
    covering = torch.zeros((1, 1, box.height, box.width))
    (rows, columns), (its_rows, its_columns) = common(raster, layer, box)
    covering[:, :, rows, columns] = mask[:, :, its_rows, its_columns]
    return covering


def common(raster: Raster, layer: Raster, box: Box) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns that a raster with an offset of its own and a box of a layer share, in the box and in it."""
    sides = []
    for start, size, length in (
        (raster.y - layer.y - box.top, raster.height, box.height),
        (raster.x - layer.x - box.left, raster.width, box.width),
    ):
        first = max(0, start)
        stop = max(first, min(length, start + size))
        sides.append((slice(first, stop), slice(first - start, stop - start)))
    return (sides[0][0], sides[1][0]), (sides[0][1], sides[1][1])


def bounds(mask: Mask) -> Box | None:
    """The smallest box with everything above 0 in it; None if there is nothing."""
    rows = torch.nonzero(mask[0, 0].amax(1) > 0).flatten()
    columns = torch.nonzero(mask[0, 0].amax(0) > 0).flatten()
    if not len(rows):
        return None
    top, left = int(rows[0]), int(columns[0])
    return Box(top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left)


def feather(mask: Mask, radius: float) -> Mask:
    """Soften the border of a mask without moving its half-way line.

    radius : standard deviation in pixels; 0 leaves the mask as it is
    returns : a new mask; equal to the old one farther than 3 * radius from any border
    """
    return mask.clone() if radius <= 0 else gaussian(mask, radius).clamp_(0, 1)


def grow(mask: Mask, radius: float) -> Mask:
    """Each pixel becomes the largest one within a disc around it; a negative radius shrinks the mask instead.

    radius : pixels; a disc holds what is at most this far away, from centre to centre. Nothing comes in from beyond the
        layer, and shrinking does not begin at its border: what lies there may go on outside
    returns : a new mask, soft where the old one is
    """
    if radius < 0:
        return 1 - grow(1 - mask, -radius)
    height, width = mask.shape[-2:]
    grown = mask.clone()
    for dy in range(-min(int(radius), height - 1), min(int(radius), height - 1) + 1):
        half = min(int(math.sqrt(radius**2 - dy**2)), width - 1)
        row = functional.max_pool2d(mask, (1, 2 * half + 1), stride=1, padding=(0, 0) if not half else (0, half))
        to, of = grown[:, :, max(0, dy) : height + min(0, dy)], row[:, :, max(0, -dy) : height - max(0, dy)]
        torch.maximum(to, of, out=to)
    return grown
