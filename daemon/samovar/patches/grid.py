"""Maps over a picture that goes on at its other side along some axes and ends along others."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Wrap = tuple[bool, bool]
Planes = Tensor
"""(H, W, C) float32."""
Mask = Tensor
"""(H, W) bool."""


def padded(planes: Planes, margin: int, wrap: Wrap, value: float | None = None) -> Planes:
    """With `margin` more on each side: from the other side where it wraps, else the last pixel, or `value`."""
    for axis in (0, 1):
        size = planes.shape[axis]
        index = torch.arange(-margin, size + margin)
        inside = planes.index_select(axis, index % size if wrap[axis] else index.clamp(0, size - 1))
        if value is not None and not wrap[axis]:
            inside.narrow(axis, 0, margin).fill_(value)
            inside.narrow(axis, size + margin, margin).fill_(value)
        planes = inside
    return planes


def dilated(mask: Mask, radius: int, wrap: Wrap = (False, False)) -> Mask:
    """True within `radius` (a square) of what is."""
    return _spread(mask, radius, wrap, False)


def eroded(mask: Mask, radius: int, wrap: Wrap = (False, False), outside: bool = False) -> Mask:
    """True where all within `radius` is; beyond the borders all is `outside`."""
    return ~_spread(~mask, radius, wrap, not outside)


def _spread(mask: Mask, radius: int, wrap: Wrap, beyond: bool) -> Mask:
    """Whether any within a square around each is, which is whether any in a column of any in rows."""
    for axis in (1, 0):
        whole = padded_mask(mask, axis, radius, wrap[axis], beyond)
        size = mask.shape[axis]
        mask = whole.narrow(axis, 0, size).clone()
        for step in range(1, 2 * radius + 1):
            mask |= whole.narrow(axis, step, size)
    return mask


def padded_mask(mask: Mask, axis: int, margin: int, wraps: bool, beyond: bool) -> Mask:
    """With `margin` more at both ends of one axis."""
    size = mask.shape[axis]
    if wraps:
        return mask.index_select(axis, torch.arange(-margin, size + margin) % size)
    shape = list(mask.shape)
    shape[axis] = margin
    outside = torch.full(shape, beyond)
    return torch.cat([outside, mask, outside], axis)


def around(mask: Mask, margin: int, wrap: Wrap) -> tuple[slice, slice]:
    """Rows and columns of the box around what is True, with a margin, within the picture; all of an axis that wraps."""
    sides = []
    for axis in (0, 1):
        at = mask.any(1 - axis).nonzero().flatten()
        if wrap[axis] or not len(at):
            sides.append(slice(0, mask.shape[axis]))
        else:
            sides.append(slice(max(0, int(at[0]) - margin), min(mask.shape[axis], int(at[-1]) + 1 + margin)))
    return sides[0], sides[1]


def doubled(planes: Planes, wrap: Wrap = (False, False)) -> Planes:
    """Twice the size, linearly between the middles of pixels, and on in the same slope beyond the outermost ones."""
    around = padded(planes, 1, wrap)
    for axis in (0, 1):
        if not wrap[axis] and planes.shape[axis] > 1:
            for edge, first, second in ((0, 1, 2), (-1, -2, -3)):
                near, far = around.select(axis, first), around.select(axis, second)
                around.select(axis, edge).copy_(2 * near - far)
    enlarged = functional.interpolate(
        around.permute(2, 0, 1).unsqueeze(0), scale_factor=2, mode="bilinear", align_corners=False
    )
    return enlarged[0].permute(1, 2, 0)[2:-2, 2:-2]


def halved(planes: Planes, weight: Tensor) -> tuple[Planes, Tensor]:
    """Half the size, rounded up: means of 2x2 pixels, each as much as its weight (H, W), and the sum of weights."""
    weight = weight.unsqueeze(2)
    height, width = planes.shape[:2]
    both = torch.cat([planes * weight, weight], 2).permute(2, 0, 1).unsqueeze(0)
    both = functional.pad(both, (0, width % 2, 0, height % 2))
    summed = 4 * functional.avg_pool2d(both, 2)[0].permute(1, 2, 0)
    total = summed[..., -1:]
    return summed[..., :-1] / total.clamp(min=1e-6), total[..., 0]
