"""How like a sample a texture is, by three measures that nothing here is fitted to. Nobody agrees on one score.

Each is 0 for the sample itself. Two crops of one texture are some way apart by each, too: that is the floor.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from samovar.patches.grid import Wrap
from samovar.texture.features import RandomFilters, halved
from samovar.texture.statistics import Gram

UNSEEN_SEED, UNSEEN_SIZE = 977, 9
"""Of filters that no method of ours uses."""
PATCH, DIRECTIONS, SCALES = 9, 256, 3
REACH = 48
"""Pixels, of the farthest that are compared with each other."""


def gram(made: Tensor, sample: Tensor, wrap: Wrap) -> float:
    """Between Gram matrices of filters by chance that no method uses. Both (1, C, H, W), 0..1"""
    features = RandomFilters(UNSEEN_SEED, UNSEEN_SIZE, levels=4)
    with torch.no_grad():
        return float(Gram(features, sample, False, torch.ones_like(sample[:, :1])).loss(made, wrap))


def patches(made: Tensor, sample: Tensor) -> float:
    """Between the sets of all patches of 9x9 pixels, at three scales: sliced Wasserstein, in thousandths of the range.

    How often each kind of patch occurs counts, not where.
    """
    generator = torch.Generator().manual_seed(0)
    total = 0.0
    for _ in range(SCALES):
        directions = torch.randn(DIRECTIONS, made.shape[1], PATCH, PATCH, generator=generator)
        directions /= directions.flatten(1).norm(dim=1).view(-1, 1, 1, 1) * PATCH
        spreads = [functional.conv2d(each, directions)[0].flatten(1).sort(1).values for each in (made, sample)]
        count = min(each.shape[1] for each in spreads)
        one, other = (functional.interpolate(each.unsqueeze(0), count, mode="linear")[0] for each in spreads)
        total += float((one - other).square().mean().sqrt())
        made, sample = halved(made), halved(sample)
    return 1000 * total / SCALES


def autocorrelation(made: Tensor, sample: Tensor) -> float:
    """Between how like pixels at each distance are, up to 48 pixels across and down: the mean difference, in hundredths
    of the correlation."""
    return 100 * float((_correlations(made) - _correlations(sample)).abs().mean())


def _correlations(picture: Tensor) -> Tensor:
    """(2 * REACH + 1, 2 * REACH + 1), 1 in the middle."""
    plane = picture[0].mean(0)
    plane = plane - plane.mean()
    size = [2 * each for each in plane.shape]
    there = torch.fft.rfft2(torch.ones_like(plane), s=size)
    sums = torch.fft.irfft2(torch.fft.rfft2(plane, s=size).abs().square(), s=size)
    pairs = torch.fft.irfft2(there.abs().square(), s=size).clamp(min=1)
    found: Tensor = torch.roll(sums / pairs, (REACH, REACH), (0, 1))[: 2 * REACH + 1, : 2 * REACH + 1]
    return found / found[REACH, REACH].clamp(min=1e-12)


def seam(made: Tensor) -> float:
    """Where the difference of pixels across the border stands among those of every second line inside, 0..1, for the
    worse axis. 1: none is as large, as a seam would be; for one that repeats without, anything below.

    Every second, because what comes of noise has a trace of the grid on which it is seen at half its size."""
    worst = 0.0
    for axis in (2, 3):
        steps = (made - made.roll(1, axis)).square().mean([each for each in range(4) if each != axis])
        across, inside = steps[0], steps[2::2]
        worst = max(worst, float((inside < across).float().mean()))
    return worst
