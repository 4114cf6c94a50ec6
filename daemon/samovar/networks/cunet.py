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


# The parts between the poolings. Sizes in their comments are those of the enlarging network, as the input's; otherwise
# all from the second U-Net on are half of them.


class First(nn.Module):
    """The first U-Net down to its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(3, 32, 64)
        self.down = nn.Conv2d(64, 64, 2, stride=2)
        self.deep = Pair(64, 128, 64)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.pair(x)  # 64, as the input less 2 a side
        return skip, self.deep(leaky(self.down(skip), SLOPE))  # 64, half size


class Second(nn.Module):
    """The first U-Net up again, its picture, and the second one down a level."""

    def __init__(self, enlarging: bool) -> None:
        super().__init__()
        self.excite = Excite(64)
        self.up = nn.ConvTranspose2d(64, 64, 2, stride=2)
        self.last = nn.Conv2d(64, 64, 3)
        self.head = nn.ConvTranspose2d(64, 3, 4, stride=2, padding=3) if enlarging else nn.Conv2d(64, 3, 3)
        self.pair = Pair(3, 32, 64)
        self.down = nn.Conv2d(64, 64, 2, stride=2)
        self.deep = Pair(64, 64, 128)

    def forward(self, skip: Tensor, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = leaky(self.up(self.excite(y, mean)), SLOPE).add_(_cropped(skip, 4))
        coarse = self.head(leaky(self.last(y), SLOPE))  # 3, twice the size of the input
        skip = self.pair(coarse)  # 64, twice
        return coarse, skip, self.deep(leaky(self.down(skip), SLOPE))  # 128, size of the input


class Third(nn.Module):
    """The second U-Net down to its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.excite = Excite(128)
        self.down = nn.Conv2d(128, 128, 2, stride=2)
        self.deep = Pair(128, 256, 128)

    def forward(self, y: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
        middle = self.excite(y, mean)
        return middle, self.deep(leaky(self.down(middle), SLOPE))  # 128, half size


class Fourth(nn.Module):
    """The second U-Net up a level."""

    def __init__(self) -> None:
        super().__init__()
        self.excite = Excite(128)
        self.up = nn.ConvTranspose2d(128, 128, 2, stride=2)
        self.join = Pair(128, 64, 64)

    def forward(self, middle: Tensor, y: Tensor, mean: Tensor) -> Tensor:
        y = leaky(self.up(self.excite(y, mean)), SLOPE).add_(_cropped(middle, 4))
        joined: Tensor = self.join(y)  # 64, size of the input
        return joined


class Fifth(nn.Module):
    """The second U-Net up to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.excite = Excite(64)
        self.up = nn.ConvTranspose2d(64, 64, 2, stride=2)
        self.last = nn.Conv2d(64, 64, 3)
        self.head = nn.Conv2d(64, 3, 3)

    def forward(self, coarse: Tensor, skip: Tensor, y: Tensor, mean: Tensor) -> Tensor:
        y = leaky(self.up(self.excite(y, mean)), SLOPE).add_(_cropped(skip, 16))
        result: Tensor = self.head(leaky(self.last(y), SLOPE))
        return result.add_(_cropped(coarse, 20))


class CUNet(PoolingNetwork):
    units = ("first", "second", "pair", "third", "fourth", "fifth")
    precise = ("second.head", "fifth.head", *(f"{part}.excite" for part in ("second", "third", "fourth", "fifth")))

    def __init__(self, scale: int) -> None:
        super().__init__()
        enlarging = scale == 2
        self.tile, self.held_bytes = (192, 700) if enlarging else (256, 340)
        self.tile_bytes = 3200 if enlarging else 1200
        self.poolings = ENLARGING if enlarging else KEEPING
        self.first = First()
        self.second = Second(enlarging)
        self.pair = self.second.pair
        self.third = Third()
        self.fourth = Fourth()
        self.fifth = Fifth()

    def steps(self, x: Tensor, light: bool = False) -> Generator[Tensor, Tensor, Tensor]:
        """light : hold little between the steps, for some more work"""
        skip, y = self.first(x)
        del x
        coarse, skip, y = self.second(skip, y, (yield y))
        if light:
            del skip
        middle, y = self.third(y, (yield y))
        y = self.fourth(middle, y, (yield y))
        del middle
        mean = yield y
        result: Tensor = self.fifth(coarse, self.pair(coarse) if light else skip, y, mean)
        return result


def _cropped(x: Tensor, margin: int) -> Tensor:
    return x[:, :, margin:-margin, margin:-margin]


def build(scale: int = 2) -> PoolingNetwork:
    """scale : 2 or 1"""
    return CUNet(scale)
