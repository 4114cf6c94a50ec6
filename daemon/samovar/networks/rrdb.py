"""RRDBNet: residual in residual dense blocks at input size, then twice nearest-neighbour enlargement and convolution.

Source: Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018, arXiv 1809.00219;
Real-ESRGAN, BSD-3-Clause (4x: no pixel unshuffle in front).

Its formal receptive field is 15 pixels a block and side (93 and 348), more than tiling can afford: `context` is less.
Measured with context 48, tiles of 64 against the whole of a 128x128 crop of a photo, at most and on average: 6 blocks
1.0/255 and 0.01/255 (a 1-pixel checkerboard included), 23 blocks 2.7/255 and 0.06/255. With context 24: 36/255 and
0.4/255, 24/255 and 0.8/255. Layers pad with zeros inside the context; before the enlargement all of it but MARGIN is
cut off, so that the expensive layers at 2x and 4x work on little more than the tile.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import Network, leaky

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


class RRDB(Network):
    tile = 128

    def __init__(self, blocks: int, context: int) -> None:
        super().__init__()
        self.context = context
        self.first = nn.Conv2d(3, FEATURES, 3, padding=1)
        self.trunk = nn.Sequential(*(ResidualBlock() for _ in range(blocks)))
        self.fuse = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.up1 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.up2 = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.high = nn.Conv2d(FEATURES, FEATURES, 3, padding=1)
        self.last = nn.Conv2d(FEATURES, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 2 * context, w + 2 * context) -> (N, 3, 4h, 4w)
        x = self.first(x)
        x = x + self.fuse(self.trunk(x))
        cut = self.context - MARGIN
        x = x[:, :, cut:-cut, cut:-cut].contiguous(memory_format=torch.channels_last)
        for up in (self.up1, self.up2):
            x = leaky(up(functional.interpolate(x, scale_factor=2, mode="nearest")), SLOPE)
        y: Tensor = self.last(leaky(self.high(x), SLOPE))
        return y[:, :, 4 * MARGIN : -4 * MARGIN, 4 * MARGIN : -4 * MARGIN]


def build(blocks: int, context: int) -> Network:
    """blocks : 6 (drawings) or 23; context : the card's receptive_field, more than MARGIN"""
    return RRDB(blocks, context)
