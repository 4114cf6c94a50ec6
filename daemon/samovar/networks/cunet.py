"""CUNet: two U-Nets in cascade, all convolutions valid, with squeeze-excite; the first one may enlarge by 2.

Source: nagadomi, waifu2x, lib/srcnn.lua (`upcunet` enlarges, `cunet` keeps the size), MIT; weights of the same project.

Context 18 (enlarging) or 28; the input's sides must be a multiple of 4. At 4 places the channels are weighted by a
function of their mean over the picture (squeeze-excite), each of which depends on the one before. `steps` stops at each
for the mean, so that a caller with many tiles can form it over all of them.
"""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor, nn

from samovar.networks import Pooling, PoolingNetwork, leaky

SLOPE = 0.1
ENLARGING = (Pooling(6, 6, 0.08), Pooling(7, 7, 0.40), Pooling(1, 2, 0.61), Pooling(1, 1, 0.78))
KEEPING = (Pooling(11, 11, 0.23), Pooling(7, 7, 0.54), Pooling(1, 2, 0.68), Pooling(1, 1, 0.79))


class Excite(nn.Module):
    """Weights channels by what their means over the picture say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // 8)
        self.excite = nn.Linear(channels // 8, channels)

    def forward(self, x: Tensor, mean: Tensor) -> Tensor:  # (N, C, h, w), (1, C) -> (N, C, h, w), in place
        weight = torch.sigmoid(self.excite(torch.relu(self.squeeze(mean))))
        return x.mul_(weight[:, :, None, None])


class Pair(nn.Module):
    """Two 3x3 convolutions."""

    def __init__(self, before: int, between: int, after: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, between, 3)
        self.second = nn.Conv2d(between, after, 3)

    def forward(self, x: Tensor) -> Tensor:
        return leaky(self.second(leaky(self.first(x), SLOPE)), SLOPE)


class CUNet(PoolingNetwork):
    """`down` halves the size, `up` doubles it; numbers: 1 the first U-Net, 2 to 4 the levels of the second."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        enlarging = scale == 2
        self.tile, self.held_bytes = (192, 700) if enlarging else (256, 340)
        self.poolings = ENLARGING if enlarging else KEEPING
        self.pair1 = Pair(3, 32, 64)
        self.down1 = nn.Conv2d(64, 64, 2, stride=2)
        self.deep1 = Pair(64, 128, 64)
        self.excite1 = Excite(64)
        self.up1 = nn.ConvTranspose2d(64, 64, 2, stride=2)
        self.last1 = nn.Conv2d(64, 64, 3)
        self.head1 = nn.ConvTranspose2d(64, 3, 4, stride=2, padding=3) if enlarging else nn.Conv2d(64, 3, 3)
        self.pair2 = Pair(3, 32, 64)
        self.down2 = nn.Conv2d(64, 64, 2, stride=2)
        self.deep2 = Pair(64, 64, 128)
        self.excite2 = Excite(128)
        self.down3 = nn.Conv2d(128, 128, 2, stride=2)
        self.deep3 = Pair(128, 256, 128)
        self.excite3 = Excite(128)
        self.up3 = nn.ConvTranspose2d(128, 128, 2, stride=2)
        self.join3 = Pair(128, 64, 64)
        self.excite4 = Excite(64)
        self.up2 = nn.ConvTranspose2d(64, 64, 2, stride=2)
        self.last2 = nn.Conv2d(64, 64, 3)
        self.head2 = nn.Conv2d(64, 3, 3)

    def steps(self, x: Tensor, light: bool = False) -> Generator[Tensor, Tensor, Tensor]:
        """light : hold little between the steps, for some more work

        Sizes below are those of the enlarging network; otherwise all from the second U-Net on are half of them.
        """
        skip = self.pair1(x)  # 64, as the input less 2 a side
        del x
        y = self.deep1(leaky(self.down1(skip), SLOPE))  # 64, half size
        y = self.excite1(y, (yield y))
        y = leaky(self.up1(y), SLOPE).add_(_cropped(skip, 4))
        coarse = self.head1(leaky(self.last1(y), SLOPE))  # 3, twice the size of the input
        skip = self.pair2(coarse)  # 64, twice
        y = self.deep2(leaky(self.down2(skip), SLOPE))  # 128, size of the input
        if light:
            del skip
        y = self.excite2(y, (yield y))
        middle = y
        y = self.deep3(leaky(self.down3(y), SLOPE))  # 128, half size
        y = self.excite3(y, (yield y))
        y = leaky(self.up3(y), SLOPE).add_(_cropped(middle, 4))
        del middle
        y = self.join3(y)  # 64, size of the input
        y = self.excite4(y, (yield y))
        y = leaky(self.up2(y), SLOPE).add_(_cropped(self.pair2(coarse) if light else skip, 16))
        y = self.head2(leaky(self.last2(y), SLOPE))
        result: Tensor = y.add_(_cropped(coarse, 20))
        return result


def _cropped(x: Tensor, margin: int) -> Tensor:
    return x[:, :, margin:-margin, margin:-margin]


def build(scale: int = 2) -> PoolingNetwork:
    """scale : 2 or 1"""
    return CUNet(scale)
