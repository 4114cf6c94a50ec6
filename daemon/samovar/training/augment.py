"""What both true and made pictures go through before they are judged, so that few pictures are not learned by heart.

Source: Zhao, Liu, Lin, Zhu, Han, "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020,
arXiv:2006.10738: brightness, saturation, contrast; shifts by up to an eighth; a square of half the side cut out. Each
by chance, as in Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020,
arXiv:2006.06676, section 2: what most pictures do not go through is not learned as a part of them.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SHIFT = 1 / 8
CUT = 1 / 2


def varied(x: Tensor, chance: torch.Generator, share: float) -> Tensor:
    """(N, 3, h, w), nominally -1..1, both; gradients go through.

    chance : on the CPU; share : of pictures, 0..1, for each of the three ways
    """
    draws = torch.rand(len(x), 7, generator=chance).to(x.device)
    spared = torch.rand(len(x), 3, generator=chance).to(x.device) >= share
    for index, (way, drawn) in enumerate(((_toned, draws[:, :3]), (_shifted, draws[:, 3:5]), (_cut, draws[:, 5:]))):
        x = torch.where(spared[:, index, None, None, None], x, way(x, drawn))
    return x


def _toned(x: Tensor, draws: Tensor) -> Tensor:
    bright, saturation, contrast = (each[:, None, None, None] for each in draws.unbind(1))
    x = x + bright - 0.5
    gray = x.mean(1, keepdim=True)
    x = gray + (x - gray) * 2 * saturation
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (contrast + 0.5)


def _shifted(x: Tensor, draws: Tensor) -> Tensor:
    """Gray comes in from outside."""
    most = [round(length * SHIFT) for length in x.shape[2:]]
    padded = functional.pad(x, (most[1], most[1], most[0], most[0]))
    parts = []
    for each, (down, right) in zip(padded, draws.tolist(), strict=True):
        top, left = round(down * 2 * most[0]), round(right * 2 * most[1])
        parts.append(each[:, top : top + x.shape[2], left : left + x.shape[3]])
    return torch.stack(parts)


def _cut(x: Tensor, draws: Tensor) -> Tensor:
    mask = torch.ones(len(x), 1, *x.shape[2:], device=x.device)
    height, width = (round(length * CUT) for length in x.shape[2:])
    for each, (down, right) in zip(mask, draws.tolist(), strict=True):
        top, left = round(down * x.shape[2]) - height // 2, round(right * x.shape[3]) - width // 2
        each[:, max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)] = 0
    return x * mask
