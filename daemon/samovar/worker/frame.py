"""The frame that every operation runs in, so that an operation is only what it does to colour.

Pixels become canonical images on entry and pixels again on exit. In between:
- the operation gets colour within 0..1, with visible colour grown outward under alpha 0 (see `alpha`);
- a picture whose three channels are equal goes through as gray, so that a gray page in a colour document gets no tint;
- what a float layer has beyond 0..1 goes past the operation, is resized by the plain kernel and added again;
- alpha, and what lies hidden where it is 0, stay as they are, unless the operation changes the size: then alpha goes
  through the operation as a gray picture of its own, except where it has one value throughout, which is then the
  result's.
"""

from __future__ import annotations

import torch

from samovar.operation import Operation
from samovar.worker import alpha as transparency
from samovar.worker.image import Alpha, Image
from samovar.worker.model_job import ModelJob
from samovar.worker.resample import resize

DEFAULT_REACH = 32
"""Pixels that an operation without a model is taken to look around itself."""


def apply(
    operation: Operation, params: object, job: ModelJob, image: Image, alpha: Alpha | None
) -> tuple[Image, Alpha | None]:
    """An operation on a picture of any depth, with or without alpha."""
    level = None if alpha is None else transparency.constant(alpha)
    second_pass = alpha is not None and level is None and operation.output_size is not None
    seen = image
    if alpha is not None and level is None:
        seen = transparency.grow_colour(image, alpha, _reach(operation, params, job), job.wrap)
    with job.part(0.0, 0.5 if second_pass else 1.0):
        result = _colour(operation, params, job, seen)
    if alpha is None:
        return result, None
    if operation.output_size is None:
        return torch.where(alpha > 0, result, image), alpha
    if level is not None:
        return result, torch.full((1, 1, *result.shape[-2:]), level)
    job.plane = "alpha"
    with job.part(0.5, 1.0):
        enlarged = operation.function(alpha, params, job).clamp_(0, 1)
    return result, transparency.settle(enlarged, alpha)


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


def _reach(operation: Operation, params: object, job: ModelJob) -> int:
    """How far hidden colour can have an effect: visible output reaches a little beyond visible input, so twice the
    receptive field of the model."""
    names = [info.name for info in operation.info().parameters if info.kind == "model"]
    return 2 * max((job.card(getattr(params, name)).receptive_field for name in names), default=DEFAULT_REACH)
