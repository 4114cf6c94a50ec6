"""SRVGGNetCompact: a chain of 3x3 convolutions at input size, then a pixel shuffle, added to the enlarged input.

Source: Wang et al., Real-ESRGAN, realesrgan/archs/srvgg_arch.py, BSD-3-Clause. There every layer pads with zeros; here
none pads, since the tile comes with its context (18: one pixel a layer), so the picture's border sees no invented black
frame and no work is done on pixels that are cut away afterwards.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import Network


class Residual(nn.Module):
    """What is added to the enlarged input."""

    def __init__(self, features: int, depth: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        body: list[nn.Module] = []
        for before in [3] + [features] * depth:
            body += [nn.Conv2d(before, features, 3), nn.PReLU(features)]
        self.body = nn.Sequential(*body)
        self.last = nn.Conv2d(features, 3 * scale * scale, 3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.last(self.body(x)), self.scale)


class SRVGG(Network):
    tile, tile_bytes = 192, 650
    units = ("residual",)
    precise = ("residual.last",)

    def __init__(self, features: int, depth: int, scale: int) -> None:
        """depth : layers between the first and the last one"""
        super().__init__()
        self.scale = scale
        self.residual = Residual(features, depth, scale)
        self.context = depth + 2

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 36, w + 36) -> (N, 3, 4h, 4w)
        inner = x[:, :, self.context : -self.context, self.context : -self.context]
        enlarged = functional.interpolate(inner, scale_factor=self.scale, mode="nearest")
        return enlarged.add_(self.residual(x))


def build(features: int = 64, depth: int = 16, scale: int = 4) -> Network:
    return SRVGG(features, depth, scale)
