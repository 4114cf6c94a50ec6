"""Strokes of colour that the user made over a picture: where they are, which colour, and how far they reach."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from samovar.chroma import Wrap, geodesic

LEAST = 0.15
"""Of a cell, covered by a stroke from where on it is marked; thinner strokes count by their thickest cells."""
REACH = (0.2, 0.6)
"""Geodesic distance up to which a stroke says all, and from where on it says nothing."""
HEARD = (0.8, 3.0)
"""The same for what a network makes of strokes, beside what it says without them. Both were chosen by PSNR of ab on
pictures with ten strokes: docs/colorize.md."""


@dataclass(frozen=True)
class Strokes:
    """lightness : (1, 1, h, w), 0..100; chroma : (1, 2, h, w), both mean where something was drawn, 0 elsewhere
    covered : (1, 1, h, w), 0..1, how much of each cell was
    """

    lightness: Tensor
    chroma: Tensor
    covered: Tensor

    @property
    def marks(self) -> Tensor:
        """(1, 1, h, w) bool, cells that count as drawn on. At least one, if anything was drawn at all."""
        most = float(self.covered.max())
        return self.covered >= min(LEAST, most) if most > 0 else torch.zeros_like(self.covered, dtype=torch.bool)

    def halved(self) -> Strokes:
        """At half the size; a cell has the mean colour of what was drawn in it."""
        from samovar.chroma.pyramid import halved

        covered = halved(self.covered)
        weight = covered.clamp(min=1e-6)
        return Strokes(
            halved(self.lightness * self.covered) / weight, halved(self.chroma * self.covered) / weight, covered
        )

    def reach(self, lightness: Tensor, wrap: Wrap) -> Reach:
        """What they come to in a picture, (1, 1, h, w), which they lie over."""
        height, width = lightness.shape[-2:]
        distance, index = geodesic.nearest(
            np.ascontiguousarray(lightness[0, 0].numpy()), self.marks[0, 0].numpy(), wrap
        )  # fmt: skip
        source = torch.from_numpy(index.astype(np.int64)).flatten()
        share, heard = (_fading(torch.from_numpy(distance)[None, None], *each) for each in (REACH, HEARD))
        taken = torch.cat((self.lightness, self.chroma), 1).flatten(2)[:, :, source].view(1, 3, height, width)
        return Reach(share, heard, taken[:, :1], taken[:, 1:])


@dataclass(frozen=True)
class Reach:
    """share : (1, 1, h, w), 0..1, how much of each cell is the strokes'; heard : the same, how much of what a network
    makes of them counts; lightness, chroma : of the nearest one
    """

    share: Tensor
    heard: Tensor
    lightness: Tensor
    chroma: Tensor


def _fading(distance: Tensor, near: float, far: float) -> Tensor:
    """1 up to `near`, 0 from `far` on."""
    share = ((far - distance) / (far - near)).clamp(0, 1)
    return share * share * (3 - 2 * share)
