"""What of a picture is smooth, how much there is of texture, and what is finest."""

from __future__ import annotations

import torch
from torch.nn import functional

from samovar.patches.grid import Mask, Planes, Wrap, dilated, doubled, halved, padded
from samovar.patches.membrane import membrane

BASE_HALVINGS, BASE_RING = 3, 16
"""What is smooth is that which is left at an eighth of the size; pixels around a hole that it is compared in."""
FAINT = 12 / 255
"""Up to here, but for a fiftieth of the pixels, what is not smooth is grain; a line or an edge is not so rare."""
RING_SAMPLE = 100_000
TEXTURE_RADIUS = 3
"""Pixels around each that the texture is the mean of."""


def base(planes: Planes, hole: Mask, wrap: Wrap) -> Planes | None:
    """What is smooth of a picture, with the hole bridged, if all else around the hole is faint; None if it is not.

    Over a sky or a shaded wall no patch has the colours that belong in the middle. Its grain alone has.
    """
    ring = dilated(hole, BASE_RING, wrap) & ~hole
    coarse, weight, missing = planes, torch.ones(hole.shape), hole.float().unsqueeze(2)
    sizes = []
    for _ in range(BASE_HALVINGS):
        sizes.append(coarse.shape[:2])
        missing, _ = halved(missing, weight)
        coarse, weight = halved(coarse, weight)
    surface = membrane(coarse, missing[..., 0] == 0, wrap)  # the mean of part of a square is that of another place
    for height, width in reversed(sizes):
        surface = doubled(surface, wrap)[:height, :width]
    rest = (planes - surface)[ring].abs()
    rest = rest[:: max(1, len(rest) // RING_SAMPLE)]
    return surface if len(rest) and bool((rest.quantile(0.98, 0) < FAINT).all()) else None


def texture(planes: Planes, known: Mask, wrap: Wrap) -> Planes:
    """How much neighbouring pixels differ, on the average of the known ones around: (H, W, 2), down and across."""
    gray = planes.mean(2, keepdim=True)
    around, there = padded(gray, 1, wrap), padded(known.float().unsqueeze(2), 1, wrap, 0.0)
    middle, here = around[1:-1, 1:-1], there[1:-1, 1:-1]
    changes, counts = [], []
    for step in (around[2:, 1:-1], around[1:-1, 2:]):
        changes.append((step - middle).abs())
    for step in (there[2:, 1:-1], there[1:-1, 2:]):
        counts.append(step * here)
    weights = torch.cat(counts, 2)
    together = padded(torch.cat([torch.cat(changes, 2) * weights, weights], 2), TEXTURE_RADIUS, wrap, 0.0)
    means = functional.avg_pool2d(together.permute(2, 0, 1), 2 * TEXTURE_RADIUS + 1, stride=1).permute(1, 2, 0)
    return means[..., :2] / means[..., 2:].clamp(min=1e-6)


def fine(planes: Planes, wrap: Wrap) -> Planes:
    """What a mean over 5x5 pixels leaves of a picture."""
    around = padded(planes, 2, wrap).permute(2, 0, 1)
    return planes - functional.avg_pool2d(around, 5, stride=1).permute(1, 2, 0)
