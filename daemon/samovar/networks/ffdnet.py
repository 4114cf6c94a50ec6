"""FFDNet: a chain of 3x3 convolutions at half size, over the four quarters of each 2x2 pixels and a map of the noise.

Source: Zhang, Zuo, Zhang, "FFDNet: Toward a Fast and Flexible Solution for CNN based Image Denoising", IEEE TIP 2018;
layers and names as in KAIR, models/network_ffdnet.py, MIT. There every layer pads with zeros; here none pads, since the
tile comes with its context (24: two pixels a layer).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import Network

LAYERS, FEATURES = 12, 96


class FFDNet(Network):
    """sigma : standard deviation of the noise that is to go, of values 0..1"""

    tile_bytes = 700
    units = ("model",)
    precise = (f"model.{2 * (LAYERS - 1)}",)

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        layers: list[nn.Module] = [nn.Conv2d(4 * 3 + 1, FEATURES, 3)]
        for _ in range(LAYERS - 2):
            layers += [nn.ReLU(inplace=True), nn.Conv2d(FEATURES, FEATURES, 3)]
        layers += [nn.ReLU(inplace=True), nn.Conv2d(FEATURES, 4 * 3, 3)]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 48, w + 48) -> (N, 3, h, w)
        quarters = functional.pixel_unshuffle(x, 2)
        noise = quarters.new_full((len(x), 1, *quarters.shape[2:]), self.sigma)
        stacked = torch.cat((quarters, noise), 1).contiguous(memory_format=torch.channels_last)
        return functional.pixel_shuffle(self.model(stacked), 2)


def build(sigma: float) -> Network:
    """sigma : in levels of 255"""
    return FFDNet(sigma / 255)
