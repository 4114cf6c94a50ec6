"""What a mask asks to be filled: its connected parts, how they are widened, and how much of the new each pixel gets.

A *hole* is what is to be made anew; the *share* of a pixel is how much of the new shows there: 1 in the hole, less
where the mask is soft, and falling to 0 over the margin around it that a filling may change to meet the picture.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from samovar.operation import Edge
from samovar.worker.region import Box, Mask, grow
from samovar.worker.tiling import Wrap
from samovar_link.request import CELL

LONG, SEGMENT = 1024, 512
"""A part longer than LONG of which little is to be filled, a scratch, is cut into segments of this side."""
SPARSE = 0.25
"""Of a part's box."""

Cells = npt.NDArray[np.bool_]


def parts(mask: npt.NDArray[np.generic], margin: int, wrap: Wrap) -> list[Box]:
    """Boxes around the connected parts of what is above 0 in a mask (H, W), in its pixels; on along an axis that wraps.

    margin : pixels around a part that its filling may change: parts whose margins meet are one
    """
    height, width = mask.shape
    occupied = _cells(mask)
    near = _spread(occupied, -(-margin // CELL), wrap)
    boxes = []
    for group in _connected(near, wrap):
        cells = [(y, x) for y, x in group if occupied[y % len(occupied), x % occupied.shape[1]]]
        boxes += _segments(*_in_pixels(cells, height, width, wrap))
    return boxes


def _cells(mask: npt.NDArray[np.generic]) -> Cells:
    cells: Cells = np.zeros((-(-mask.shape[0] // CELL), -(-mask.shape[1] // CELL)), np.bool_)
    spans = []
    for axis in (0, 1):
        at = np.flatnonzero(mask.any(1 - axis))
        if not len(at):
            return cells
        spans.append(slice(at[0] // CELL, at[-1] // CELL + 1))
    part = mask[spans[0].start * CELL : spans[0].stop * CELL, spans[1].start * CELL : spans[1].stop * CELL].astype(bool)
    rows = np.logical_or.reduceat(part, np.arange(0, part.shape[0], CELL), axis=0)
    cells[spans[0], spans[1]] = np.logical_or.reduceat(rows, np.arange(0, part.shape[1], CELL), axis=1)
    return cells


def _spread(cells: Cells, reach: int, wrap: Wrap) -> Cells:
    """With all cells at most `reach` away."""
    for axis in (0, 1):
        spread = cells.copy()
        for step in range(-reach, reach + 1):
            moved = np.roll(cells, step, axis)
            if step and not wrap[axis]:
                beyond = slice(None, step) if step > 0 else slice(step, None)
                moved[(slice(None),) * axis + (beyond,)] = False
            spread |= moved
        cells = spread
    return cells


def _connected(occupied: Cells, wrap: Wrap) -> Iterator[list[tuple[int, int]]]:
    """Groups of cells that touch, row by row of their first; where an axis wraps, coordinates go on beyond it."""
    left = {(int(y), int(x)) for y, x in np.argwhere(occupied)}
    height, width = occupied.shape
    steps = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    for seed in sorted(left):
        if seed not in left:
            continue
        left.discard(seed)
        group, waiting = [seed], deque([seed])
        while waiting:
            y, x = waiting.popleft()
            for dy, dx in steps:
                there = y + dy, x + dx
                cell = there[0] % height if wrap[0] else there[0], there[1] % width if wrap[1] else there[1]
                if cell in left:
                    left.discard(cell)
                    group.append(there)
                    waiting.append(there)
        yield group


def _in_pixels(cells: list[tuple[int, int]], height: int, width: int, wrap: Wrap) -> tuple[Box, float]:
    """The box around cells, and which share of it they are."""
    spans = []
    for axis, size in ((0, height), (1, width)):
        first, last = min(cell[axis] for cell in cells), max(cell[axis] for cell in cells)
        count = -(-size // CELL)
        if last - first + 1 >= count and wrap[axis]:
            spans.append((0, size))
            continue
        # cells beyond a border that wraps begin where the picture does, also when the last cell is not a whole one
        start, stop = ((at // count) * size + (at % count) * CELL for at in (first, last))
        stop = min(stop + CELL, (last // count + 1) * size)
        spans.append((start, stop - start))
    box = Box(spans[0][0], spans[1][0], spans[0][1], spans[1][1])
    return box, len(cells) * CELL * CELL / (box.height * box.width)


def _segments(part: Box, share: float) -> list[Box]:
    if max(part.height, part.width) <= LONG or share > SPARSE:
        return [part]
    rows, columns = (-(-side // SEGMENT) for side in (part.height, part.width))
    edges = [part.top + part.height * index // rows for index in range(rows + 1)]
    sides = [part.left + part.width * index // columns for index in range(columns + 1)]
    return [
        Box(top, left, bottom - top, right - left)
        for top, bottom in itertools.pairwise(edges)
        for left, right in itertools.pairwise(sides)
    ]


@dataclass(frozen=True)
class Hole:
    """core : (H, W) bool, what was asked for, widened; share : (1, 1, H, W), how much of the new each pixel gets, above
    0 also in the margin"""

    core: Tensor
    share: Mask

    @classmethod
    def of(cls, mask: Mask, edge: Edge) -> Hole:
        """mask : (1, 1, H, W), 0..1. It is widened unless that would leave nothing to fill from."""
        wide = grow(mask, edge.grow) if edge.grow else mask
        if bool((wide > 0).all()):
            wide = mask
        core = wide[0, 0] > 0
        if edge.margin <= 0:
            return cls(core, wide)
        distance = distances(wide[0, 0] >= 0.5, edge.margin)
        fading = ((edge.margin + 1 - distance) / (min(edge.fade, edge.margin) + 1)).clamp_(0, 1)
        smooth = fading * fading * (3 - 2 * fading)
        return cls(core, torch.maximum(wide, smooth[None, None]))


def distances(mask: Tensor, most: int) -> Tensor:
    """How far each pixel is from the nearest one that is True, from centre to centre, at most `most` + 1. (H, W)"""
    height, width = mask.shape
    far = float(most + 1)
    columns = torch.arange(width, dtype=torch.float32).expand(height, width)
    before = torch.where(mask, columns, -far - width).cummax(1).values
    after = torch.where(mask, columns, far + 2 * width).flip(1).cummin(1).values.flip(1)
    across = torch.minimum(columns - before, after - columns).clamp_(max=far).square_()
    nearest = across.clone()
    for step in range(1, min(most, height - 1) + 1):
        torch.minimum(nearest[step:], across[:-step] + step * step, out=nearest[step:])
        torch.minimum(nearest[:-step], across[step:] + step * step, out=nearest[:-step])
    return nearest.sqrt_().clamp_(max=far)
