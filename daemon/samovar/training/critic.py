"""Tells pictures from made ones, for the training of `networks.fastgan`: parts of them, and whether the style fits.

Source: Liu et al., arXiv:2101.04775 (convolutions of stride 2 with spectral norm, normalised over the batch; a verdict
for each part); Miyato, Koyama, "cGANs with Projection Discriminator", ICLR 2018, arXiv:1802.05637. Without the decoders
of the former.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from samovar.networks.fastgan import SIDE

FEATURES = (32, 64, 128, 256)
"""From SIDE / 2 down to SIDE / 16."""


class Critic(nn.Module):
    def __init__(self, styles: int) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(12, FEATURES[0], 3, padding=1))
        self.down = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise(FEATURES)
                for layer in (
                    spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1, bias=False)),
                    nn.BatchNorm2d(after),
                    nn.LeakyReLU(0.2),
                )
            ),
            spectral_norm(nn.Conv2d(FEATURES[-1], FEATURES[-1], 3, padding=1, bias=False)),
            nn.BatchNorm2d(FEATURES[-1]),
            nn.LeakyReLU(0.2),
        )
        self.verdict = spectral_norm(nn.Conv2d(FEATURES[-1], 1, 4))
        self.label = nn.Parameter(torch.randn(styles, FEATURES[-1]))

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """(N, 3, SIDE, SIDE), nominally -1..1, and (N,) whole numbers -> (N, 25), large for true parts"""
        assert x.shape[-1] == SIDE
        x = self.down(functional.leaky_relu(self.first(functional.pixel_unshuffle(x, 2)), 0.2))
        fits = (x.float().mean((2, 3)) * self.label[styles]).sum(1, keepdim=True) / math.sqrt(FEATURES[-1])
        verdict: Tensor = self.verdict(x).float().flatten(1) + fits
        return verdict
