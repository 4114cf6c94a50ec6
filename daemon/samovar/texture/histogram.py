"""A texture with the values of its sample, each as often as there."""

from __future__ import annotations

import torch
from torch import Tensor

MOST_EVENED = 0.05
"""Of the range. More is lacking only where the sample is no texture, so that its parts have got other shares."""


def matched(picture: Tensor, values: Tensor) -> Tensor:
    """Along each axis of its colours with the values of the sample, (C, n), in its own order; equal ones stay equal.
    Within the sample's range. (1, C, H, W)"""
    axes, mean = colour_axes(values)
    along, wanted = axes @ (picture[0].flatten(1) - mean), axes @ (values - mean)
    made = torch.stack([ranked(each, its) for each, its in zip(along, wanted, strict=True)])
    found = (mean + axes.T @ made).view_as(picture)
    low, high = (each.view(1, -1, 1, 1) for each in (values.amin(1), values.amax(1)))
    return torch.minimum(torch.maximum(found, low), high)


def colour_axes(values: Tensor) -> tuple[Tensor, Tensor]:
    """Principal axes of colours, (C, C), one a row, and their mean, (C, 1). values : (C, n)"""
    mean = values.mean(1, keepdim=True)
    if len(values) == 1:
        return torch.ones_like(values[:, :1]), mean
    apart = (values - mean).double().cpu()
    _, vectors = torch.linalg.eigh(apart @ apart.T)
    return vectors.T.to(values), mean


def evened(picture: Tensor, values: Tensor) -> Tensor:
    """With the lightness of the sample, (C, n), but nowhere changed by more than MOST_EVENED. (1, C, H, W)

    Votes of patches leave the darkest and the brightest out a little, which shows as want of contrast.
    """
    level = picture[0].mean(0)
    change = (ranked(level, values.mean(0)) - level).clamp(-MOST_EVENED, MOST_EVENED)
    low, high = (each.view(1, -1, 1, 1) for each in (values.amin(1), values.amax(1)))
    return torch.minimum(torch.maximum(picture + change, low), high)


def ranked(plane: Tensor, values: Tensor) -> Tensor:
    """A plane, (H, W), with such values in its own order."""
    ordered = values.sort().values
    different, place, counts = torch.unique(plane, return_inverse=True, return_counts=True)
    after = counts.cumsum(0)
    middle = (after - (counts + 1) / 2) / max(1, plane.numel() - 1) * (len(ordered) - 1)
    below = middle.floor().long().clamp(0, len(ordered) - 1)
    above = (below + 1).clamp(max=len(ordered) - 1)
    found: Tensor = torch.lerp(ordered[below], ordered[above], (middle - below).to(ordered))[place]
    return found
