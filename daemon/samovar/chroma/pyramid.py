"""Coarse colour brought to full size along the edges of the lightness, by two at a time.

Lightness is halved level by level (means of 2x2), so that each level of colour has a lightness of its own size beside
it and one of twice its size above. A pixel above takes its colour from the 3x3 cells around it, each the more the
nearer it is and the more its lightness is the pixel's own. A cell that a line goes through is like neither side of it,
so colour does not cross lines.

Source: Kopf, Cohen, Lischinski, Uyttendaele, "Joint Bilateral Upsampling", SIGGRAPH 2007, doi 10.1145/1276377.1276497,
equation 3. Other than there: step by step, and with a floor, so that a pixel like none of its cells gets their mean.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from samovar.chroma import Wrap

NEAR = 0.5
"""Of the weight of distance, its deviation, in cells."""
LIKE = 5.0
"""Of the weight of lightness, its deviation, in units of L."""
FLOOR = 1e-4
HALO = 3
"""Cells of the coarsest level around a part that decide its colour, however many levels there are."""


def halved(plane: Tensor) -> Tensor:
    """Means of 2x2, (1, C, H, W) -> (1, C, ceil(H / 2), ceil(W / 2)); at an odd border, of what there is."""
    height, width = plane.shape[-2:]
    return functional.avg_pool2d(functional.pad(plane, (0, width % 2, 0, height % 2), mode="replicate"), 2)


def levels(plane: Tensor, count: int) -> list[Tensor]:
    """The plane and `count` halved ones, the largest first."""
    found = [plane]
    for _ in range(count):
        found.append(halved(found[-1]))
    return found


def doubled(chroma: Tensor, cells: Tensor, pixels: Tensor, wrap: Wrap = (False, False)) -> Tensor:
    """Chroma at twice the size.

    chroma : (1, C, h, w); cells : (1, 1, h, w), the lightness at its size; pixels : (1, 1, H, W), at twice the size, H
        2 * h or one less, W as well
    wrap : whether it goes on at its other side along (y, x)
    returns : (1, C, H, W)
    """
    height, width = pixels.shape[-2:]
    channels = chroma.shape[1]
    beside = _bordered(torch.cat((cells, chroma), 1), wrap)
    result = pixels.new_empty(1, channels, height, width)
    scale = 1 / (2 * LIKE * LIKE)
    for py in range(min(2, height)):
        for px in range(min(2, width)):
            own = pixels[:, :, py::2, px::2]
            rows, columns = own.shape[-2:]
            total = own.new_zeros(1, channels, rows, columns)
            weights = torch.zeros_like(own)
            for dy in range(3):
                for dx in range(3):
                    far = (dy - 1 + (0.25 - 0.5 * py)) ** 2 + (dx - 1 + (0.25 - 0.5 * px)) ** 2
                    near = float(torch.exp(torch.tensor(-far / (2 * NEAR * NEAR))))
                    part = beside[:, :, dy : dy + rows, dx : dx + columns]
                    weight = (own - part[:, :1]).square_().mul_(-scale).exp_().add_(FLOOR).mul_(near)
                    total.addcmul_(part[:, 1:], weight)
                    weights += weight
            result[:, :, py::2, px::2] = total.div_(weights)
    return result


def _bordered(planes: Tensor, wrap: Wrap) -> Tensor:
    """With one more cell on each side."""
    for axis, wraps in enumerate(wrap):
        pads = (0, 0, 1, 1) if axis == 0 else (1, 1, 0, 0)
        planes = functional.pad(planes, pads, mode="circular" if wraps else "replicate")
    return planes
