"""The way of a layer through an operation: pixels in, pixels out, and nothing changed that was not to be.

Computed is what was asked for, and no more: the region, or the part of it where the mask is above 0, seen with as much
of the layer around it as the model looks around itself. So a region is what would be found there in the whole result.
Two exceptions. CUNet's means over the picture (see `pooling`) are those of the part: parts of a drawing differ from the
whole by 0.2 to 1.7/255 on average, by up to 23/255 in screentone. And by a factor that is not whole, a part lies up to
half a pixel of the result beside its place. What is too large to hold at once goes through in pieces (see `pieces`),
each of which is written into the result as it comes.

An operation that keeps the size gets its result written over a copy of the layer, so that the rest comes back to the
bit: alpha, what is hidden under alpha 0, and what is outside the mask. Within, the mask blends.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch

from samovar.operation import Operation
from samovar.worker import filling, frame, heap, pieces, region
from samovar.worker.image import NUMPY_DTYPES, Alpha, Image, decode, pixels, read, write, write_colour
from samovar.worker.model_job import ModelJob
from samovar.worker.region import Box, Mask
from samovar.worker.tiling import Tile
from samovar.worker.way import Pixels, Way, cut
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster

SEED_STEP = 1_000_003
"""Between the seeds of variants, so that asking for the next seed gives none of them again."""
SEEDS = 1 << 63


def run(
    operation: Operation,
    params: object,
    job: ModelJob,
    frames: Sequence[memoryview],
    allocate: Callable[[int], memoryview],
) -> tuple[dict[str, Raster], list[memoryview]]:
    """What the job's run asks for, by role, and the pixels."""
    raster = job.run.images[operation.roles[0]]
    source = pixels(raster, frames[raster.frame])
    scope = region.scope(job.run.region, raster)
    way = Way(operation, params, job, source, raster)
    if operation.own_way:
        made: tuple[dict[str, Raster], list[memoryview]] = operation.function(way, scope, frames, allocate)
        return made
    if operation.output_size is not None:
        like = moved(raster, scope, operation, params)
    else:
        like = dataclasses.replace(raster, height=scope.height, width=scope.width, frame=0)
        like = dataclasses.replace(like, x=raster.x + scope.left, y=raster.y + scope.top)
    if operation.filling is not None:
        return _fill(way, scope, like, frames, allocate)
    memory = allocate(like.size_bytes)
    target = array(memory, like)
    if operation.output_size is not None:
        _enlarge(way, scope, Result(like, target, allocate))
    else:
        np.copyto(target, cut(source, scope))
        _change(way, scope, Result(like, target, allocate, mask_over(job, raster, scope, frames), keeps=True))
    job.progress(1.0)
    return {operation.roles[0]: like}, [memory]


def _fill(
    way: Way, scope: Box, like: Raster, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """A scope through an operation that fills, once for each variant; and, as "mask", where anything changed. Only the
    first variant is shown while it comes."""
    assert way.operation.filling is not None
    job, seed = way.job, way.job.run.seed
    placed = job.run.images["mask"]
    mask = pixels(gray(placed), frames[placed.frame])
    count = way.operation.filling.variants(way.params)
    images: dict[str, Raster] = {}
    results: list[memoryview] = []
    covered = dataclasses.replace(like, channels=1, dtype="u8", order="rgba", frame=count)
    shares = allocate(covered.size_bytes)
    np.frombuffer(shares, np.uint8).fill(0)
    for index in range(count):
        memory = allocate(like.size_bytes)
        target = array(memory, like)
        np.copyto(target, cut(way.source, scope))
        result = Result(like, target, allocate)

        def show(box: Box, result: Result = result, first: bool = index == 0) -> None:
            if first and job.run.stream:
                result.show_as_it_is(job, box)

        job.seed = (seed + index * SEED_STEP) % SEEDS
        with job.part(index / count, (index + 1) / count):
            filling.fill(
                way.operation,
                way.params,
                job,
                way.source,
                way.raster,
                mask,
                placed,
                scope,
                target,
                array(shares, covered),
                show,
            )
        images[way.operation.roles[0] if not index else f"{way.operation.roles[0]} {index + 1}"] = dataclasses.replace(
            like, frame=index
        )
        results.append(memory)
    job.progress(1.0)
    return {**images, "mask": covered}, [*results, shares]


def _enlarge(way: Way, scope: Box, result: Result) -> None:
    """All of a scope through an operation that changes the size."""
    boxes = pieces.cut(way, scope)
    for index, box in enumerate(boxes):
        place = pieces.place(way, scope, box)
        with way.job.part(index / len(boxes), (index + 1) / len(boxes)):
            colour, alpha = way.part(box, result.shower(way.job, place), whole=len(boxes) == 1)
        write(colour, alpha, result.target[place.rows, place.columns], result.raster)
        del colour, alpha  # not to be held besides those of the next piece
        heap.give_back_now_and_then()


def _change(way: Way, scope: Box, result: Result) -> None:
    """What the mask leaves of a scope through an operation that keeps the size."""
    box = Box(0, 0, scope.height, scope.width) if result.mask is None else region.bounds(result.mask)
    if box is None:
        return
    boxes = pieces.cut(way, dataclasses.replace(box, top=box.top + scope.top, left=box.left + scope.left))
    for index, here in enumerate(boxes):
        place = dataclasses.replace(here, top=here.top - scope.top, left=here.left - scope.left)
        mask = None if result.mask is None else result.mask[:, :, place.rows, place.columns]
        if mask is not None and not mask.any():
            continue
        with way.job.part(index / len(boxes), (index + 1) / len(boxes)):
            colour, alpha = way.part(here, result.shower(way.job, place), whole=len(boxes) == 1)
        overwrite(result.target[place.rows, place.columns], result.raster, colour, alpha, mask)
        del colour, alpha
        heap.give_back_now_and_then()


@dataclasses.dataclass(frozen=True)
class Result:
    """Where the result goes: its raster, its pixels, and, of an operation that keeps the size, what of it is taken."""

    raster: Raster
    target: Pixels
    allocate: Callable[[int], memoryview]
    mask: Mask | None = None
    keeps: bool = False

    def show_as_it_is(self, job: ModelJob, box: Box) -> None:
        """Send a box of the pixels as they are by now."""
        x, y = self.raster.x + box.left, self.raster.y + box.top
        raster = dataclasses.replace(self.raster, height=box.height, width=box.width, x=x, y=y)
        memory = self.allocate(raster.size_bytes)
        np.copyto(array(memory, raster), self.target[box.rows, box.columns])
        job.show(raster, memory, self.raster)

    def shower(self, job: ModelJob, box: Box) -> frame.Show | None:
        """What shows finished parts to a client that asked for them, counted from a box; None if it did not."""
        if not job.run.stream:
            return None

        def show(colour: Image, alpha: Alpha | None, at: Tile) -> None:
            place = Box(box.top + at.top, box.left + at.left, at.height, at.width)
            x, y = self.raster.x + place.left, self.raster.y + place.top
            raster = dataclasses.replace(self.raster, height=place.height, width=place.width, x=x, y=y)
            memory = self.allocate(raster.size_bytes)
            target = array(memory, raster)
            if self.keeps:
                np.copyto(target, self.target[place.rows, place.columns])
                mask = None if self.mask is None else self.mask[:, :, place.rows, place.columns]
                overwrite(target, raster, colour, alpha, mask)
            else:
                write(colour, alpha, target, raster)
            job.show(raster, memory, self.raster)

        return show


def array(memory: memoryview, raster: Raster) -> Pixels:
    return np.frombuffer(memory, NUMPY_DTYPES[raster.dtype]).reshape(raster.height, raster.width, raster.channels)


def overwrite(target: Pixels, like: Raster, colour: Image, alpha: Alpha | None, mask: Mask | None) -> None:
    """The result over the layer's own pixels, wherever it shows."""
    shows = torch.ones(colour.shape[-2:], dtype=torch.bool) if alpha is None else alpha[0, 0] > 0
    if mask is not None:
        before, _ = read(target, like)
        colour = torch.where(mask < 1, before + mask * (colour - before), colour)
        shows &= mask[0, 0] > 0
    write_colour(colour, target, like, shows)


def mask_over(job: ModelJob, layer: Raster, scope: Box, frames: Sequence[memoryview]) -> Mask | None:
    """The mask over what is to come back. Raises BadRequest for a mask that is not gray."""
    raster = job.run.images.get("mask")
    if raster is None:
        return None
    mask, _ = decode(gray(raster), frames[raster.frame])
    return region.placed(mask.clamp_(0, 1), raster, layer, scope)


def gray(mask: Raster) -> Raster:
    if mask.channels != 1:
        raise BadRequest.field("mask channels", mask.channels, "1")
    return mask


def moved(raster: Raster, scope: Box, operation: Operation, params: object) -> Raster:
    """The raster of the result of a part, its offset where the change of scale puts it."""

    def scaled(at: int, axis: int) -> int:
        assert operation.output_size is not None
        size = operation.output_size(max(1, abs(at)), max(1, abs(at)), params)[axis]
        return 0 if not at else size if at > 0 else -size

    assert operation.output_size is not None
    wide, high = operation.output_size(scope.width, scope.height, params)
    x, y = scaled(raster.x, 0) + scaled(scope.left, 0), scaled(raster.y, 1) + scaled(scope.top, 1)
    return dataclasses.replace(raster, height=high, width=wide, x=x, y=y, frame=0)
