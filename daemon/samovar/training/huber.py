"""The loss of waifu2x: small differences count squared, large ones as they are, and green most.

Source: nagadomi, waifu2x, lib/ClippedWeightedHuberCriterion.lua and lib/srcnn.lua: the prediction is cut to 0..1,
channels are weighed by ITU-R BT.601's shares times three, and gamma is 0.1.
"""

from __future__ import annotations

import torch
from torch import Tensor

GAMMA = 0.1
CHANNELS = (0.29891 * 3, 0.58661 * 3, 0.11448 * 3)
LEAK = 0.1
"""Of the gradient, for what is beyond 0..1: where all of it were cut off nothing would bring it back."""


def loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean over all values. (N, 3, h, w), both; `wanted` 0..1"""
    cut = made.clamp(0, 1)
    made = cut + LEAK * (made - cut)
    apart = (made - wanted).abs()
    each = torch.where(apart < GAMMA, 0.5 * apart.square(), GAMMA * (apart - 0.5 * GAMMA))
    return (each * each.new_tensor(CHANNELS).view(1, 3, 1, 1)).mean()


def psnr(made: Tensor, wanted: Tensor) -> float:
    """Of lightness, in dB: Y of 16..235 over 255, as the field reports it. (N, 3, h, w), 0..1, both"""
    shares = made.new_tensor((65.481, 128.553, 24.966)).view(1, 3, 1, 1) / 255
    apart = ((made.clamp(0, 1) - wanted) * shares).sum(1)
    return float(-10 * torch.log10(apart.square().mean().clamp(min=1e-10)))
