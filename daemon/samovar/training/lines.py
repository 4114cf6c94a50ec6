"""Line art made from coloured drawings, to train on what painters have: lines on white.

Source: differences of Gaussians as lines, after Winnemoeller, Kyprianidis, Olsen, "XDoG: an eXtended
difference-of-Gaussians compendium", Computers & Graphics 36 (2012), equations 1 and 5; here without its soft threshold.
"""

from __future__ import annotations

import torch
from torch import Tensor

from samovar.worker.blur import gaussian

WIDTHS = (0.5, 0.9)
"""Deviation of the narrower Gaussian, in pixels; the wider one is RATIO times that."""
RATIO = 1.6
STRENGTHS = (6.0, 14.0)


def art(lightness: Tensor, chance: torch.Generator) -> Tensor:
    """Lines where there are edges, white between. (1, 1, h, w), 0..100, both"""
    width = _between(WIDTHS, chance)
    wide, narrow = gaussian(lightness, width * RATIO), gaussian(lightness, width)
    dark = ((wide - narrow) * _between(STRENGTHS, chance)).clamp(0, 100)
    ink = (gaussian(lightness, width) < 18).float() * 100  # what was black stays black
    return 100 - torch.maximum(dark, ink * (torch.rand((), generator=chance) < 0.7).float())


def _between(limits: tuple[float, float], chance: torch.Generator) -> float:
    return limits[0] + (limits[1] - limits[0]) * float(torch.rand((), generator=chance))
