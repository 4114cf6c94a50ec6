"""Gaussian blur of any plane, with the border that networks see too (see `tiling`)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from samovar.worker.tiling import Wrap, beyond

REACH = 3.0
"""Standard deviations after which the kernel ends: 0.3 % of it are left out."""


def gaussian(planes: Tensor, sigma: float, wrap: Wrap = (False, False)) -> Tensor:
    """Each plane blurred, a new tensor. (1, C, H, W), any range; sigma : standard deviation in pixels, > 0"""
    radius = math.ceil(REACH * sigma)
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel /= kernel.sum()
    planes = planes.transpose(0, 1)  # (C, 1, H, W): one filter for all
    for axis, shape in ((0, (1, 1, -1, 1)), (1, (1, 1, 1, -1))):
        size = planes.shape[2 + axis]
        index = beyond(torch.arange(-radius, size + radius), size, radius, wrap[axis])
        planes = functional.conv2d(planes.index_select(2 + axis, index), kernel.view(shape))
    return planes.transpose(0, 1)
