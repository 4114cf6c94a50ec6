"""Filling holes of a picture with patches from the rest of it.

From coarse to fine. On each level two steps take turns: find for every patch that touches the hole the source most
like it (see `field`), and let the patches over each pixel of the hole vote for its colour. The coarsest level, where
the hole is only a few pixels thick, begins at the rim and goes inward ring by ring, comparing what is known of each
patch. Finer levels begin with the field of the coarser one.

A level with too many patches to search only takes over the field of the coarser one, each patch moved to its place at
the finer scale, and copies: what a search would still gain there is not worth its time. Colours are always those of the
sources at the level, so the result has the picture's own depth.

Source: Wexler, Shechtman and Irani, "Space-Time Completion of Video", PAMI 29 (2007), sections 3 and 4 (the two steps,
the weights); Newson et al., "Non-Local Patch-Based Image Inpainting", IPOL 7 (2017), sections 3 to 5 (ring by ring,
coarsest level). Here votes are weighed by the exact distance of descriptors, and rims meet by a membrane at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from samovar.patches.features import base, texture
from samovar.patches.field import Field
from samovar.patches.grid import Mask, Planes, Wrap, eroded, halved
from samovar.patches.level import Filling, Level, is_searched

RADIUS = 3
"""Of a patch: its side is 7 pixels."""
ROUNDS = (5, 3, 2, 1, 1)
"""How often the steps take turns, from the coarsest level on; the last number goes on."""
ENOUGH_SOURCES = 64
STARTS, FINALISTS, TRIED_LEVELS = 8, 2, 2
"""So many fillings of the coarsest level are made; so many of them, whose patches are most like their sources, are made
again up to the last level that is tried, and the best one goes on."""
LEAST_STARTS, ALIKE = 3, 0.05
"""After so many, no more are made if the best and the worst differ by less than this share."""
TEXTURE_WEIGHT = 7.0
"""By how much more than colour the mean difference of neighbours counts."""
START_SHARE = 0.2
"""Of the progress."""


class NothingToCopy(Exception):
    """There is no pixel outside the hole that may be copied."""


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
    smooth = base(planes, hole, wrap) if halvings is None else None
    if smooth is not None:
        planes = planes - smooth
    colours = planes.shape[2]
    planes = torch.cat([planes, TEXTURE_WEIGHT * texture(planes, ~hole, wrap)], 2)
    work = _Work(torch.Generator().manual_seed(seed), progress)
    levels = _pyramid(Level(planes, hole, usable, _radius(usable, wrap), wrap), halvings)[::-1]
    for index, level in enumerate(levels[1:], 1):
        if not is_searched(level):  # nothing is compared there
            levels[index] = replace(level, planes=level.planes[..., :colours].clone())
    best = _begin(levels, work, guessed=halvings is not None)
    if len(levels) > TRIED_LEVELS:
        best = _descend(levels[TRIED_LEVELS:], best.field, work, (START_SHARE, 1 - START_SHARE), TRIED_LEVELS)
    made = best.finish(match, colours) if smooth is None else best.grain()[..., :colours]
    return made if smooth is None else torch.where(hole.unsqueeze(2), made + smooth, original)


def _begin(levels: Sequence[Level], work: _Work, guessed: bool) -> Filling:
    """The best of several fillings of the coarsest levels. guessed : there is one already"""
    if guessed:
        return _descend(levels[:TRIED_LEVELS], None, work, (0.0, START_SHARE), 0)
    starts: list[Filling] = []
    half = START_SHARE / 2
    while len(starts) < STARTS and not _are_alike(starts):
        span = half / STARTS * len(starts), half / STARTS
        starts.append(_descend(levels[:1], None, work, span, 0, from_the_rim=True))
    finalists = sorted(starts, key=_unlikeness)[:FINALISTS]
    if len(levels) == 1:
        return finalists[0]
    ends = [
        _descend(levels[1:TRIED_LEVELS], each.field, work, (half + half / FINALISTS * index, half / FINALISTS), 1)
        for index, each in enumerate(finalists)
    ]
    return min(ends, key=_unlikeness)


def _are_alike(fillings: Sequence[Filling]) -> bool:
    """Whether another start is not likely to be better."""
    if len(fillings) < LEAST_STARTS:
        return False
    fits = [_unlikeness(each) for each in fillings]
    return max(fits) - min(fits) < ALIKE * max(fits)


def _unlikeness(filling: Filling) -> float:
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
) -> Filling:  # fmt: skip
    """Fill one level after the other, beginning with the field of the one before, and give the last.

    span : share of the whole work that is done, and that this is; first : which level of the pyramid the first one is
    from_the_rim : there is nothing in the hole of the first level
    """
    share = span[1] / len(levels)
    for index, level in enumerate(levels):

        def told(fraction: float, begun: float = span[0] + share * index) -> None:
            work.progress(begun + share * fraction)

        filling = Filling(level, work.generator, told)
        filling.run(field, ROUNDS[min(first + index, len(ROUNDS) - 1)], from_the_rim and not index)
        field = filling.field
    return filling


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
