"""A chain of convolutions that finds the noise in a picture, which is then taken away.

Source: Zhang, Zuo, Chen, Meng, Zhang, "Beyond a Gaussian Denoiser: Residual Learning of Deep CNN for Image Denoising",
IEEE TIP 26 (2017), arXiv:1608.03981, section III (3x3 convolutions, residual learning, one network for many levels of
noise). Smaller than there, 12 layers of 48 instead of 20 of 64, with PReLU instead of normalisation and ReLU, and none
of the layers pads: a tile comes with its context.
"""

from __future__ import annotations

from torch import Tensor, nn

from samovar.networks import Network

LAYERS, CHANNELS = 12, 48
CONTEXT = LAYERS
"""Pixels around what it is asked for that it may see."""


class DnCNN(Network):
    units = ("noise",)
    tile_bytes = 900
    precise = (f"noise.{2 * (LAYERS - 1)}",)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in [3] + [CHANNELS] * (LAYERS - 2):
            layers += [nn.Conv2d(before, CHANNELS, 3), nn.PReLU(CHANNELS)]
        self.noise = nn.Sequential(*layers, nn.Conv2d(CHANNELS, 3, 3))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 2 * CONTEXT, w + 2 * CONTEXT) -> (N, 3, h, w)
        noise: Tensor = self.noise(x)
        return x[:, :, CONTEXT:-CONTEXT, CONTEXT:-CONTEXT] - noise


def build() -> Network:
    return DnCNN()
