"""Tells pictures from made ones, to train `networks.style_generator`: a small residual network that is told the style.

Source: Karras et al., arXiv:1912.04958 (residual blocks, standard deviation over the batch); Karras, Aittala, Hellsten,
Laine, Lehtinen, Aila, "Training Generative Adversarial Networks with Limited Data", arXiv:2006.06676 (projection on an
embedding of the label).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks.style_generator import GAIN, SIDE, Dense

FEATURES = (32, 64, 128, 256, 256)
"""From SIDE / 2 down to 4."""
GROUP = 4
"""Pictures among which the spread is measured."""


class Convolution(nn.Module):
    """As `Dense`. side : of the kernel, which pads"""

    def __init__(self, inputs: int, outputs: int, side: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._scale, self._pad = 1 / math.sqrt(inputs * side * side), side // 2

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight * self._scale, self.bias, padding=self._pad)


class Halving(nn.Module):
    """(N, a, h, w) -> (N, b, h / 2, w / 2)"""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.same, self.other = Convolution(before, before), Convolution(before, after)
        self.past = Convolution(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.avg_pool2d(_active(self.same(x)), 2)
        y = _active(self.other(y))
        past: Tensor = self.past(functional.avg_pool2d(x, 2))
        return (y + past) / GAIN


class Critic(nn.Module):
    def __init__(self, styles: int) -> None:
        super().__init__()
        self.first = Convolution(12, FEATURES[0])
        self.body = nn.Sequential(*(Halving(before, after) for before, after in itertools.pairwise(FEATURES)))
        self.last = Convolution(FEATURES[-1] + 1, FEATURES[-1])
        self.dense = Dense(16 * FEATURES[-1], FEATURES[-1])
        self.verdict = Dense(FEATURES[-1], 1)
        self.label = nn.Parameter(torch.randn(styles, FEATURES[-1]))

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """(N, 3, SIDE, SIDE), nominally -1..1, and (N,) whole numbers -> (N,), large for true ones"""
        assert x.shape[-1] == SIDE
        x = _active(self.first(functional.pixel_unshuffle(x, 2)))
        x = _with_spread(self.body(x))
        x = _active(self.dense(_active(self.last(x)).flatten(1)))
        fits = (x.float() * self.label[styles]).sum(1) / math.sqrt(x.shape[1])
        verdict: Tensor = self.verdict(x)[:, 0].float() + fits
        return verdict


def _active(x: Tensor) -> Tensor:
    return GAIN * functional.leaky_relu(x, 0.2)


def _with_spread(x: Tensor) -> Tensor:
    """With how much a group of pictures differ, as one more map."""
    group = math.gcd(GROUP, len(x))
    apart = x.float().view(group, -1, *x.shape[1:])
    spread = (apart.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    return torch.cat((x, spread.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:]).to(x.dtype)), 1)
