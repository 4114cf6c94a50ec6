"""The way of a layer through an operation: pixels in, pixels out, and nothing changed that was not to be.

Computed is what was asked for, and no more: the region, or the part of it where the mask is above 0, seen with as much
of the layer around it as the model looks around itself. So a region is what would be found there in the whole result.
Two exceptions. CUNet's means over the picture (see `pooling`) are those of the part: parts of a drawing differ from the
whole by 0.2 to 1.7/255 on average, by up to 23/255 in screentone. And by a factor that is not whole, a part lies up to
half a pixel of the result beside its place.

An operation that keeps the size gets its result written over a copy of the layer, so that the rest comes back to the
bit: alpha, what is hidden under alpha 0, and what is outside the mask. Within, the mask blends.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Union

import numpy as np
import numpy.typing as npt
import torch

from samovar.operation import Operation
from samovar.worker import frame, region
from samovar.worker.image import NUMPY_DTYPES, Alpha, Image, decode, encode, pixels, read, write_colour
from samovar.worker.model_job import ModelJob
from samovar.worker.region import Box, Mask
from samovar.worker.tiling import Tile, View
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster

MAX_DENOMINATOR = 16
"""Of the scale, up to which parts are cut where pixels of the layer and of the result meet."""

NOWHERE = Box(0, 0, 0, 0)

Pixels = npt.NDArray[np.generic]


def run(
    operation: Operation,
    params: object,
    job: ModelJob,
    frames: Sequence[memoryview],
    allocate: Callable[[int], memoryview],
) -> tuple[Raster, memoryview]:
    """What the job's run asks for, and its pixels."""
    raster = job.run.images[operation.roles[0]]
    source = pixels(raster, frames[raster.frame])
    scope = region.scope(job.run.region, raster)
    if operation.output_size is not None:
        whole = _moved(raster, scope, operation, params)
        show = _shower(job, whole, lambda colour, alpha, at: encode(colour, alpha, at, allocate))
        colour, alpha = _part(operation, params, job, source, raster, scope, show)
        return encode(colour, alpha, whole, allocate)
    like = dataclasses.replace(raster, height=scope.height, width=scope.width, frame=0)
    like = dataclasses.replace(like, x=raster.x + scope.left, y=raster.y + scope.top)
    memory = allocate(like.size_bytes)
    target = np.frombuffer(memory, NUMPY_DTYPES[like.dtype]).reshape(like.height, like.width, like.channels)
    np.copyto(target, _cut(source, scope))
    mask = _mask(job, raster, scope, frames)
    box = Box(0, 0, scope.height, scope.width) if mask is None else region.bounds(mask)
    if box is None:
        job.progress(1.0)
        return like, memory
    rows, columns = slice(box.top, box.top + box.height), slice(box.left, box.left + box.width)
    here = dataclasses.replace(box, top=box.top + scope.top, left=box.left + scope.left)
    before, shape = target[rows, columns], None if mask is None else mask[:, :, rows, columns]

    def overwritten(colour: Image, alpha: Alpha | None, at: Raster) -> tuple[Raster, memoryview]:
        y, x = at.y - like.y - box.top, at.x - like.x - box.left
        tall, wide = slice(y, y + at.height), slice(x, x + at.width)
        pixels = allocate(at.size_bytes)
        piece = np.frombuffer(pixels, NUMPY_DTYPES[at.dtype]).reshape(at.height, at.width, at.channels)
        np.copyto(piece, before[tall, wide])
        _overwrite(piece, at, colour, alpha, None if shape is None else shape[:, :, tall, wide])
        return at, pixels

    show = _shower(job, like, overwritten, box)
    colour, alpha = _part(operation, params, job, source, raster, here, show)
    _overwrite(before, like, colour, alpha, shape)
    return like, memory


Write = Callable[[Image, Union[Alpha, None], Raster], tuple[Raster, memoryview]]
"""Colour, alpha and the raster they are to fill -> that raster and its pixels."""


def _shower(job: ModelJob, whole: Raster, write: Write, box: Box = NOWHERE) -> frame.Show | None:
    """What shows finished parts of a result to a client that asked for them; None if it did not.

    box : where in `whole` the parts count from
    """
    if not job.run.stream:
        return None

    def show(colour: Image, alpha: Alpha | None, place: Tile) -> None:
        x, y = whole.x + box.left + place.left, whole.y + box.top + place.top
        at = dataclasses.replace(whole, height=place.height, width=place.width, x=x, y=y)
        job.show(*write(colour, alpha, at), whole)

    return show


def _overwrite(target: Pixels, like: Raster, colour: Image, alpha: Alpha | None, mask: Mask | None) -> None:
    """The result over the layer's own pixels, wherever it shows."""
    shows = torch.ones(colour.shape[-2:], dtype=torch.bool) if alpha is None else alpha[0, 0] > 0
    if mask is not None:
        before, _ = read(target, like)
        colour = torch.where(mask < 1, before + mask * (colour - before), colour)
        shows &= mask[0, 0] > 0
    write_colour(colour, target, like, shows)


def _mask(job: ModelJob, layer: Raster, scope: Box, frames: Sequence[memoryview]) -> Mask | None:
    """The mask over what is to come back. Raises BadRequest for a mask that is not gray."""
    raster = job.run.images.get("mask")
    if raster is None:
        return None
    if raster.channels != 1:
        raise BadRequest.field("mask channels", raster.channels, "1")
    mask, _ = decode(raster, frames[raster.frame])
    return region.placed(mask.clamp_(0, 1), raster, layer, scope)


def _part(
    operation: Operation,
    params: object,
    job: ModelJob,
    source: Pixels,
    raster: Raster,
    box: Box,
    show: frame.Show | None,
) -> tuple[Image, Alpha | None]:
    """A box of the layer through the operation, seen with what is around it."""
    height, width = source.shape[:2]
    if (box.height, box.width) == (height, width):
        job.view = _view(job, Box(0, 0, height, width))
        return frame.apply(operation, params, job, *read(source, raster), show)
    scale = _scale(operation, params)
    pitch = math.lcm(frame.pitch(operation, params, job), scale.denominator)
    seen = box.grown(frame.reach(operation, params, job), pitch, height, width, job.wrap)
    wrap = job.wrap
    job.wrap = (wrap[0] and seen.height == height, wrap[1] and seen.width == width)
    job.view = _view(job, seen)
    piece, opacity = read(_cut(source, seen), raster)
    place = box.within(seen)
    if operation.output_size is not None:
        size = frame.result_size(operation, params, piece)
        wide, high = operation.output_size(box.width, box.height, params)
        top, left = (math.floor(side.start * scale + Fraction(1, 2)) for side in place)
        top, left = min(top, size[0] - high), min(left, size[1] - wide)
        place = slice(top, top + high), slice(left, left + wide)
    colour, alpha = frame.apply(operation, params, job, piece, opacity, show and _within(place, show))
    job.wrap = wrap
    return colour[:, :, place[0], place[1]], None if alpha is None else alpha[:, :, place[0], place[1]]


def _view(job: ModelJob, box: Box) -> View | None:
    """What the user looks at, in shares of a box of the layer."""
    seen = job.run.viewport
    if seen is None:
        return None
    top, left = (seen.y - box.top) / box.height, (seen.x - box.left) / box.width
    return top, left, top + seen.height / box.height, left + seen.width / box.width


def _within(place: tuple[slice, slice], show: frame.Show) -> frame.Show:
    """Shows what lies in a place, counted from there."""

    def cut(colour: Image, alpha: Alpha | None, at: Tile) -> None:
        spans = []
        for side, start, length in zip(place, (at.top, at.left), (at.height, at.width), strict=True):
            spans.append((max(start, side.start), min(start + length, side.stop)))
        (top, bottom), (left, right) = spans
        if top >= bottom or left >= right:
            return
        rows, columns = slice(top - at.top, bottom - at.top), slice(left - at.left, right - at.left)
        part = Tile(top - place[0].start, left - place[1].start, bottom - top, right - left)
        show(colour[:, :, rows, columns], None if alpha is None else alpha[:, :, rows, columns], part)

    return cut


def _cut(source: Pixels, box: Box) -> Pixels:
    """A box of the layer, which goes on at its other side."""
    for axis, start, length in ((0, box.top, box.height), (1, box.left, box.width)):
        if start >= 0 and start + length <= source.shape[axis]:
            source = source[start : start + length] if axis == 0 else source[:, start : start + length]
        else:
            source = source.take(np.arange(start, start + length), axis, mode="wrap")
    return source


def _scale(operation: Operation, params: object) -> Fraction:
    """Pixels of the result per pixel of the layer."""
    if operation.output_size is None:
        return Fraction(1)
    side = 1 << 20
    return Fraction(operation.output_size(side, 1, params)[0], side).limit_denominator(MAX_DENOMINATOR)


def _moved(raster: Raster, scope: Box, operation: Operation, params: object) -> Raster:
    """The raster of the result of a part, its offset where the change of scale puts it."""

    def scaled(at: int, axis: int) -> int:
        assert operation.output_size is not None
        size = operation.output_size(max(1, abs(at)), max(1, abs(at)), params)[axis]
        return 0 if not at else size if at > 0 else -size

    assert operation.output_size is not None
    wide, high = operation.output_size(scope.width, scope.height, params)
    x, y = scaled(raster.x, 0) + scaled(scope.left, 0), scaled(raster.y, 1) + scaled(scope.top, 1)
    return dataclasses.replace(raster, height=high, width=wide, x=x, y=y, frame=0)
