"""A texture drawn towards what features answer to a sample of it: out of noise, or out of something woven.

Noise goes level by level: what is large is decided while the picture is small. At the end each channel gets the values
of the sample, in the order that they have come to be in, as Gatys's program does; but channels are the axes along which
the sample's colours lie, so that no colour comes of it that is not there.

What is woven is right already but for seams and sharpness. So it is worked on in its full size alone, and nothing but
its lightness changes: statistics would also spread colours to where there are none in the sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from samovar.patches.grid import Wrap
from samovar.texture.features import Features, continued, halved
from samovar.texture.fit import Bounded, Fit, Over
from samovar.texture.histogram import colour_axes, matched
from samovar.texture.statistics import Gram, Sliced

LEAST_SIDE = 48
"""Of the smallest picture that noise is made a texture at."""
SHARES = (0.1, 0.2, 0.7)
"""Of the time, for the levels from noise on, the last ones of these."""
MARGIN = 2
"""Pixels from the other side with which a picture that repeats is enlarged."""
FINE = 0.5
"""Of the noise at the next level, that what came of it before gets."""
ROUND = 40
"""Steps with the same directions, where they are drawn."""


@dataclass(frozen=True)
class Sample:
    """picture : (1, C, h, w); alpha : its last channel is; usable : (1, 1, h, w) of 0 and 1, what of it counts"""

    picture: Tensor
    alpha: bool
    usable: Tensor

    def halved(self) -> Sample:
        return Sample(halved(self.picture), self.alpha, (halved(self.usable) > 0.999).float())

    @property
    def values(self) -> Tensor:
        """Of what counts: (C, n)"""
        return self.picture[0].flatten(1)[:, self.usable.flatten() > 0]


@dataclass(frozen=True)
class Plan:
    """How to grow.

    features : by which the texture is known; sliced : by which of their statistics
    levels : sizes, each half the last, that it goes through
    iterations : at each of them, at most
    woven : it begins with something woven
    fixed : (1, 1, H, W) of 0 and 1, pixels that stay as they are; None: there are none
    """

    features: Features
    sliced: bool
    wrap: Wrap
    levels: int
    iterations: int
    woven: bool
    fixed: Tensor | None = None


class Watch(Protocol):
    """Who waits for it."""

    def check(self) -> None:
        """Called often; may raise to stop."""

    def stepped(self, picture: Callable[[], Tensor]) -> None:
        """Called after each evaluation; `picture` gives what there is by then, in its full size."""

    def is_over(self, share: float) -> bool:
        """Whether so much of the time is spent."""

    def is_content(self) -> bool:
        """Whether what there is is good enough."""


def grow(sample: Sample, start: Tensor, plan: Plan, generator: torch.Generator, watch: Watch) -> Tensor:
    """The picture, (1, C, H, W), that comes of `start`."""
    samples, starts = [sample], [start]
    while len(starts) < plan.levels and min(*starts[-1].shape[-2:], *samples[-1].picture.shape[-2:]) >= 2 * LEAST_SIDE:
        smaller = samples[-1].halved()
        if not bool(smaller.usable.any()):
            break
        samples.append(smaller)
        starts.append(halved(starts[-1], plan.wrap))
    shares = _shares(len(starts))
    picture = starts[-1]
    for number, index in enumerate(reversed(range(len(starts)))):
        if number:
            picture = _finer(picture, starts[index], plan.wrap)
        fixed = plan.fixed if not index else None
        picture = _fitted(picture, samples[index], fixed, plan, generator, watch, sum(shares[: number + 1]), start)
        if watch.is_content():
            break
    picture = _enlarged(picture, start, plan.wrap)
    return picture if plan.woven else matched(picture, sample.values)


def _fitted(
    picture: Tensor, sample: Sample, fixed: Tensor | None, plan: Plan, generator: torch.Generator, watch: Watch,
    until: float, full: Tensor,
) -> Tensor:  # fmt: skip
    """At one size. until : share of the time that is spent by then; full : a picture of the full size"""
    values = sample.values
    low, high = (each.view(1, -1, 1, 1).expand_as(picture) for each in (values.amin(1), values.amax(1)))
    picture = torch.minimum(torch.maximum(picture, low), high)
    if fixed is not None:
        low, high = (torch.where(fixed > 0, picture, each) for each in (low, high))

    def is_enough() -> bool:
        return watch.is_content() or watch.is_over(until)

    def check() -> None:
        watch.check()
        if is_enough():  # not after the evaluation: one of a large picture takes many seconds
            raise Over

    kind = Sliced if plan.sliced else Gram
    statistics = kind(plan.features, sample.picture, sample.alpha, sample.usable, watch.check)
    statistics.check = check
    if fixed is not None:
        statistics.look_at(fixed, plan.wrap)
    beneath = torch.zeros_like(picture)
    if plan.woven and not sample.alpha:
        beneath, low, high = picture, (low - picture).amax(1, keepdim=True), (high - picture).amin(1, keepdim=True)
        picture = torch.zeros_like(low)

    def loss(each: Tensor) -> Tensor:
        return statistics.loss(beneath + each, plan.wrap)

    def watched(fit: Fit) -> bool:
        watch.stepped(lambda: _enlarged(beneath + fit.picture, full, plan.wrap))
        return is_enough()

    left = plan.iterations
    while left > 0:
        statistics.renew(generator)
        fit = Fit(Bounded(picture, low, high), loss, watched)
        steps = min(left, ROUND) if plan.sliced else left
        left -= steps
        try:
            if fit.run(steps):
                left = 0
        except Over:
            left = 0
        picture = fit.picture
    return beneath + picture


def _enlarged(picture: Tensor, full: Tensor, wrap: Wrap) -> Tensor:
    """In the size of another picture, of which it has that of a level."""
    sizes = [full.shape[-2:]]
    while sizes[-1][0] > picture.shape[-2] or sizes[-1][1] > picture.shape[-1]:
        sizes.append(torch.Size((each + 1) // 2 for each in sizes[-1]))
    for size in reversed(sizes[:-1]):
        around = continued(picture, MARGIN, wrap)
        around = functional.interpolate(around, scale_factor=2.0, mode="bilinear")
        top, left = (2 * MARGIN if wraps else 0 for wraps in wrap)
        picture = around[:, :, top : top + size[0], left : left + size[1]]
    return picture


def _finer(picture: Tensor, noise: Tensor, wrap: Wrap) -> Tensor:
    """At the next level; with a little of what that began with, for what is fine to come of."""
    return _enlarged(picture, noise, wrap) + FINE * (noise - noise.mean((2, 3), keepdim=True))


def _shares(levels: int) -> list[float]:
    shares = [SHARES[0]] * max(0, levels - len(SHARES)) + list(SHARES[-levels:])
    return [each / sum(shares) for each in shares]


def noise(sample: Sample, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Of the colours of the sample, as they go together: its mean and covariance, within its range. (1, C, H, W)"""
    values = sample.values
    axes, mean = colour_axes(values)
    spread = (axes @ (values - mean)).std(1, correction=0, keepdim=True)
    drawn = torch.randn(len(values), size[0] * size[1], generator=generator)
    picture = (mean + axes.T @ (spread * drawn)).view(1, len(values), *size)
    low, high = (each.view(1, -1, 1, 1) for each in (values.amin(1), values.amax(1)))
    return torch.minimum(torch.maximum(picture, low), high)
