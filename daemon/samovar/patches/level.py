"""The hole of a picture at one scale, being filled: search and vote in turns, or copies of what a coarser scale found.

Source: see `completion`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from samovar.patches.features import fine
from samovar.patches.field import FAR, Field, Sources, patches_at
from samovar.patches.grid import Mask, Planes, Wrap, around, dilated, eroded
from samovar.patches.membrane import membrane

SEARCHED, SEARCHED_AREA = 150_000, 3_000_000
"""Patches, and pixels of the whole, up to which a level is searched."""
FULL_COST, SMALL_COST = 3_000_000_000, 200_000_000
"""Multiplications up to which all patches are compared with all sources: in a level's first round, and in each."""
FADING = 1.5
"""By how much less a vote weighs for each pixel farther from the rim."""
SHARPNESS = (0.75, 0.5)
"""Quantile of the distances that votes are weighed by, in all rounds and in the last."""
OUTLIER = 1e-6
QUANTILE_SAMPLE = 100_000
PICKED = 3
"""Nearest patches of which one is taken by chance, where a level begins at the rim: so fillings differ."""
RIM_SOURCES = 20_000
"""Patches that the rim is compared with, at the most: whole ones, so they take memory."""
AT_ONCE = 1 << 20
"""Pixels voted for at once."""
MISPLACED = 0.2
"""Difference at the rim from which on it is no shade but a line or an edge that does not go on: spread over the hole it
would be a glow."""
LEAST_GRAIN = 0.6 / 255
"""Standard deviation up to which it is the rounding to 8 bits, which comes by itself."""


@dataclass(frozen=True)
class Level:
    """The picture at one scale.

    hole, usable : (H, W); pixels to fill, and those that may be copied
    radius : of patches
    """

    planes: Planes
    hole: Mask
    usable: Mask
    radius: int
    wrap: Wrap

    @functools.cached_property
    def sources(self) -> Sources:
        return Sources.of(self.planes, self.usable, self.radius, self.wrap)


def is_searched(level: Level) -> bool:
    """Whether its patches are few enough to be searched for."""
    touched = int(dilated(level.hole, level.radius, level.wrap).sum())
    return touched <= SEARCHED and level.hole.numel() <= SEARCHED_AREA


class Filling:
    """The hole of one level, being filled."""

    field: Field

    def __init__(self, level: Level, generator: torch.Generator, progress: Callable[[float], None]) -> None:
        self._level, self._radius, self._wrap = level, level.radius, level.wrap
        self._generator, self._progress = generator, progress
        self._done = 0.0
        self._last: tuple[Tensor, Tensor] | None = None  # votes, the sharp ones in the end
        self._height, self._width = level.hole.shape
        rim = dilated(level.hole, 1, level.wrap)
        self._voted = rim.flatten().nonzero().flatten()  # pixels of the hole, and those next to it
        self._box = around(level.hole, 1, level.wrap)
        depth = torch.zeros(level.hole.shape)
        depth[self._box] = _depth(level.hole[self._box], level.wrap)
        self._depth = depth.flatten()
        self._centres = self._centres_of(dilated(level.hole, level.radius, level.wrap))

    @functools.cached_property
    def _planes(self) -> Planes:
        return self._level.planes.clone()

    def _centres_of(self, touched: Mask) -> Tensor:
        """Where whole patches lie that touch the hole."""
        inside = eroded(torch.ones_like(touched), self._radius, self._wrap)
        return (touched & inside).flatten().nonzero().flatten()

    def run(self, coarser: Field | None, rounds: int, from_the_rim: bool) -> None:
        """Fill. `field` then tells from where."""
        level = self._level
        if coarser is not None and not is_searched(level):
            self._copy(coarser)
            return
        field = Field(self._centres, level.sources, self._generator)
        if from_the_rim:
            self._from_the_rim()
        elif coarser is not None:
            _take_over(field, coarser)
            self._vote(field, None)
        for index in range(rounds):
            field.look(self._planes)
            if field.cost <= (FULL_COST if index == 0 else SMALL_COST):
                field.search_all(self._check)
            else:
                field.improve(max(self._height, self._width) // 2 if index == 0 else 32, self._check)
            self._vote(field, SHARPNESS[index == rounds - 1])
            self._done = (index + 1) / rounds
            self._check()
        self.field = field

    def _check(self) -> None:
        self._progress(self._done)

    def _copy(self, coarser: Field) -> None:
        valid = eroded(self._level.usable, self._radius, self._wrap)
        nothing = self._planes.new_zeros((1, 1))
        sources = Sources(self._radius, self._wrap, valid, nothing, nothing.expand(valid.numel(), 1))
        self.field = Field(self._centres, sources, self._generator)
        _take_over(self.field, coarser)
        self._progress(1.0)

    def _from_the_rim(self) -> None:
        """Ring by ring inward: each pixel next to what is known gets the one in the middle of the most similar patch,
        compared by what is known of it."""
        level, radius, wrap = self._level, self._radius, self._wrap
        known = ~level.hole
        sources = eroded(level.usable, radius, wrap).flatten().nonzero().flatten()
        if len(sources) > RIM_SOURCES:
            sources = sources[torch.randint(len(sources), (RIM_SOURCES,), generator=self._generator)]
        patches = patches_at(level.planes, sources // self._width, sources % self._width, radius, wrap).flatten(1)
        squares = patches.square()
        colours = level.planes.flatten(0, 1)
        while not bool(known.all()):
            ring = (dilated(known, 1, wrap) & ~known).flatten().nonzero().flatten()
            y, x = ring // self._width, ring % self._width
            seen = patches_at(self._planes, y, x, radius, wrap)
            weight = patches_at(known.float().unsqueeze(2), y, x, radius, wrap).expand_as(seen)
            if not wrap[0] or not wrap[1]:
                weight = weight * _inside(y, x, radius, self._height, self._width, wrap)
            distances = weight.flatten(1) @ squares.T - 2 * (weight * seen).flatten(1) @ patches.T
            found = self._one_of_the_best(distances)
            self._planes.flatten(0, 1)[ring] = colours[sources[found]]
            known = known | dilated(known, 1, wrap)
            self._check()

    def _one_of_the_best(self, distances: Tensor) -> Tensor:
        """(N, M) -> (N,), for each of N one of the PICKED nearest, by chance."""
        nearest = distances.topk(min(PICKED, distances.shape[1]), dim=1, largest=False).indices
        drawn = torch.randint(nearest.shape[1], (len(nearest), 1), generator=self._generator)
        return nearest.gather(1, drawn)[:, 0]

    def _vote(self, field: Field, sharpness: float | None) -> None:
        """Each pixel of the hole becomes the mean of what the patches over it say."""
        self._last = made, _ = self._votes(field, sharpness)
        hole = self._level.hole.flatten()[self._voted]
        self._planes.flatten(0, 1)[self._voted[hole]] = made[hole]

    def _votes(self, field: Field, sharpness: float | None) -> tuple[Tensor, Tensor]:
        """What the pixels to be voted for become, (voted, C), and which any patch says anything of, (voted,)."""
        weights = FADING ** -self._depth[field.at]
        if sharpness is not None:
            scale = torch.quantile(field.distances[:: max(1, len(field.distances) // QUANTILE_SAMPLE)], sharpness)
            weights = weights * torch.exp(-field.distances / (2 * scale + OUTLIER)) + OUTLIER * weights
        weights = torch.cat([weights, torch.zeros(1)])
        parts = [self._votes_for(part, field, weights) for part in torch.split(self._voted, AT_ONCE)]
        return torch.cat([votes for votes, _ in parts]), torch.cat([there for _, there in parts])

    def _votes_for(self, pixels: Tensor, field: Field, weights: Tensor) -> tuple[Tensor, Tensor]:
        """weights : (N + 1,), of the field's patches, and 0 for none"""
        colours = self._level.planes.flatten(0, 1)
        total = colours.new_zeros((len(pixels), colours.shape[1]))
        number = colours.new_zeros((len(pixels), 1))
        for row, source in self._over(pixels, field):
            weight = weights.index_select(0, row).unsqueeze_(1)
            total.addcmul_(colours.index_select(0, source), weight)
            number += weight
        return total / number.clamp(min=1e-12), number[:, 0] > 0

    def _nearest(self, field: Field) -> Tensor:
        """Where each pixel that is voted for is in the source that is most like the patch over it, (voted,), flat."""
        return torch.cat([self._nearest_of(part, field) for part in torch.split(self._voted, AT_ONCE)])

    def _nearest_of(self, pixels: Tensor, field: Field) -> Tensor:
        least, nearest = torch.full((len(pixels),), FAR), torch.zeros_like(pixels)
        all_distances = torch.cat([field.distances, torch.full((1,), FAR)])
        for row, source in self._over(pixels, field):
            distances = all_distances.index_select(0, row)
            better = distances < least
            least, nearest = torch.where(better, distances, least), torch.where(better, source, nearest)
        return nearest

    def _over(self, pixels: Tensor, field: Field) -> Iterator[tuple[Tensor, Tensor]]:
        """The patches over each pixel, one after the other: their rows in the field, N for none, and where the pixel is
        in their sources, flat."""
        width, last = self._width, len(field.row) - 1
        reach = range(-self._radius, self._radius + 1)
        y, x = pixels // width, pixels % width
        nothing = torch.zeros(1, dtype=torch.int64)
        source_y, source_x = torch.cat([field.y, nothing]), torch.cat([field.x, nothing])
        sources = source_y * width + source_x
        for dy, dx in itertools.product(reach, reach):
            self._check()
            if any(self._wrap):
                cy, cx, inside = field.placed(y - dy, x - dx)
                row = torch.where(inside, field.row[cy * width + cx], len(field.at))
                sy, sx, _ = field.placed(source_y[row] + dy, source_x[row] + dx)
                yield row, sy * width + sx
            else:  # no centre is so near to a border that a step over it would find another
                step = dy * width + dx
                row = field.row.index_select(0, (pixels - step).clamp_(0, last))
                yield row, sources.index_select(0, row).add_(step).clamp_(0, last)

    def finish(self, match: bool, colours: int) -> Planes:
        """The picture, the first planes of it; if it is to match, with a membrane of what is missing at the rim."""
        level = self._level
        said = level.planes.clone()
        votes, there = self._last or self._votes(self.field, SHARPNESS[-1])
        votes = (votes + level.planes.flatten(0, 1)[self._nearest(self.field)]) / 2
        said.flatten(0, 1)[self._voted[there]] = votes[there]
        if match:
            said[..., :colours] += self._bridged((level.planes - said)[..., :colours], MISPLACED)
        return torch.where(level.hole.unsqueeze(2), said, level.planes)[..., :colours]

    def grain(self) -> Planes:
        """The picture, in whose hole there is nothing but grain, and between what is at the rim a membrane."""
        level = self._level
        grain = fine(self._planes, self._wrap)
        if float(grain[~level.hole].std()) > LEAST_GRAIN:
            made = self._bridged(level.planes - grain)
            made.flatten(0, 1)[self._voted] += grain.flatten(0, 1)[self._nearest(self.field)]
        else:
            made = self._bridged(level.planes)
        return torch.where(level.hole.unsqueeze(2), made, level.planes)

    def _bridged(self, planes: Planes, most: float = FAR) -> Planes:
        """A membrane over the hole between what the planes are at its rim, where that is at most `most`."""
        hole = self._level.hole[self._box]
        rim = dilated(hole, 1, self._wrap) & ~hole
        rim &= planes[self._box].abs().amax(2) <= most
        values = torch.where(rim.unsqueeze(2), planes[self._box], torch.zeros(()))
        surface = torch.zeros_like(planes)
        surface[self._box] = membrane(values, rim, self._wrap, self._check)
        return surface


def _inside(y: Tensor, x: Tensor, radius: int, height: int, width: int, wrap: Wrap) -> Tensor:
    """(N, 1, p, p), 0 for pixels of patches beyond a border that does not wrap."""
    side = torch.arange(-radius, radius + 1)
    rows, columns = y.view(-1, 1) + side, x.view(-1, 1) + side
    first = torch.ones_like(rows, dtype=torch.bool) if wrap[0] else (rows >= 0) & (rows < height)
    second = torch.ones_like(columns, dtype=torch.bool) if wrap[1] else (columns >= 0) & (columns < width)
    return (first.unsqueeze(2) & second.unsqueeze(1)).unsqueeze(1).float()


def _depth(hole: Mask, wrap: Wrap, most: int = 16) -> Tensor:
    """(H, W), steps from each pixel of the hole to what is known, at most `most`; 0 outside."""
    depth = torch.zeros(hole.shape)
    for _ in range(most):
        depth += hole
        hole = eroded(hole, 1, wrap, outside=True)
        if not bool(hole.any()):
            break
    return depth


def _take_over(field: Field, coarser: Field) -> None:
    """Begin with the field of the coarser level."""
    y, x = field.at // field.width, field.at % field.width
    cy, cx = (y // 2).clamp(max=coarser.height - 1), (x // 2).clamp(max=coarser.width - 1)
    row = coarser.row[cy * coarser.width + cx]
    found = row < len(coarser.at)
    row = row.clamp_(max=len(coarser.at) - 1)
    field.consider(
        torch.where(found, 2 * coarser.y[row] + y - 2 * cy, field.y),
        torch.where(found, 2 * coarser.x[row] + x - 2 * cx, field.x),
        found,
    )
