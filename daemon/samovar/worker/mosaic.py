"""A picture fitted in tiles, each by a network of its own, blended where they overlap.

A fit sees all of its picture, so tiles are an approximation: what one of them makes depends a little on what it does
not see. They begin with the same network and with the same noise at the same place, overlap, and fade into each other.

Along an axis that wraps, tiles go on at the other side, also where there is but one: it then overlaps itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from samovar.prior import source
from samovar.prior.fit import Fit
from samovar.prior.observation import Observation
from samovar.prior.recipes import Recipe
from samovar.worker.image import Image
from samovar.worker.region import Box
from samovar.worker.tiling import Wrap

OVERLAP = 32
"""Pixels of the picture that is looked for."""

Index = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Span:
    """A tile along one axis, in pixels of what is known; may begin before 0 or end behind the last.

    fades : whether it meets another tile at its start and at its end
    """

    start: int
    length: int
    fades: tuple[bool, bool]


def spans(size: int, side: int, overlap: int, wraps: bool) -> list[Span]:
    """Tiles of at most about `side` that cover one axis, shared out evenly."""
    overlap = min(overlap, size)
    if wraps:
        count = max(1, math.ceil(size / max(1, side - overlap)))
        edges = [size * index // count for index in range(count + 1)]
        before = overlap // 2
        return [
            Span(first - before, last - first + overlap, (True, True))
            for first, last in zip(edges, edges[1:], strict=False)
        ]
    if size <= side:
        return [Span(0, size, (False, False))]
    count = math.ceil((size - overlap) / max(1, side - overlap))
    length = math.ceil((size + (count - 1) * overlap) / count)
    starts = [round(index * (size - length) / (count - 1)) for index in range(count)]
    return [Span(start, length, (index > 0, index < count - 1)) for index, start in enumerate(starts)]


class Mosaic:
    """The fits of a picture. plain : the picture as it is, in the size looked for, shown where no fit has begun

    side : of a tile, in pixels of the picture looked for
    """

    def __init__(
        self, observation: Observation, plain: Image, recipe: Recipe, seed: int, side: int, wrap: Wrap,
        smoothness: float = 1.0, device: str = "cpu", low: bool = False, check: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._check = check
        self._observation, self._plain, self._recipe = observation, plain, recipe
        self._seed, self._smoothness, self._device, self._low = seed, smoothness, device, low
        factor = observation.factor
        overlap = math.ceil(OVERLAP / factor)
        height, width = observation.values.shape[-2:]
        side = max(side // factor, 2 * overlap)
        self._tiles = [
            (rows, columns)
            for rows in spans(height, side, overlap, wrap[0])
            for columns in spans(width, side, overlap, wrap[1])
        ]
        self._overlap = overlap * factor
        self._fits: dict[int, Fit] = {}

    def __len__(self) -> int:
        return len(self._tiles)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture looked for."""
        height, width = self._plain.shape[-2:]
        return height, width

    @property
    def observed(self) -> Image:
        """What is known."""
        return self._observation.values

    def begun(self, index: int) -> bool:
        """Whether a tile's fit has begun."""
        return index in self._fits

    def fit(self, index: int) -> Fit:
        """That of a tile, begun when it is asked for first."""
        if index not in self._fits:
            self._fits[index] = self._begin(*self._tiles[index])
        return self._fits[index]

    def _begin(self, rows: Span, columns: Span) -> Fit:
        known = self._observation
        at = _at(rows, known.values.shape[-2]), _at(columns, known.values.shape[-1])
        part = Observation(_taken(known.values, *at), _taken(known.weights, *at), known.factor)
        tall, wide = Fit.size(part, self._recipe)
        top, left = rows.start * known.factor, columns.start * known.factor
        given = source.make(
            self._recipe.input, self._recipe.shape.depth, self._seed, range(top, top + tall), range(left, left + wide),
            *self._plain.shape[-2:],
        )  # fmt: skip
        return Fit(
            part, self._recipe, self._seed, given, self._smoothness, self._device, self._low,
            self._check,
        )  # fmt: skip

    def boxes(self, index: int) -> list[Box]:
        """Where a tile shows in the picture looked for; several where it goes on at the other side."""
        factor, (height, width) = self._observation.factor, self._plain.shape[-2:]
        rows, columns = (
            _runs(span.start * factor, span.length * factor, size)
            for span, size in zip(self._tiles[index], (height, width), strict=True)
        )
        return [Box(top, left, tall, wide) for top, tall in rows for left, wide in columns]

    def picture(self, box: Box) -> Image:
        """A part of the picture looked for, as it is by now."""
        plain = self._plain[:, :, box.rows, box.columns]
        total = torch.zeros((plain.shape[1] + 1, box.height, box.width))
        for index, fit in self._fits.items():
            if fit.picture is not None:
                self._add(total, box, index, fit.picture)
        weight = total[-1:]
        return torch.where(weight > 0, total[:-1] / weight.clamp(min=1e-12), plain[0]).unsqueeze(0)

    def _add(self, total: Tensor, box: Box, index: int, picture: Image) -> None:
        """A tile with its weights: (C + 1, h, w), colour by weight, and the weights."""
        factor, sizes = self._observation.factor, self._plain.shape[-2:]
        ways = []
        for span, size, first, length in zip(
            self._tiles[index], sizes, (box.top, box.left), (box.height, box.width), strict=True
        ):
            scaled = Span(span.start * factor, span.length * factor, span.fades)
            at = _at(scaled, size) - first
            inside = np.flatnonzero((at >= 0) & (at < length))
            ways.append((torch.from_numpy(inside), torch.from_numpy(at[inside]), _ramp(scaled, self._overlap)))
        (rows, to_rows, down), (columns, to_columns, across) = ways
        if not len(rows) or not len(columns):
            return
        weights = down[rows, None] * across[None, columns]
        part = picture[0][:, rows][:, :, columns]
        weighted = torch.cat([part * weights, weights[None]])
        wide = torch.zeros((len(weighted), len(rows), box.width)).index_add_(2, to_columns, weighted)
        total.index_add_(1, to_rows, wide)


def _at(span: Span, size: int) -> Index:
    """The rows or columns of a tile."""
    return np.arange(span.start, span.start + span.length) % size


def _taken(planes: Tensor, rows: Index, columns: Index) -> Tensor:
    return planes[:, :, torch.from_numpy(rows)][:, :, :, torch.from_numpy(columns)]


def _ramp(span: Span, overlap: int) -> Tensor:
    """How much each pixel of a tile counts along one axis: less and less where it meets another."""
    reach = min(overlap, span.length)
    distance = (torch.arange(reach, dtype=torch.float32) + 0.5) / max(1, reach)
    fading = distance * distance * (3 - 2 * distance)
    weights = torch.ones(span.length)
    if span.fades[0]:
        weights[: len(fading)] *= fading
    if span.fades[1]:
        weights[span.length - len(fading) :] *= fading.flip(0)
    return weights


def _runs(start: int, length: int, size: int) -> list[tuple[int, int]]:
    """Start and length of what a tile covers of an axis."""
    if length >= size:
        return [(0, size)]
    first = start % size
    if first + length <= size:
        return [(first, length)]
    return [(first, size - first), (0, first + length - size)]
