"""Quilting: a texture sewn together from blocks of its sample.

Block after block, row by row, each is drawn from those places of the sample that agree best with what it overlaps, and
is cut along the line on which the two differ least. Along an axis that wraps, the last blocks overlap the first, too.
What comes of it is not pixels but where each of them is in the sample, so that they can be copied whole: in any depth,
with their alpha.

Source: Efros and Freeman, "Image Quilting for Texture Synthesis and Transfer", SIGGRAPH 2001, section 2 (blocks, the
tolerance of a tenth, the minimum error boundary cut). Other than there: both axes may wrap, blocks are spread evenly
over any size, and how well all places agree comes of a correlation by FFT.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from samovar.patches.grid import Mask, Planes, Wrap

BLOCK_SHARE, LEAST_BLOCK, MOST_BLOCK = 4, 6, 64
"""A block is a fourth of the sample's shorter side, within these pixels."""
OVERLAP_SHARE = 3
"""Of a block, a third overlaps the one before."""
TOLERANCE = 0.1
"""Above the least error, up to which a place may be drawn."""
FAINT = 1e-4
"""Of the sample's variance, per pixel: an error so small is none."""


class NoWholeBlock(Exception):
    """There is no place in the sample where a block of usable pixels fits."""


@dataclass(frozen=True)
class Span:
    """Of a block along one axis. before, after : pixels that overlap the block before, and the first one, if it is the
    last and the axis wraps"""

    start: int
    size: int
    before: int
    after: int


def spans(size: int, block: int, overlap: int, wraps: bool) -> list[Span]:
    """Blocks that cover an axis, evenly spread, each overlapping the one before by `overlap` or more."""
    block = min(block, size)
    step = block - min(overlap, block // 2)
    if wraps:
        count = max(1, math.ceil(size / step))
        starts = [index * size // count for index in range(count)]
    else:
        count = 1 + math.ceil((size - block) / step)
        starts = [index * (size - block) // max(1, count - 1) for index in range(count)]
    found = []
    for index, start in enumerate(starts):
        before = starts[index - 1] + block - start if index else 0
        last = wraps and index == count - 1
        after = max(0, start + block - size) if last and index else 0
        found.append(Span(start, block, before, after))
    return found


def quilt(
    sample: Planes, usable: Mask, size: tuple[int, int], wrap: Wrap, generator: torch.Generator,
    check: Callable[[], None] = lambda: None,
) -> Tensor:  # fmt: skip
    """Where in the sample each pixel of a texture of that size comes from: (H, W) int64, flat.

    sample : (h, w, C); usable : (h, w), pixels that may be copied
    check : called before each block; may raise to stop

    Raises NoWholeBlock.
    """
    return _Quilt(sample, usable, size, wrap, generator, check).sewn()


class _Quilt:
    def __init__(
        self, sample: Planes, usable: Mask, size: tuple[int, int], wrap: Wrap, generator: torch.Generator,
        check: Callable[[], None],
    ) -> None:  # fmt: skip
        height, width, channels = sample.shape
        self._generator, self._check = generator, check
        block = min(max(min(height, width) // BLOCK_SHARE, LEAST_BLOCK), MOST_BLOCK, height, width)
        while not bool(_places(usable, block, block).any()):
            if block == 1:
                raise NoWholeBlock
            block = max(1, block * 3 // 4)
        overlap = max(1, block // OVERLAP_SHARE) if block > 1 else 0
        self._rows, self._columns = (spans(each, block, overlap, wraps) for each, wraps in zip(size, wrap, strict=True))
        self._usable = usable
        self._agreement = _Agreement(sample)
        self._colours, self._width = sample.reshape(-1, channels), width
        self._faint = FAINT * float(sample.var(correction=0))
        self._at = torch.zeros(size, dtype=torch.int64)
        self._made = sample.new_zeros(*size, channels)
        self._known = torch.zeros(size, dtype=torch.bool)

    def sewn(self) -> Tensor:
        for rows in self._rows:
            for columns in self._columns:
                self._check()
                self._add(rows, columns)
        return self._at

    def _add(self, rows: Span, columns: Span) -> None:
        height, width = self._at.shape
        y = (torch.arange(rows.start, rows.start + rows.size) % height).unsqueeze(1)
        x = (torch.arange(columns.start, columns.start + columns.size) % width).unsqueeze(0)
        known, made = self._known[y, x], self._made[y, x]
        top, left = self._drawn(made, known)
        place = (top + torch.arange(rows.size).unsqueeze(1)) * self._width + left + torch.arange(columns.size)
        colours = self._colours[place]
        difference = ((made - colours).square().sum(2) * known).numpy()
        take = torch.from_numpy(_cut_out(difference, rows, columns)) | ~known
        self._at[y, x] = torch.where(take, place, self._at[y, x])
        self._made[y, x] = torch.where(take.unsqueeze(2), colours, made)
        self._known[y, x] = True

    def _drawn(self, made: Planes, known: Mask) -> tuple[int, int]:
        """A place of the sample for a block, by what of it is known."""
        places = _places(self._usable, *known.shape)
        if bool(known.any()):
            errors = self._agreement.errors(made, known)
            least = float(errors[places].min())
            places = places & (errors <= least * (1 + TOLERANCE) + self._faint * float(known.sum()))
        flat = places.flatten().nonzero().flatten()
        found = int(flat[torch.randint(len(flat), (), generator=self._generator)])
        return divmod(found, places.shape[1])


def _places(usable: Mask, height: int, width: int) -> Mask:
    """Upper left corners of blocks of nothing but usable pixels."""
    sums = torch.zeros(usable.shape[0] + 1, usable.shape[1] + 1, dtype=torch.int64)
    sums[1:, 1:] = (~usable).long().cumsum(0).cumsum(1)
    return sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width] == 0


class _Agreement:
    """How far each place of a sample is from a block of which some pixels are known."""

    def __init__(self, sample: Planes) -> None:
        planes = sample.permute(2, 0, 1).double()
        self._size = sample.shape[0], sample.shape[1]
        self._colours = torch.fft.rfft2(planes)
        self._squares = torch.fft.rfft2(planes.square().sum(0))

    def errors(self, block: Planes, known: Mask) -> Tensor:
        """Sums of squared differences, (h - rows + 1, w - columns + 1), by upper left corner."""
        (height, width), weight = self._size, known.double()
        wanted = block.permute(2, 0, 1).double() * weight
        spectrum = self._squares * torch.fft.rfft2(weight, s=self._size).conj()
        spectrum -= 2 * (self._colours * torch.fft.rfft2(wanted, s=self._size).conj()).sum(0)
        found: Tensor = torch.fft.irfft2(spectrum, s=self._size) + wanted.square().sum()
        return found[: height - known.shape[0] + 1, : width - known.shape[1] + 1].clamp_(min=0).float()


def _cut_out(difference: npt.NDArray[np.float32], rows: Span, columns: Span) -> npt.NDArray[np.bool_]:
    """Which pixels of a new block are taken. difference : (h, w), between it and what is known under it"""
    height, width = difference.shape
    y, x = np.arange(height)[:, None], np.arange(width)[None]
    take = np.ones((height, width), bool)
    if columns.before:
        take &= x >= _path(difference[:, : columns.before])[:, None]
    if columns.after:
        take &= x < width - columns.after + _path(difference[:, width - columns.after :])[:, None]
    if rows.before:
        take &= y >= _path(difference[: rows.before].T)[None]
    if rows.after:
        take &= y < height - rows.after + _path(difference[height - rows.after :].T)[None]
    return take


def _path(difference: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The way down of least total difference, by one column at a time: (n, m) -> (n,) columns."""
    total = difference.astype(np.float64)
    for row in range(1, len(total)):
        above = np.pad(total[row - 1], 1, constant_values=np.inf)
        total[row] += np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:])
    path = np.empty(len(total), np.int64)
    path[-1] = total[-1].argmin()
    for row in range(len(total) - 2, -1, -1):
        first = max(0, path[row + 1] - 1)
        path[row] = first + total[row, first : path[row + 1] + 2].argmin()
    return path
