"""Filling holes of a picture with patches from the rest of it.

From coarse to fine. On each level two steps take turns: find for every patch that touches the hole the source most
like it (see `field`), and let the patches over each pixel of the hole vote for its colour. The coarsest level, where
the hole is only a few pixels thick, begins at the rim and goes inward ring by ring, comparing what is known of each
patch. Finer levels begin with the field of the coarser one.

A level with more patches than SEARCHED only takes over the field of the coarser one, each patch moved to its place at
the finer scale, and copies: what a search would still gain there is not worth its time. Colours are always those of the
sources at the level, so the result has the picture's own depth.

Source: Wexler, Shechtman and Irani, "Space-Time Completion of Video", PAMI 29 (2007), sections 3 and 4 (the two steps,
the weights); Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL 7 (2017), sections 3 to 5 (ring by ring,
coarsest level). Here votes are weighed by the exact distance of descriptors, and rims meet by a membrane at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from samovar.patches.field import Field, Sources, patches_at
from samovar.patches.grid import Mask, Planes, Wrap, dilated, doubled, eroded, halved, padded
from samovar.patches.membrane import membrane

RADIUS = 3
"""Of a patch: its side is 7 pixels."""
SEARCHED = 150_000
"""Patches up to which a level is searched."""
FULL_COST, SMALL_COST = 3_000_000_000, 200_000_000
"""Multiplications up to which all patches are compared with all sources: in a level's first round, and in each."""
ROUNDS = (8, 4, 2, 1, 1)
"""How often the steps take turns, from the coarsest level on; the last number goes on."""
ENOUGH_SOURCES = 64
FADING = 1.5
"""By how much less a vote weighs for each pixel farther from the rim."""
SHARPNESS = (0.75, 0.5)
"""Quantile of the distances that votes are weighed by, in all rounds and in the last."""
OUTLIER = 1e-6
PICKED = 3
"""Nearest patches of which one is taken by chance, where a level begins at the rim: so fillings differ."""
STARTS, TRIED_LEVELS = 8, 2
"""So many fillings of the coarsest levels are made; the one goes on whose patches are most like their sources."""
LEAST_STARTS, ALIKE = 3, 0.05
"""After so many, no more are made if the best and the worst differ by less than this share."""
BASE_HALVINGS, BASE_RING = 3, 16
"""What is smooth is that which is left at an eighth of the size; pixels around a hole that it is compared in."""
FAINT = 12 / 255
"""Up to here, but for a fiftieth of the pixels, what is not smooth is grain; a line or an edge is not so rare."""
QUANTILE_SAMPLE = 100_000
LEAST_GRAIN = 0.6 / 255
"""Standard deviation up to which it is the rounding to 8 bits, which comes by itself."""
TEXTURE_WEIGHT, TEXTURE_RADIUS = 7.0, 3
"""By how much more than colour the mean difference of neighbours counts; pixels around each that it is the mean of."""
START_SHARE = 0.2
"""Of the progress."""


class NothingToCopy(Exception):
    """There is no pixel outside the hole that may be copied."""


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


def complete(
    planes: Planes, hole: Mask, usable: Mask, wrap: Wrap, seed: int, progress: Callable[[float], None],
    match: bool = True, halvings: int | None = None,
) -> Planes:  # fmt: skip
    """The picture with its hole filled; elsewhere as it was.

    planes : (H, W, C) float32
    hole : (H, W) bool, what to fill
    usable : (H, W) bool, what may be copied; never what is in the hole
    seed : another one, another filling
    progress : takes the share that is done; may raise to stop
    match : make up at the end for what differs at the rim
    halvings : how often the picture is to be halved for a guess, which is in its hole already, to be as sharp as a
        pixel; the filling then follows the guess. None: there is no guess

    Raises NothingToCopy.
    """
    usable = usable & ~hole
    if not bool(usable.any()):
        raise NothingToCopy
    if not bool(hole.any()):
        return planes.clone()
    original = planes
    base = _base(planes, hole, wrap) if halvings is None else None
    if base is not None:
        planes = planes - base
    colours = planes.shape[2]
    planes = torch.cat([planes, TEXTURE_WEIGHT * _texture(planes, ~hole, wrap)], 2)
    work = _Work(torch.Generator().manual_seed(seed), progress)
    levels = _pyramid(Level(planes, hole, usable, _radius(usable, wrap), wrap), halvings)[::-1]
    tried = levels[:TRIED_LEVELS]
    starts = _starts(tried, work, 1 if halvings is not None else STARTS)
    best = min(starts, key=_unlikeness)
    if len(levels) > len(tried):
        best = _descend(levels[len(tried) :], best.field, work, (START_SHARE, 1 - START_SHARE), len(tried))
    made = (best.finish(match) if base is None else best.grain())[..., :colours]
    return made if base is None else torch.where(hole.unsqueeze(2), made + base, original)


def _starts(levels: Sequence[Level], work: _Work, most: int) -> list[_Filling]:
    """Several fillings of the coarsest levels; as long as they differ much in how well they fit, up to `most`."""
    starts: list[_Filling] = []
    while len(starts) < most:
        span = START_SHARE / most * len(starts), START_SHARE / most
        starts.append(_descend(levels, None, work, span, 0, from_the_rim=most > 1))
        fits = [_unlikeness(each) for each in starts]
        if len(starts) >= LEAST_STARTS and max(fits) - min(fits) < ALIKE * max(fits):
            break
    return starts


def _unlikeness(filling: _Filling) -> float:
    """How unlike their sources the patches of a filling are, on the average."""
    return float(filling.field.distances.mean())


@dataclass(frozen=True)
class _Work:
    """What all levels share."""

    generator: torch.Generator
    progress: Callable[[float], None]


def _descend(
    levels: Sequence[Level], field: Field | None, work: _Work, span: tuple[float, float], first: int,
    from_the_rim: bool = False,
) -> _Filling:  # fmt: skip
    """Fill one level after the other, beginning with the field of the one before, and give the last.

    span : share of the whole work that is done, and that this is; first : which level of the pyramid the first one is
    from_the_rim : there is nothing in the hole of the first level
    """
    share = span[1] / len(levels)
    for index, level in enumerate(levels):

        def told(fraction: float, begun: float = span[0] + share * index) -> None:
            work.progress(begun + share * fraction)

        filling = _Filling(level, work, told)
        filling.run(field, ROUNDS[min(first + index, len(ROUNDS) - 1)], from_the_rim and not index)
        field = filling.field
    return filling


def _base(planes: Planes, hole: Mask, wrap: Wrap) -> Planes | None:
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
    base = membrane(coarse, missing[..., 0] == 0, wrap)  # the mean of part of a square is that of another place
    for height, width in reversed(sizes):
        base = doubled(base, wrap)[:height, :width]
    rest = (planes - base)[ring].abs()
    rest = rest[:: max(1, len(rest) // QUANTILE_SAMPLE)]
    return base if len(rest) and bool((rest.quantile(0.98, 0) < FAINT).all()) else None


def _texture(planes: Planes, known: Mask, wrap: Wrap) -> Planes:
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


def _radius(usable: Mask, wrap: Wrap) -> int:
    """The largest radius up to RADIUS for which there are patches to copy."""
    for radius in range(RADIUS, 0, -1):
        if int(eroded(usable, radius, wrap).sum()) >= ENOUGH_SOURCES:
            return radius
    return 0


def _pyramid(level: Level, halvings: int | None) -> list[Level]:
    """The picture and its halves, until the hole is about as thick as a patch or sources become few; or so many, with
    what is in the hole."""
    levels, radius, wrap = [level], level.radius, level.wrap
    while (
        bool(eroded(levels[-1].hole, radius + 1, wrap, outside=True).any())
        if halvings is None
        else len(levels) <= halvings
    ):
        fine = levels[-1]
        planes, weight = halved(fine.planes, (~fine.hole).float())
        if halvings is not None:
            planes, _ = halved(fine.planes, torch.ones_like(weight.new_empty(fine.hole.shape)))
        _, covered = halved(fine.planes[..., :1], torch.ones_like(fine.hole, dtype=torch.float32))
        _, free = halved(fine.planes[..., :1], fine.usable.float())
        coarse = Level(planes, weight < covered / 2, (free == covered) & (weight == covered), radius, wrap)
        if radius and int(eroded(coarse.usable, radius, wrap).sum()) < ENOUGH_SOURCES:
            break
        if radius == 0 and not bool(coarse.usable.any()):
            break
        levels.append(coarse)
    return levels


class _Filling:
    """The hole of one level, being filled."""

    field: Field

    def __init__(self, level: Level, work: _Work, progress: Callable[[float], None]) -> None:
        self._level, self._radius, self._wrap = level, level.radius, level.wrap
        self._generator, self._progress = work.generator, progress
        self._planes = level.planes.clone()
        self._done = 0.0
        self._height, self._width = level.hole.shape
        rim = dilated(level.hole, 1, level.wrap)
        self._voted = rim.flatten().nonzero().flatten()  # pixels of the hole, and those next to it
        self._depth = _depth(level.hole, level.wrap)
        self._centres = self._centres_of(dilated(level.hole, level.radius, level.wrap))

    def _centres_of(self, touched: Mask) -> Tensor:
        """Where whole patches lie that touch the hole."""
        inside = eroded(torch.ones_like(touched), self._radius, self._wrap)
        return (touched & inside).flatten().nonzero().flatten()

    def run(self, coarser: Field | None, rounds: int, from_the_rim: bool) -> None:
        """Fill. `field` then tells from where."""
        level = self._level
        if coarser is not None and len(self._centres) > SEARCHED:
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
                field.search_all()
            else:
                for _ in range(2):
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
        field = Field(self._centres, sources, self._generator)
        _take_over(field, coarser)
        self._vote(field, None)
        self._progress(1.0)
        self.field = field

    def _from_the_rim(self) -> None:
        """Ring by ring inward: each pixel next to what is known gets the one in the middle of the most similar patch,
        compared by what is known of it."""
        level, radius, wrap = self._level, self._radius, self._wrap
        known = ~level.hole
        sources = eroded(level.usable, radius, wrap).flatten().nonzero().flatten()
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
        made, _ = self._votes(field, sharpness)
        hole = self._level.hole.flatten()[self._voted]
        self._planes.flatten(0, 1)[self._voted[hole]] = made[hole]

    def _votes(self, field: Field, sharpness: float | None) -> tuple[Tensor, Tensor]:
        """What the pixels to be voted for become, (voted, C), and which any patch says anything of, (voted,)."""
        weights = FADING ** -self._depth[field.at]
        if sharpness is not None:
            scale = torch.quantile(field.distances[:: max(1, len(field.distances) // QUANTILE_SAMPLE)], sharpness)
            weights = weights * torch.exp(-field.distances / (2 * scale + OUTLIER)) + OUTLIER * weights
        width = self._width
        y, x = self._voted // width, self._voted % width
        colours = self._level.planes.flatten(0, 1)
        total = colours.new_zeros((len(self._voted), colours.shape[1]))
        number = colours.new_zeros((len(self._voted), 1))
        for dy in range(-self._radius, self._radius + 1):
            for dx in range(-self._radius, self._radius + 1):
                self._add(field, weights, y, x, dy, dx, colours, total, number)
        return total / number.clamp(min=1e-12), number[:, 0] > 0

    def _nearest(self, field: Field) -> Tensor:
        """Where each pixel that is voted for is in the source that is most like the patch over it, (voted,), flat."""
        width = self._width
        y, x = self._voted // width, self._voted % width
        least = torch.full((len(self._voted),), float("inf"))
        source = torch.zeros_like(self._voted)
        for dy in range(-self._radius, self._radius + 1):
            for dx in range(-self._radius, self._radius + 1):
                cy, cx, inside = field._placed(y - dy, x - dx)
                row = field.row[cy * width + cx]
                inside &= row >= 0
                distances = torch.where(inside, field.distances[row], float("inf"))
                better = distances < least
                sy, sx, _ = field._placed(field.y[row] + dy, field.x[row] + dx)
                least = torch.where(better, distances, least)
                source = torch.where(better, sy * width + sx, source)
        return source

    def _add(
        self, field: Field, weights: Tensor, y: Tensor, x: Tensor, dy: int, dx: int, colours: Tensor, total: Tensor,
        number: Tensor,
    ) -> None:  # fmt: skip
        """What the patch whose centre is at (-dy, -dx) from each pixel says of it."""
        cy, cx, inside = field._placed(y - dy, x - dx)
        row = field.row[cy * self._width + cx]
        inside &= row >= 0
        sy, sx, _ = field._placed(field.y[row] + dy, field.x[row] + dx)
        weight = (weights[row] * inside).unsqueeze(1)
        total += colours[sy * self._width + sx] * weight
        number += weight

    def finish(self, match: bool) -> Planes:
        """The picture; if it is to match, with what is missing at the rim made up for by a membrane."""
        level = self._level
        said = level.planes.clone()
        votes, there = self._votes(self.field, SHARPNESS[-1])
        votes = (votes + level.planes.flatten(0, 1)[self._nearest(self.field)]) / 2
        said.flatten(0, 1)[self._voted[there]] = votes[there]
        if match:
            said += self._bridged(level.planes - said)
        return torch.where(level.hole.unsqueeze(2), said, level.planes)

    def grain(self) -> Planes:
        """The picture, in whose hole there is nothing but grain, and between what is at the rim a membrane."""
        level = self._level
        fine = _fine(self._planes, self._wrap)
        if float(fine[~level.hole].std()) > LEAST_GRAIN:
            made = self._bridged(level.planes - fine)
            made.flatten(0, 1)[self._voted] += fine.flatten(0, 1)[self._nearest(self.field)]
        else:
            made = self._bridged(level.planes)
        return torch.where(level.hole.unsqueeze(2), made, level.planes)

    def _bridged(self, planes: Planes) -> Planes:
        """A membrane over the hole between what the planes are at its rim."""
        rim = dilated(self._level.hole, 1, self._wrap) & ~self._level.hole
        return membrane(torch.where(rim.unsqueeze(2), planes, torch.zeros(())), rim, self._wrap)


def _fine(planes: Planes, wrap: Wrap) -> Planes:
    """What a mean over 5x5 pixels leaves of a picture."""
    around = padded(planes, 2, wrap).permute(2, 0, 1)
    return planes - functional.avg_pool2d(around, 5, stride=1).permute(1, 2, 0)


def _inside(y: Tensor, x: Tensor, radius: int, height: int, width: int, wrap: Wrap) -> Tensor:
    """(N, 1, p, p), 0 for pixels of patches beyond a border that does not wrap."""
    side = torch.arange(-radius, radius + 1)
    rows, columns = y.view(-1, 1) + side, x.view(-1, 1) + side
    first = torch.ones_like(rows, dtype=torch.bool) if wrap[0] else (rows >= 0) & (rows < height)
    second = torch.ones_like(columns, dtype=torch.bool) if wrap[1] else (columns >= 0) & (columns < width)
    return (first.unsqueeze(2) & second.unsqueeze(1)).unsqueeze(1).float()


def _depth(hole: Mask, wrap: Wrap, most: int = 16) -> Tensor:
    """(H * W,), steps from each pixel of the hole to what is known, at most `most`; 0 outside."""
    depth = torch.zeros(hole.shape)
    for _ in range(most):
        depth += hole
        hole = eroded(hole, 1, wrap, outside=True)
        if not bool(hole.any()):
            break
    return depth.flatten()


def _take_over(field: Field, coarser: Field) -> None:
    """Begin with the field of the coarser level."""
    y, x = field.at // field.width, field.at % field.width
    cy, cx = (y // 2).clamp(max=coarser.height - 1), (x // 2).clamp(max=coarser.width - 1)
    row = coarser.row[cy * coarser.width + cx]
    found = row >= 0
    field.consider(
        torch.where(found, 2 * coarser.y[row] + y - 2 * cy, field.y),
        torch.where(found, 2 * coarser.x[row] + x - 2 * cx, field.x),
        found,
    )
