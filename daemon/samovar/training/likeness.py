"""How like true pictures made ones are, without a network that anybody trained.

Features are what two random convolutions answer, in means over 4x4 parts of a picture. Between two sets of pictures:
Fréchet's distance of normal distributions with the means and covariances of their features. Within one: the mean
distance of pairs; from one to another: the distance to the nearest, both root mean squares of pixels.

Source: Heusel et al., arXiv:1706.08500 (Fréchet distance of features); Saxe et al., "On Random Weights and Unsupervised
Feature Learning", ICML 2011 (that random filters tell pictures apart). Figures of it compare with each other alone.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as nn

SIDE = 64
"""That pictures are seen at."""
WIDTHS = (3, 24, 32)
SEED = 0
_CHUNK = 256


@functools.cache
def _filters() -> tuple[Tensor, ...]:
    chance = torch.Generator().manual_seed(SEED)
    found = []
    for before, after in zip(WIDTHS, WIDTHS[1:], strict=False):
        drawn = torch.randn(after, before * 25, generator=chance)
        drawn = drawn - drawn.mean(1, keepdim=True) if before == WIDTHS[0] else drawn
        found.append((drawn / drawn.norm(dim=1, keepdim=True)).view(after, before, 5, 5))
    return tuple(found)


def features(images: Tensor) -> Tensor:
    """(N, 3, h, w), 0..1 -> (N, F) float64: of colours, and of both layers"""
    return torch.cat([_features(part) for part in torch.split(images, _CHUNK)])


def _features(images: Tensor) -> Tensor:
    x = small(images, SIDE)
    found = [nn.adaptive_avg_pool2d(x, 4).flatten(1)]
    for weight in _filters():
        x = nn.relu(nn.conv2d(x, weight, stride=2, padding=2))
        found.append(nn.adaptive_avg_pool2d(x, 2).flatten(1))
    return torch.cat(found, 1).double()


def frechet(one: Tensor, other: Tensor) -> float:
    """Distance between two sets of features, (N, F) and (M, F); 0 where means and covariances agree."""
    gap = (one.mean(0) - other.mean(0)).square().sum()
    a, b = (each.t().cov() for each in (one, other))
    root = _root(a)
    both = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    return float(gap + a.trace() + b.trace() - 2 * both)


def _root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.t()
    return root


def small(images: Tensor, side: int) -> Tensor:
    """(N, C, h, w) -> (N, C, side, side)"""
    if images.shape[-1] == side:
        return images
    return nn.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def spread(images: Tensor) -> float:
    """Mean distance of two of them, in 0..1: (N, C, h, w), N > 1"""
    return float(torch.pdist(images.flatten(1)).mean()) / math.sqrt(images[0].numel())


def nearest(images: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """For each image the nearest of the known ones: distance, in 0..1, and which. (N, C, h, w), (M, C, h, w) -> (N,)"""
    parts: list[Tensor] = [torch.cdist(part.flatten(1), known.flatten(1)) for part in torch.split(images, _CHUNK)]
    distance, index = torch.cat(parts).min(1)
    return distance / math.sqrt(images[0].numel()), index


def figures(made: Tensor, true: Tensor, known: Tensor) -> dict[str, float]:
    """Of made pictures, beside the same of true ones that were not trained on; known : those that were."""
    mine, theirs, learned = (features(each) for each in (made, true, known))
    return {
        "frechet": frechet(mine, learned),
        "true_frechet": frechet(theirs, learned),
        "diversity": spread(made),
        "true_diversity": spread(true),
        "nearest": float(nearest(made, known)[0].mean()),
        "true_nearest": float(nearest(true, known)[0].mean()),
    }


def stacked(pixels: Sequence[Tensor]) -> Tensor:
    """(3, h, w) uint8 each, of one size -> (N, 3, h, w), 0..1"""
    return torch.stack(list(pixels)).float() / 255
