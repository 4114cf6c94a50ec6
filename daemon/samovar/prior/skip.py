"""The network of Deep Image Prior: an hourglass with thin skip connections.

At each scale: a convolution that halves, another one, the smaller scales, twice the size again; beside it a 1x1
convolution to a few channels, the skip. Both together go through a 3x3 and a 1x1 convolution. Batch normalisation and
LeakyReLU(0.2) after each, always with the statistics of the picture at hand; mirrored borders; at the end a 1x1
convolution and a sigmoid.

Source: Ulyanov et al. 2018, figure 21 and section "Implementation details"; sizes in `recipes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.2


@dataclass(frozen=True)
class Shape:
    """widths : channels of each scale, from fine to coarse; skips : of their skips, 0 none
    depth : channels of the input; up : "bilinear" or "nearest"; down_kernel : side of the kernels on the way down
    pooled : halve by averaging instead of by a stride; mixed : 1x1 convolutions on the way up
    """

    widths: tuple[int, ...]
    skips: tuple[int, ...]
    depth: int
    up: str = "bilinear"
    down_kernel: int = 3
    pooled: bool = False
    mixed: bool = True

    @property
    def multiple(self) -> int:
        """Sides of the input have to be multiples of this."""
        return int(2 ** len(self.widths))

    @property
    def least(self) -> int:
        """The smallest side of an input: on the coarsest scale there is as much as a kernel mirrors, and one more."""
        return self.multiple * (self.down_kernel // 2 + 1)


class Skip(nn.Module):
    """(1, depth, H, W) -> (1, channels, H, W), 0..1. H, W : multiples of `shape.multiple`, at least `shape.least`"""

    def __init__(self, shape: Shape, channels: int) -> None:
        super().__init__()
        self.shape = shape
        self.body = _Scale(shape, 0, shape.depth)
        self.last = nn.Conv2d(shape.widths[0], channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))

    def head(self, features: Tensor) -> Tensor:
        """The picture, from what the hourglass gives."""
        drawn: Tensor = torch.sigmoid(self.last(features))
        return drawn


class _Scale(nn.Module):
    def __init__(self, shape: Shape, index: int, channels: int) -> None:
        super().__init__()
        width, skip = shape.widths[index], shape.skips[index]
        is_last = index + 1 == len(shape.widths)
        below = width if is_last else shape.widths[index + 1]
        self.up = shape.up
        self.skip = _layer(channels, skip, 1) if skip else None
        self.down = nn.Sequential(
            _layer(channels, width, shape.down_kernel, halve="pool" if shape.pooled else "stride"),
            _layer(width, width, shape.down_kernel),
        )
        self.deeper = nn.Identity() if is_last else _Scale(shape, index + 1, width)
        self.merge = nn.Sequential(nn.BatchNorm2d(skip + below, track_running_stats=False), _layer(skip + below, width))
        self.mix = _layer(width, width, 1) if shape.mixed else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.deeper(self.down(x))
        if self.up == "nearest":
            inner = functional.interpolate(inner, scale_factor=2.0, mode="nearest")
        else:
            inner = functional.interpolate(inner, scale_factor=2.0, mode="bilinear", align_corners=False)
        if self.skip is not None:
            inner = torch.cat([self.skip(x), inner], 1)
        mixed: Tensor = self.mix(self.merge(inner))
        return mixed


def _layer(channels: int, width: int, kernel: int = 3, halve: str = "") -> nn.Sequential:
    """A convolution with what follows it. halve : "stride", "pool" or not at all"""
    stride = 2 if halve == "stride" else 1
    parts: list[nn.Module] = [
        nn.Conv2d(
            channels, width, kernel, stride, padding=kernel // 2, padding_mode="reflect" if kernel > 1 else "zeros"
        )
    ]
    if halve == "pool":
        parts.append(nn.AvgPool2d(2))
    return nn.Sequential(*parts, nn.BatchNorm2d(width, track_running_stats=False), nn.LeakyReLU(SLOPE, inplace=True))


def convolutions(network: nn.Module) -> list[nn.Conv2d]:
    """All of a network's, in the order in which they were made."""
    return [each for each in network.modules() if isinstance(each, nn.Conv2d)]
