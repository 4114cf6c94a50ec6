"""The way of a layer through an operation that makes anew what is in its mask.

Each connected part of the mask (see `holes`) is filled for itself, seen with what is around it, so the work depends on
the hole and not on the layer. Everything outside the share of a hole comes back to the bit, because results are written
over a copy of the layer. Parts that are filled are known to those that follow.

Along an axis that wraps, a part and what is around it go on at the other side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from samovar.operation import Edge, Operation
from samovar.worker import heap
from samovar.worker.alpha import constant, mixed
from samovar.worker.holes import Hole, parts
from samovar.worker.image import NUMPY_DTYPES, Image, has_alpha, read, write_alpha, write_colour
from samovar.worker.model_job import ModelJob
from samovar.worker.region import Box, common
from samovar.worker.tiling import Wrap
from samovar.worker.way import Pixels, cut
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster


@dataclass(frozen=True)
class _Layer:
    """pixels : (H, W, C), what the layer is by now; mask : (H, W), above 0 what is still to be filled

    edge : how the mask is widened
    """

    raster: Raster
    pixels: Pixels
    mask: npt.NDArray[np.generic]
    edge: Edge
    operation: Operation
    params: object
    job: ModelJob

    @property
    def margin(self) -> int:
        """Pixels around the mask that may change."""
        return self.edge.grow + self.edge.margin

    @property
    def box(self) -> Box:
        return Box(0, 0, self.raster.height, self.raster.width)


@dataclass(frozen=True)
class _Piece:
    """What was made: its pixels, where they are in the layer, and how much of it each of them got, (h, w, 1) u8."""

    pixels: Pixels
    at: Box
    shares: npt.NDArray[np.uint8]


def fill(
    operation: Operation, params: object, job: ModelJob, source: Pixels, raster: Raster, mask: Pixels, placed: Raster,
    scope: Box, target: Pixels, shares: Pixels, show: Callable[[Box], None],
) -> None:  # fmt: skip
    """Fill the holes of a layer, in a copy of a part of it.

    source : (H, W, C), pixels of the layer that `raster` describes
    mask : (h, w, 1), above 0 where to fill, as `placed` describes it
    scope, target : a part of the layer, and the copy of its pixels that the filling is written into
    shares : (h, w, 1) u8, of the scope, all 0: takes how much of the filling each pixel got, above 0 wherever any
    show : called with what was finished of the scope, in its pixels

    Raises BadRequest if there is nothing that a hole could be filled from.
    """
    assert operation.filling is not None
    wanted = _over_the_layer(mask, placed, raster)
    if not wanted.any() or _is_invisible(source, raster):
        return
    if wanted.all():
        raise BadRequest.field(
            f"{operation.id} mask", "all of the layer", "a part of it", "leave something unselected to fill from"
        )
    edge = operation.filling.edge(params, _diagonal(wanted), job.card)
    boxes = parts(wanted, edge.grow + edge.margin, job.wrap)
    if len(boxes) > 1:
        source, wanted = source.copy(), wanted.copy()
    layer = _Layer(raster, source, wanted, edge, operation, params, job)
    done, total = 0.0, float(sum(box.height * box.width for box in boxes))
    for box in boxes:
        share = box.height * box.width / total
        with job.part(done, min(1.0, done + share)):
            piece = _fill_part(layer, box)
        done += share
        if len(boxes) > 1:
            _put(piece, layer.pixels, layer.box, raster)
            _forget(layer.mask, box)
        _put(piece, target, scope, raster)
        _put(dataclasses.replace(piece, pixels=piece.shares), shares, scope, raster)
        for part in _within_scope(piece.at, scope, raster):
            show(part)
        heap.give_back_now_and_then()


def _is_invisible(source: Pixels, raster: Raster) -> bool:
    return has_alpha(raster) and not source[..., -1].any()


def _diagonal(mask: npt.NDArray[np.generic]) -> float:
    """Of the box around what is above 0, in pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(np.hypot(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1))


def _over_the_layer(mask: Pixels, placed: Raster, layer: Raster) -> npt.NDArray[np.generic]:
    """The mask at its place, 0 where it is not, (H, W)."""
    if (placed.y, placed.x, placed.height, placed.width) == (layer.y, layer.x, layer.height, layer.width):
        return mask[..., 0]
    whole = np.zeros((layer.height, layer.width), mask.dtype)
    here, there = common(placed, layer, Box(0, 0, layer.height, layer.width))
    whole[here] = mask[..., 0][there]
    return whole


def _fill_part(layer: _Layer, box: Box) -> _Piece:
    """One part of the mask."""
    operation, job, raster = layer.operation, layer.job, layer.raster
    assert operation.filling is not None
    context = operation.filling.context(layer.params, max(box.height, box.width))
    at = box.grown(layer.margin, 1, raster.height, raster.width, job.wrap)
    seen = _around(at, context, raster, job.wrap)
    before = cut(layer.pixels, seen)
    hole = Hole.of(_numbers(cut(layer.mask[..., None], seen), raster), layer.edge)
    image, alpha = read(before, raster)
    varies = alpha is not None and constant(alpha) is None
    wrap = job.wrap
    job.wrap = (wrap[0] and seen.height == raster.height, wrap[1] and seen.width == raster.width)
    try:
        colour, opacity = operation.function(image, alpha if varies else None, hole, layer.params, job)
    finally:
        job.wrap = wrap
    rows, columns = at.within(seen)
    fresh = before[rows, columns].copy()
    if alpha is not None and varies:
        together, covering = mixed(image, alpha, colour, opacity, hole.share)
        write_alpha(covering[:, :, rows, columns], fresh, raster)
    else:
        together = torch.lerp(image, colour, hole.share)
    write_colour(together[:, :, rows, columns], fresh, raster)
    shares = hole.share[0, 0, rows, columns].mul(255).ceil_().to(torch.uint8).unsqueeze(2)
    return _Piece(fresh, at, shares.numpy())


def _around(at: Box, context: int, raster: Raster, wrap: Wrap) -> Box:
    """What is seen around a box. Of an axis that wraps and is seen from end to end it begins where the box does."""
    seen = at.grown(context, 1, raster.height, raster.width, wrap)
    if wrap[0] and seen.height == raster.height:
        seen = dataclasses.replace(seen, top=at.top)
    if wrap[1] and seen.width == raster.width:
        seen = dataclasses.replace(seen, left=at.left)
    return seen


def _numbers(mask: Pixels, raster: Raster) -> Image:
    """A mask of any depth, 0..1. (h, w, 1) -> (1, 1, h, w)"""
    kind = next(name for name, dtype in NUMPY_DTYPES.items() if mask.dtype == dtype)
    return read(mask, dataclasses.replace(raster, channels=1, dtype=kind))[0].clamp_(0, 1)


def _indices(at: Box, scope: Box, raster: Raster) -> tuple[npt.NDArray[np.intp], ...]:
    """Rows and columns of a box that are in the scope: those of the box, then those of the scope."""
    found = []
    for start, length, size, first, count in (
        (at.top, at.height, raster.height, scope.top, scope.height),
        (at.left, at.width, raster.width, scope.left, scope.width),
    ):
        there = np.arange(start, start + length) % size - first
        inside = np.flatnonzero((there >= 0) & (there < count))
        found.append((inside, there[inside]))
    return found[0][0], found[1][0], found[0][1], found[1][1]


def _put(piece: _Piece, target: Pixels, scope: Box, raster: Raster) -> None:
    """What was made into what the target holds of the layer."""
    rows, columns, to_rows, to_columns = _indices(piece.at, scope, raster)
    into = target[np.ix_(to_rows, to_columns)]
    shows = piece.shares[np.ix_(rows, columns)][..., 0] > 0
    into[shows] = piece.pixels[np.ix_(rows, columns)][shows]
    target[np.ix_(to_rows, to_columns)] = into


def _forget(mask: npt.NDArray[np.generic], box: Box) -> None:
    rows = np.arange(box.top, box.top + box.height) % mask.shape[0]
    columns = np.arange(box.left, box.left + box.width) % mask.shape[1]
    mask[np.ix_(rows, columns)] = 0


def _within_scope(at: Box, scope: Box, raster: Raster) -> list[Box]:
    """What of a box lies in the scope, in its pixels; two or four boxes for one that goes on at the other side."""
    _, _, rows, columns = _indices(at, scope, raster)
    return [Box(int(tall[0]), int(wide[0]), len(tall), len(wide)) for tall in _runs(rows) for wide in _runs(columns)]


def _runs(index: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    return [run for run in np.split(index, np.flatnonzero(np.diff(index) != 1) + 1) if len(run)]
