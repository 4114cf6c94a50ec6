"""The frame that every operation runs in, so that an operation is only what it does to colour.

Pixels become canonical images on entry and pixels again on exit. In between:
- the operation gets colour within 0..1, with visible colour grown outward under alpha 0 (see `alpha`);
- a picture whose three channels are equal goes through as gray, so that a gray page in a colour document gets no tint;
- what a float layer has beyond 0..1 goes past the operation, is resized by the plain kernel and added again;
- alpha stays as it is, unless the operation changes the size. Then a constant alpha is the result's; a picture with
  holes goes through the operation on black and on white (see `matting`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Union

import torch

from samovar.card import ModelCard
from samovar.operation import Operation
from samovar.worker import alpha as transparency
from samovar.worker import matting
from samovar.worker.image import Alpha, Image
from samovar.worker.model_job import ModelJob
from samovar.worker.resample import resize
from samovar.worker.tiling import Tile

DEFAULT_REACH = 32
"""Pixels that an operation without a model is taken to look around itself."""


@dataclass(frozen=True)
class Whole:
    """What all of a picture decides, where only a piece of it goes through.

    gray : all of it is; holes : its alpha is not the same everywhere
    """

    gray: bool
    holes: bool


Show = Callable[[Image, Union[Alpha, None], Tile], None]
"""Takes a finished part of a result, for looking at: colour, alpha, and where in the result it is, in its pixels."""
Complete = Callable[[Image, Tile], tuple[Image, Union[Alpha, None]]]
"""(finished colour, its place in the result) -> colour and alpha"""


def apply(
    operation: Operation,
    params: object,
    job: ModelJob,
    image: Image,
    alpha: Alpha | None,
    show: Show | None = None,
    whole: Whole | None = None,
) -> tuple[Image, Alpha | None]:
    """An operation on a picture of any depth, with or without alpha.

    show : takes parts of the result as they come; what is beyond 0..1 is missing in them
    whole : of what the picture is a piece; None: it is all there is
    """
    job.begin(whole.gray if whole is not None else None)
    height, width = result_size(operation, params, image)
    if alpha is None:
        with _watched(job, show, height, width, lambda colour, place: (colour, None)):
            return _colour(operation, params, job, image), None
    level = transparency.constant(alpha)
    if whole is not None and whole.holes and level != 1:
        if level == 0:
            return resize(image.clamp(0, 1), height, width), torch.zeros((1, 1, height, width))
        level = None
    seen = image
    if level is None:
        seen = transparency.grow_colour(image, alpha, reach(operation, params, job), job.wrap)
    if operation.output_size is not None and level is None:
        return _twice(operation, params, job, seen, alpha, show)
    opacity = alpha if level is None else torch.full((1, 1, height, width), level)
    with _watched(job, show, height, width, lambda colour, place: (colour, _piece(opacity, place))):
        return _colour(operation, params, job, seen), opacity


def result_size(operation: Operation, params: object, image: Image) -> tuple[int, int]:
    """Height and width of what the operation makes of a picture."""
    height, width = image.shape[-2:]
    if operation.output_size is None:
        return height, width
    wide, high = operation.output_size(width, height, params)
    return high, wide


def _twice(
    operation: Operation, params: object, job: ModelJob, image: Image, alpha: Alpha, show: Show | None
) -> tuple[Image, Alpha]:
    """A picture with holes through an operation that changes its size. Parts are shown from the second time."""
    within = image.clamp(0, 1)
    height, width = result_size(operation, params, image)
    with job.part(0.0, 0.5):
        black = _colour(operation, params, job, matting.over(within, alpha, 0.0))
    typical = resize(within, height, width, job.wrap).clamp_(0, 1)
    result = matting.known(alpha, height, width, job.wrap)

    def complete(white: Image, place: Tile) -> tuple[Image, Alpha]:
        colour, opacity = _piece(black, place).clone(), _piece(result, place).clone()
        matting.solve(colour, white, _piece(typical, place), opacity)
        return colour, opacity

    with job.part(0.5, 1.0), _watched(job, show, height, width, complete):
        white = _colour(operation, params, job, matting.over(within, alpha, 1.0))
    colour = black.contiguous()
    matting.solve(colour, white, typical, result)
    if not torch.equal(within, image):
        colour += resize(image - within, height, width, job.wrap)
    return colour, result


def _piece(planes: Image, place: Tile) -> Image:
    return planes[:, :, place.top : place.top + place.height, place.left : place.left + place.width]


@contextlib.contextmanager
def _watched(job: ModelJob, show: Show | None, height: int, width: int, complete: Complete) -> Iterator[None]:
    """Within the `with` block, what the operation finishes is completed and shown at its place in the result."""
    if show is None:
        yield
        return

    def watch(colour: Image, tile: Tile, size: tuple[int, int]) -> None:
        rows = [at * height // size[0] for at in (tile.top, tile.top + tile.height)]
        columns = [at * width // size[1] for at in (tile.left, tile.left + tile.width)]
        place = Tile(rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0])
        if place.height and place.width:
            show(*complete(resize(colour, place.height, place.width), place), place)

    job.watch = watch
    try:
        yield
    finally:
        job.watch = None


def _colour(operation: Operation, params: object, job: ModelJob, image: Image) -> Image:
    if image.shape[1] == 3 and (_is_gray(image) if job.gray is None else job.gray):
        with _in_three_channels(job):
            return _within(operation, params, job, image[:, :1].contiguous()).expand(-1, 3, -1, -1)
    return _within(operation, params, job, image)


def _is_gray(image: Image) -> bool:
    return torch.equal(image[:, :1], image[:, 1:2]) and torch.equal(image[:, :1], image[:, 2:])


@contextlib.contextmanager
def _in_three_channels(job: ModelJob) -> Iterator[None]:
    watch = job.watch
    if watch is not None:
        job.watch = lambda colour, tile, size: watch(colour.expand(-1, 3, -1, -1), tile, size)
    try:
        yield
    finally:
        job.watch = watch


def _within(operation: Operation, params: object, job: ModelJob, image: Image) -> Image:
    low, high = image.aminmax()
    if low >= 0 and high <= 1:
        result: Image = operation.function(image, params, job)
        return result
    within = image.clamp(0, 1)
    beyond = image - within
    result = operation.function(within, params, job)
    height, width = result.shape[-2:]
    return result + resize(beyond, height, width, job.wrap)


def reach(operation: Operation, params: object, job: ModelJob) -> int:
    """How far hidden colour can have an effect: visible output reaches a little beyond visible input, so twice the
    receptive field of the model."""
    return max((2 * card.receptive_field for card in _cards(operation, params, job)), default=DEFAULT_REACH)


def pitch(operation: Operation, params: object, job: ModelJob) -> int:
    """A part of a layer has to begin at a multiple of this, so that networks see it as they would in the whole."""
    return math.lcm(*(card.multiple for card in _cards(operation, params, job)))


def _cards(operation: Operation, params: object, job: ModelJob) -> list[ModelCard]:
    names = [info.name for info in operation.info().parameters if info.kind == "model"]
    return [job.card(getattr(params, name)) for name in names]
