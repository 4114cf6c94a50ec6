"""RRDBNet: residual in residual dense blocks at input size, then twice nearest-neighbour enlargement and convolution.

Source: Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018, arXiv 1809.00219;
Real-ESRGAN, BSD-3-Clause (4x: no pixel unshuffle in front).

Its formal receptive field is 15 pixels a block and side (93 and 348), more than tiling can afford, so it runs stage by
stage (see `worker.staging`). Layers pad with zeros, as in training.

What lies beyond 48, 80, 96 pixels changes the result of 6 blocks by at most 1.6/255, 0.00, 0.00, that of 23 blocks by
5.1/255, 0.19, 0.02 (crops of a photo, a drawing, a photo with strong noise, which is the worst).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import Network, StagedNetwork, leaky

FEATURES, GROWTH = 64, 32
RESIDUAL = 0.2
SLOPE = 0.2
MARGIN = 2
"""Input pixels that the layers after the trunk look around themselves: 1/2 + 3/4, rounded up."""


class DenseBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv2d(FEATURES + GROWTH * i, GROWTH, 3, padding=1) for i in range(4))
        self.fuse = nn.Conv2d(FEATURES + GROWTH * 4, FEATURES, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for convolution in self.convolutions:
            seen = torch.cat((seen, leaky(convolution(seen), SLOPE)), 1)
        y: Tensor = self.fuse(seen)
        return y.mul_(RESIDUAL).add_(x)


class ResidualBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(DenseBlock() for _ in range(3)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dense(x)
        return y.mul_(RESIDUAL).add_(x)


class Tail(nn.Module):
    """What comes after the trunk: twice enlarged, then the picture. Cuts off what saw the zeros around the input."""

    def __init__(self) -> None:
        super().__init__()
        self.fuse = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.up1 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.up2 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.high = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.last = nn.Conv2d(FEATURES, 3, 3, padding=1)

    def forward(self, shallow: Tensor, features: Tensor) -> Tensor:
        x = shallow + self.fuse(features)
        x = x[:, :, 2:-2, 2:-2].contiguous(memory_format=torch.channels_last)
        for up in (self.up1, self.up2):
            x = leaky(up(functional.interpolate(x, scale_factor=2.0, mode="nearest")), SLOPE)
        y: Tensor = self.last(leaky(self.high(x), SLOPE))
        return y[:, :, 4 * MARGIN : -4 * MARGIN, 4 * MARGIN : -4 * MARGIN]


class RRDB(StagedNetwork):
    tile = 192
    precise = ("tail.last",)
    stage_halo = 15
    finish_halo = MARGIN + 2
    seam_context = 96
    held_bytes = 2 * FEATURES * 4
    tile_bytes = 10000  # of the end, which works at the size of the result
    stage_share = 2.25

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, FEATURES, 3, padding=1)
        self.trunk = nn.Sequential(*(ResidualBlock() for _ in range(blocks)))
        self.tail = Tail()
        self.units = ("first", *(f"trunk.{index}" for index in range(blocks)), "tail")

    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        return (self.first, *self.trunk)

    def finish(self, x: Tensor, features: Tensor) -> Tensor:
        y: Tensor = self.tail(self.first(x), features)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """The whole of a picture, less what `finish` takes as its halo."""
        return self.finish(x, self.trunk(self.first(x)))


def build(blocks: int) -> Network:
    """blocks : 6 (drawings) or 23"""
    return RRDB(blocks)
