"""UpConv7: seven valid convolutions, the last one transposed with stride 2, so that all the work is done at input size.

Source: nagadomi, waifu2x, lib/srcnn.lua (`upconv_7`), MIT; weights of the same project.
Context 7: six 3x3 layers take 6 pixels a side, the 4x4 transposed one (padding 3) another.
"""

from __future__ import annotations

from torch import Tensor, nn

from samovar.networks import Network, leaky

CHANNELS = (3, 16, 32, 64, 128, 128, 256)


class Chain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        pairs = zip(CHANNELS, CHANNELS[1:], strict=False)
        self.convolutions = nn.ModuleList(nn.Conv2d(before, after, 3) for before, after in pairs)
        self.head = nn.ConvTranspose2d(CHANNELS[-1], 3, 4, stride=2, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        for convolution in self.convolutions:
            x = leaky(convolution(x), 0.1)
        y: Tensor = self.head(x)
        return y


class UpConv7(Network):
    tile_bytes = 1600
    units = ("chain",)
    precise = ("chain.head",)

    def __init__(self) -> None:
        super().__init__()
        self.chain = Chain()

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 14, w + 14) -> (N, 3, 2h, 2w)
        y: Tensor = self.chain(x)
        return y


def build() -> Network:
    return UpConv7()
