"""The frame that every operation runs in, so that an operation is only what it does to colour.

Pixels become canonical images on entry and pixels again on exit. In between:
- the operation gets colour within 0..1, with visible colour grown outward under alpha 0 (see `alpha`);
- a picture whose three channels are equal goes through as gray, so that a gray page in a colour document gets no tint;
- what a float layer has beyond 0..1 goes past the operation, is resized by the plain kernel and added again;
- alpha stays as it is, unless the operation changes the size. Then a constant alpha is the result's; a picture with
  holes goes through the operation on black and on white (see `matting`).
"""

from __future__ import annotations

import math

import torch

from samovar.card import ModelCard
from samovar.operation import Operation
from samovar.worker import alpha as transparency
from samovar.worker import matting
from samovar.worker.image import Alpha, Image
from samovar.worker.model_job import ModelJob
from samovar.worker.resample import resize

DEFAULT_REACH = 32
"""Pixels that an operation without a model is taken to look around itself."""


def apply(
    operation: Operation, params: object, job: ModelJob, image: Image, alpha: Alpha | None
) -> tuple[Image, Alpha | None]:
    """An operation on a picture of any depth, with or without alpha."""
    if alpha is None:
        return _colour(operation, params, job, image), None
    level = transparency.constant(alpha)
    seen = image
    if level is None:
        seen = transparency.grow_colour(image, alpha, reach(operation, params, job), job.wrap)
    if operation.output_size is None:
        return _colour(operation, params, job, seen), alpha
    if level is None:
        return _twice(operation, params, job, seen, alpha)
    result = _colour(operation, params, job, seen)
    return result, torch.full((1, 1, *result.shape[-2:]), level)


def _twice(operation: Operation, params: object, job: ModelJob, image: Image, alpha: Alpha) -> tuple[Image, Alpha]:
    """A picture with holes through an operation that changes its size."""
    within = image.clamp(0, 1)
    with job.part(0.0, 0.5):
        black = _colour(operation, params, job, matting.over(within, alpha, 0.0))
    with job.part(0.5, 1.0):
        white = _colour(operation, params, job, matting.over(within, alpha, 1.0))
    size = black.shape[-2:]
    typical = resize(within, size[0], size[1], job.wrap).clamp_(0, 1)
    colour, result = matting.separate(black.contiguous(), white, alpha, typical, job.wrap)
    if not torch.equal(within, image):
        colour += resize(image - within, size[0], size[1], job.wrap)
    return colour, result


def _colour(operation: Operation, params: object, job: ModelJob, image: Image) -> Image:
    if image.shape[1] == 3 and torch.equal(image[:, :1], image[:, 1:2]) and torch.equal(image[:, :1], image[:, 2:]):
        return _within(operation, params, job, image[:, :1].contiguous()).expand(-1, 3, -1, -1)
    return _within(operation, params, job, image)


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
