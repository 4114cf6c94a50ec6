"""SizeDecoder: the U-Net of "colorize small, then enlarge", which makes a picture twice as large.

Four convolutions that halve, five transposed ones that double; on the way up the features of the same size from the way
down are added. It knows the small picture only through those, so that what comes out is soft.

Source: the second seed of this project (a blog's listing), layer by layer: colours from -1 to 1 in and out, 4,341,161
parameters. BatchNorm stands right before the last tanh there; here, with the statistics of the training, which a small
batch would not have.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from samovar.networks import Network

DOWN = (3, 64, 128, 256, 512)
UP = (512, 256, 128, 64, 32, 3)
CONTEXT = 64
"""Pixels around what it is asked for that it may see; a multiple of the 16 by which it halves."""


class SizeDecoder(Network):
    units = ("body",)
    tile_bytes = 750

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()

    def enlarged(self, image: Tensor) -> Tensor:
        """(N, 3, h, w) float32, 0..1, sRGB-encoded, h and w multiples of 16 -> (N, 3, 2 * h, 2 * w)"""
        made: Tensor = self.body(2 * image - 1)
        return (made + 1) / 2

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 2 * CONTEXT, w + 2 * CONTEXT) -> (N, 3, 2 * h, 2 * w)
        cut = slice(2 * CONTEXT, -2 * CONTEXT)
        return self.enlarged(x)[:, :, cut, cut]


class Body(nn.Module):
    """(N, 3, h, w), -1..1 -> (N, 3, 2 * h, 2 * w)"""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU())
            for before, after in itertools.pairwise(DOWN)
        )
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.BatchNorm2d(after))
            for before, after in itertools.pairwise(UP)
        )

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for down in self.down:
            x = down(x)
            seen.append(x)
        seen.pop()
        for up in self.up[:-2]:
            x = torch.relu(up(x)) + seen.pop()
        return torch.tanh(self.up[-1](torch.tanh(self.up[-2](x))))


def build() -> Network:
    return SizeDecoder()
