"""FastGAN's generator, small, with a label for the style: a picture of 128 pixels out of 128 numbers.

Source: Liu, Zhu, Song, Elgammal, "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image
Synthesis", ICLR 2021, arXiv:2101.04775: doubling and a convolution at each size, normalised over the batch; features of
8 pixels gate those of 64. Other than there: leaky ReLU instead of gated linear units, which takes half of the work; the
style scales and shifts what was normalised (de Vries et al., arXiv:1707.00683); and the last doubling is a pixel
shuffle, so that nothing is computed at full size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import GeneratorNetwork

SIDE = 128
LATENT = 128
FEATURES = (256, 256, 128, 96, 32)
"""Of 4, 8, 16, 32, 64 pixels."""
GATE = 1
"""Index in FEATURES of those that gate the last ones."""


class Norm(nn.Module):
    """Normalises over the batch, then scales and shifts as the styles want it."""

    def __init__(self, styles: int, features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(features, affine=False)
        self.scale = nn.Parameter(torch.ones(styles, features))
        self.shift = nn.Parameter(torch.zeros(styles, features))

    def forward(self, x: Tensor, share: Tensor) -> Tensor:
        """share : of each style, (N, styles), 1 together"""
        scale, shift = (share @ each for each in (self.scale, self.shift))
        y: Tensor = self.norm(x) * scale[..., None, None].to(x.dtype) + shift[..., None, None].to(x.dtype)
        return y


class FastGAN(GeneratorNetwork):
    latent, side = LATENT, SIDE

    def __init__(self, styles: Sequence[str] = ("",)) -> None:
        super().__init__()
        self.styles = tuple(styles)
        count = len(self.styles)
        self.first = nn.Linear(LATENT + count, FEATURES[0] * 16)
        self.up = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1, bias=False)
            for before, after in zip(FEATURES, FEATURES[1:], strict=False)
        )
        self.norm = nn.ModuleList(Norm(count, each) for each in FEATURES)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(FEATURES[GATE], FEATURES[-1], 4), nn.LeakyReLU(0.2),
            nn.Conv2d(FEATURES[-1], FEATURES[-1], 1), nn.Sigmoid(),
        )  # fmt: skip
        self.colour = nn.Conv2d(FEATURES[-1], 12, 3, padding=1)

    def forward(self, places: Tensor) -> Tensor:
        """(N, latent + styles): numbers, and how much of each style -> (N, 3, SIDE, SIDE), -1..1"""
        share = places[:, LATENT:]
        x: Tensor = self.first(places).unflatten(1, (FEATURES[0], 4, 4))
        gating = x
        for index, norm in enumerate(self.norm):
            if index:
                x = self.up[index - 1](functional.interpolate(x, scale_factor=2, mode="nearest"))
            x = functional.leaky_relu(norm(x, share), 0.2)
            gating = x if index == GATE else gating
        return functional.pixel_shuffle(self.colour(x * self.gate(gating)).float(), 2).tanh()

    def drawn(self, chance: torch.Generator) -> Tensor:
        return torch.randn(1, LATENT, generator=chance)

    def between(self, one: Tensor, other: Tensor, share: float) -> Tensor:
        """As far from 0 as both are by chance."""
        mixed: Tensor = torch.lerp(one, other, share)
        return mixed / math.hypot(share, 1 - share)

    def placed(self, z: Tensor, style: int, truncation: float) -> Tensor:
        share = functional.one_hot(torch.tensor([style]), len(self.styles)).to(z)
        return torch.cat((truncation * z, share), 1)

    def pictures(self, places: Tensor) -> Tensor:
        made: Tensor = self(places)
        return (made + 1) / 2


def build(styles: Sequence[str] = ("",)) -> FastGAN:
    return FastGAN(styles)
