"""siggraph17: colours a gray picture, led by strokes of colour where there are some.

Three halvings to features at an eighth of the size, which look far (dilated by 2), and three doublings back, each with
the features of that size from the way down added.

Source: Zhang, Zhu, Isola, Geng, Lin, Yu, Efros, "Real-Time User-Guided Image Colorization with Learned Deep Priors",
SIGGRAPH 2017, arXiv:1705.02999; names of layers, scales of L and ab, and a mask of hints that is 0 or 1 and not
centred, as in what the authors published for PyTorch (github.com/richzhang/colorization, BSD-2-Clause).
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from samovar.networks import ColourNetwork, Network

L_CENTRE, L_SCALE, AB_SCALE = 50.0, 100.0, 110.0
COLOURS = 529
"""Cells of the ab plane, 10 wide, that the network can tell apart."""


class Siggraph17(ColourNetwork):
    """model_class : (N, 256, h / 4, w / 4) -> (N, COLOURS, h / 4, w / 4), how likely each colour is there; it is in the
    published file and not needed for the picture
    """

    hints = True

    def __init__(self) -> None:
        super().__init__()
        self.model1 = nn.Sequential(*_block(4, 64, 64))
        self.model2 = nn.Sequential(*_block(64, 128, 128))
        self.model3 = nn.Sequential(*_block(128, 256, 256, 256))
        self.model4 = nn.Sequential(*_block(256, 512, 512, 512))
        self.model5 = nn.Sequential(*_block(512, 512, 512, 512, dilation=2))
        self.model6 = nn.Sequential(*_block(512, 512, 512, 512, dilation=2))
        self.model7 = nn.Sequential(*_block(512, 512, 512, 512))
        self.model8up = nn.Sequential(_doubled(512, 256))
        self.model3short8 = nn.Sequential(_convolution(256, 256))
        self.model8 = nn.Sequential(nn.ReLU(inplace=True), *_block(256, 256, 256))
        self.model9up = nn.Sequential(_doubled(256, 128))
        self.model2short9 = nn.Sequential(_convolution(128, 128))
        self.model9 = nn.Sequential(nn.ReLU(inplace=True), *_block(128, 128))
        self.model10up = nn.Sequential(_doubled(128, 128))
        self.model1short10 = nn.Sequential(_convolution(64, 128))
        self.model10 = nn.Sequential(
            nn.ReLU(inplace=True), _convolution(128, 128), nn.LeakyReLU(0.2, inplace=True)
        )  # fmt: skip
        self.model_class = nn.Sequential(nn.Conv2d(256, COLOURS, 1))
        self.model_out = nn.Sequential(nn.Conv2d(128, 2, 1), nn.Tanh())

    def forward(self, luminance: Tensor, hint: Tensor | None = None, hint_mask: Tensor | None = None) -> Tensor:
        """The colour of a picture.

        luminance : (N, 1, h, w) float32, L of CIE Lab, 0..100; h and w multiples of 8
        hint : (N, 2, h, w) float32, ab of CIE Lab, -110..110, of which those count where the mask is 1; 0 elsewhere
        hint_mask : (N, 1, h, w) float32, 0 or 1; it was trained with squares of 1 to 9 pixels
        returns : (N, 2, h, w) float32, ab of CIE Lab, -110..110
        """
        batch, _, height, width = luminance.shape
        hint = luminance.new_zeros(batch, 2, height, width) if hint is None else hint / AB_SCALE
        hint_mask = luminance.new_zeros(batch, 1, height, width) if hint_mask is None else hint_mask
        whole = self.model1(torch.cat(((luminance - L_CENTRE) / L_SCALE, hint, hint_mask), 1))
        half = self.model2(whole[:, :, ::2, ::2])  # (N, 128, h / 2, w / 2)
        quarter = self.model3(half[:, :, ::2, ::2])  # (N, 256, h / 4, w / 4)
        eighth = self.model4(quarter[:, :, ::2, ::2])  # (N, 512, h / 8, w / 8)
        eighth = self.model7(self.model6(self.model5(eighth)))
        quarter = self.model8(self.model8up(eighth) + self.model3short8(quarter))
        half = self.model9(self.model9up(quarter) + self.model2short9(half))
        whole = self.model10(self.model10up(half) + self.model1short10(whole))
        ab: Tensor = self.model_out(whole) * AB_SCALE
        return ab


def _block(*channels: int, dilation: int = 1) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(channels):
        layers += [_convolution(before, after, dilation), nn.ReLU(inplace=True)]
    return [*layers, nn.BatchNorm2d(channels[-1])]


def _convolution(before: int, after: int, dilation: int = 1) -> nn.Module:
    return nn.Conv2d(before, after, 3, padding=dilation, dilation=dilation)


def _doubled(before: int, after: int) -> nn.Module:
    return nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)


def build() -> Network:
    return Siggraph17()
