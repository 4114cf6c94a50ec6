"""Strokes as a user might draw them, simulated from pictures whose colours are known: dots, short lines and blots of
one colour each, the mean of what they lie on.

Source: Zhang et al., "Real-Time User-Guided Image Colorization with Learned Deep Priors", SIGGRAPH 2017,
arXiv:1705.02999, section 3.2 (few points more often than many, most near the middle, the mean colour of a patch). Other
than there: lines as well.
"""

from __future__ import annotations

import torch
from torch import Tensor

NONE = 0.3
"""Share of pictures without a stroke."""
FEWER = 0.12
"""Chance that a stroke is the last one."""
MOST = 40
CENTRED = 0.25
"""Deviation of places from the middle, of the side."""
PATCH = 2
"""Cells around a stroke's middle whose mean is its colour."""


def number(chance: torch.Generator) -> int:
    """How many strokes a picture gets."""
    if torch.rand((), generator=chance) < NONE:
        return 0
    return min(
        MOST, 1 + int(torch.log(1 - torch.rand((), generator=chance).double()) / torch.log(torch.tensor(1 - FEWER)))
    )


def drawn(chroma: Tensor, count: int, chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Strokes over one picture. chroma : (1, 2, h, w), the true colours

    returns : hint (1, 2, h, w), 0 where there is none, and mask (1, 1, h, w), 0 or 1
    """
    height, width = chroma.shape[-2:]
    hint, mask = torch.zeros_like(chroma), torch.zeros_like(chroma[:, :1])
    for _ in range(count):
        y, x = (_place(size, chance) for size in (height, width))
        colour = chroma[:, :, max(0, y - PATCH) : y + PATCH + 1, max(0, x - PATCH) : x + PATCH + 1].mean((2, 3))
        radius = int(torch.randint(0, 3, (), generator=chance))
        length = 0 if torch.rand((), generator=chance) < 0.5 else int(torch.randint(2, 9, (), generator=chance))
        angle = float(torch.rand((), generator=chance)) * torch.pi
        slope = torch.sin(torch.tensor(angle)), torch.cos(torch.tensor(angle))
        for step in range(-length // 2, length // 2 + 1):
            row, column = (round(at + step * float(way)) for at, way in zip((y, x), slope, strict=True))
            rows = slice(max(0, row - radius), max(0, row + radius + 1))
            columns = slice(max(0, column - radius), max(0, column + radius + 1))
            hint[:, :, rows, columns] = colour[..., None, None]
            mask[:, :, rows, columns] = 1
    return hint, mask


def _place(size: int, chance: torch.Generator) -> int:
    if torch.rand((), generator=chance) < 0.5:
        return int(torch.randint(size, (), generator=chance))
    at = size * (0.5 + CENTRED * float(torch.randn((), generator=chance)))
    return min(max(int(at), 0), size - 1)
