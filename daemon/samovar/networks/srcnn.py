"""SRCNN: the lightness of a picture that was enlarged by a bicubic filter, made sharp by three convolutions.

Source: Dong, Loy, He, Tang, "Image Super-Resolution Using Deep Convolutional Networks", PAMI 38 (2016),
arXiv:1501.00092, section 3 and table 1 (9-5-5, 64 and 32 filters, lightness alone, colour by the bicubic filter). Here
what the network gives is added to the bicubic lightness, which it so need not learn to pass on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import Network

SIZES, FILTERS = (9, 5, 5), (64, 32)
CONTEXT = 8
"""Pixels of the small picture: four for the convolutions, which look eight pixels of the large one, and what the
bicubic filter sees, whose picture is cut from where its own border no longer shows."""
LUMA = (0.299, 0.587, 0.114)
"""Shares of R, G and B, by ITU-R BT.601."""


class SRCNN(Network):
    units = ("layers",)
    tile_bytes = 3000
    precise = ("layers.4",)

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, FILTERS[0], SIZES[0]), nn.ReLU(),
            nn.Conv2d(FILTERS[0], FILTERS[1], SIZES[1]), nn.ReLU(),
            nn.Conv2d(FILTERS[1], 1, SIZES[2]),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 2 * CONTEXT, w + 2 * CONTEXT) -> (N, 3, 2 * h, 2 * w)
        large = functional.interpolate(x, scale_factor=2.0, mode="bicubic")
        around = sum(each // 2 for each in SIZES)
        cut = slice(2 * CONTEXT - around, around - 2 * CONTEXT)
        seen = large[:, :, cut, cut]
        lightness = torch.einsum("nchw,c->nhw", seen, seen.new_tensor(LUMA)).unsqueeze(1)
        inner: Tensor = seen[:, :, around:-around, around:-around]
        sharper: Tensor = self.layers(lightness)
        return inner + sharper


def build() -> Network:
    return SRCNN()
