"""The membrane: the smoothest surface with given values at its rim, for what a filling lacks to meet what is around it.

Laplace's equation, from coarse to fine: each level begins with what the coarser one found, so a few sweeps are enough.

Source: Pérez, Gangnet and Blake, "Poisson Image Editing", SIGGRAPH 2003: cloning is the patch plus the membrane of its
differences at the rim. Red-black relaxation: Press et al., "Numerical Recipes", section 20.5.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from samovar.patches.grid import Mask, Planes, Wrap, doubled, halved, padded

SWEEPS = 12
OVER = 1.6
"""Over-relaxation."""
SMALL = 3
"""Side at which a level is left as it is."""


def membrane(
    values: Planes, known: Mask, wrap: Wrap = (False, False), check: Callable[[], None] = lambda: None
) -> Planes:
    """The values where they are known, and the smoothest surface between them elsewhere; flat towards the borders.

    values : (H, W, C), of no account where not known. All 0 if nothing is known.
    check : called now and then; may raise to stop
    """
    return _solve(values, known.float(), wrap, check)


def _solve(values: Planes, weight: Tensor, wrap: Wrap, check: Callable[[], None]) -> Planes:
    known = weight > 0
    if bool(known.all()):
        return values.clone()
    height, width = known.shape
    if max(height, width) <= SMALL:
        total = weight.sum()
        mean = (values * weight.unsqueeze(2)).sum((0, 1)) / total.clamp(min=1e-6)
        guess = mean.expand_as(values)
    else:
        coarse = _solve(*halved(values, weight), wrap, check)
        guess = doubled(coarse, wrap)[:height, :width]
    surface = torch.where(known.unsqueeze(2), values, guess).contiguous()
    _relax(surface, ~known, wrap, check)
    return surface


def _relax(surface: Planes, free: Mask, wrap: Wrap, check: Callable[[], None]) -> None:
    height, width = free.shape
    checker = (torch.arange(height).view(-1, 1) + torch.arange(width)) % 2 == 0
    colours = [(OVER * (free & colour)).unsqueeze(2) for colour in (checker, ~checker)]
    for _ in range(SWEEPS):
        check()
        for colour in colours:
            around = padded(surface, 1, wrap)
            mean = (around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]) / 4
            surface += colour * (mean - surface)
