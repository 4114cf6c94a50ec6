"""How near colours are to the true ones, beside what doing nothing would get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PEAK = 255.0
"""Of PSNR-ab: ab taken as numbers of a byte."""


@dataclass(frozen=True)
class Score:
    """Means over pictures. error : distance in ab; psnr : of ab, in dB, of the mean squared error over all pictures
    colourfulness : see `colourfulness`
    """

    error: float
    psnr: float
    colourfulness: float


def score(made: Sequence[Tensor], true: Sequence[Tensor], images: Sequence[Tensor]) -> Score:
    """made, true : chroma (1, 2, h, w) of each picture; images : (1, 3, h, w) of those made, sRGB-encoded, 0..1"""
    apart = [(one - other).square() for one, other in zip(made, true, strict=True)]
    error = sum(float(each.sum(1).sqrt().mean()) for each in apart) / len(apart)
    mean = sum(float(each.mean()) for each in apart) / len(apart)
    decibels = 10 * torch.log10(torch.tensor(PEAK**2 / max(mean, 1e-9))).item()
    return Score(error, decibels, sum(map(colourfulness, images)) / len(images))


def colourfulness(image: Tensor) -> float:
    """Source: Hasler and Suesstrunk, "Measuring colourfulness in natural images", SPIE 5007 (2003), equation for M3, of
    sRGB values 0..255."""
    red, green, blue = (image[:, i] * 255 for i in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = (red_green.var(correction=0) + yellow_blue.var(correction=0)).sqrt()
    middle = (red_green.mean().square() + yellow_blue.mean().square()).sqrt()
    return float(spread + 0.3 * middle)
