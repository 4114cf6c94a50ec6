"""Both ways to fill a hole: patches of the picture, and a network. Where alpha varies it is filled, too, as one more
channel beside premultiplied colour, so that a shape on a transparent layer goes on together with its edge."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from samovar.networks import WholeNetwork
from samovar.patches.completion import NothingToCopy, complete
from samovar.patches.grid import dilated, padded
from samovar.patches.membrane import membrane
from samovar.worker.alpha import grow_colour
from samovar.worker.blur import gaussian
from samovar.worker.holes import Hole
from samovar.worker.image import Alpha, Image
from samovar.worker.known import check
from samovar.worker.model_job import ModelJob
from samovar.worker.resample import resize
from samovar_link.errors import BadRequest

STAGE = "filling"
STEP = 0.01
"""Of the progress."""
NEARLY = 1 / 512
"""An alpha as near to 0 or 1 as this is taken to be it."""


def by_patches(
    image: Image, alpha: Alpha | None, hole: Hole, job: ModelJob, model: str, match: bool
) -> tuple[Image, Alpha | None]:
    """The hole filled with patches from around it; the margin stays as it is.

    match : make up for what differs at the rim. Raises BadRequest if all that is seen is hole.
    """
    job.note(model)
    together = planes(image, alpha)
    known = ~hole.core
    try:
        made = complete(together, hole.core, known, job.wrap, job.seed, _teller(job, STAGE), match)
    except NothingToCopy as error:
        raise BadRequest.field(
            "inpaint.mask", "all that is seen around it", "something left to fill from",
            "enlarge the context, or select less",
        ) from error  # fmt: skip
    return parted(made) if alpha is not None else (made.permute(2, 0, 1).unsqueeze(0), None)


def _teller(job: ModelJob, stage: str) -> Callable[[float], None]:
    """Takes the share that is done, often: whoever waits for it is told each hundredth, and heard each time."""
    told = -1.0

    def tell(share: float) -> None:
        nonlocal told
        if share < told + STEP:
            job.check()
            return
        told = share
        job.progress(share, stage)

    return tell


def by_network(
    image: Image, alpha: Alpha | None, hole: Hole, job: ModelJob, model: str, match: bool
) -> tuple[Image, Alpha | None]:
    """The hole and its margin filled by a network that sees the picture at its working size.

    Where that is smaller than the picture, what is finer comes from patches that are like what the network drew.
    """
    opacity = None
    if alpha is not None:
        with job.part(0.0, 0.3):
            _, opacity = by_patches(image, alpha, hole, job, model, match)
        image = grow_colour(image, alpha, max(image.shape[-2:]), job.wrap)
    within = image.clamp(0, 1)
    asked = (hole.share > 0).float()
    with job.part(0.3 if alpha is not None else 0.0, 0.7):
        made = job.whole(model, 0, lambda network, side: _seen_at(network, side, within, asked, job))
    if image.shape[1] == 1:
        made = made.mean(1, keepdim=True)
    factor = max(image.shape[-2:]) / max(made.shape[-2:])
    drawn = resize(made, *image.shape[-2:])
    if factor > 1:
        with job.part(0.7, 1.0):
            drawn = drawn + _finer(image, drawn, hole, job, factor)
    if match:
        drawn = _matched(image, drawn, asked[0, 0] > 0, job)
    return drawn, opacity


def _seen_at(network: WholeNetwork, side: int, image: Image, hole: Image, job: ModelJob) -> Image:
    """The network's picture, at a size that it sees well."""
    job.progress(0.1, STAGE)
    height, width = image.shape[-2:]
    shrink = max(1.0, max(height, width) / side)
    small = max(1, round(height / shrink)), max(1, round(width / shrink))
    covered = functional.adaptive_max_pool2d(hole, small)
    seen = resize(image, *small).clamp(0, 1).expand(-1, 3, -1, -1)
    made: Image = network(seen.contiguous(), covered)
    check(made, float(seen.max()))
    return made.clamp(0, 1)


def _finer(image: Image, drawn: Image, hole: Hole, job: ModelJob, factor: float) -> Image:
    """What is finer than a network saw, of patches that look like what it drew. (1, C, H, W), around 0"""
    guess = torch.where(hole.core, drawn, image)
    try:
        made = complete(
            planes(guess, None), hole.core, ~hole.core, job.wrap, job.seed,
            _teller(job, "refining"), halvings=round(math.log2(factor)),
        )  # fmt: skip
    except NothingToCopy:
        return torch.zeros_like(drawn)
    patched = made.permute(2, 0, 1).unsqueeze(0)
    fine = patched - gaussian(patched, factor / 2, job.wrap)
    return torch.where(hole.core, fine, 0.0)


def _matched(image: Image, drawn: Image, changed: Tensor, job: ModelJob) -> Image:
    """With what is missing at the rim of what changes made up for by a membrane.

    Networks give the picture itself outside of the hole, so what is around a pixel there is compared with the nearest
    of what was drawn.
    """
    rim = dilated(changed, 1, job.wrap) & ~changed
    weight = changed.float()
    near = padded(torch.cat([drawn[0] * weight, weight[None]]).permute(1, 2, 0), 1, job.wrap, 0.0).permute(2, 0, 1)
    sums = 9 * functional.avg_pool2d(near, 3, stride=1)
    lacking = torch.where(rim, image[0] - sums[:-1] / sums[-1:].clamp(min=1), 0.0)
    surface = membrane(lacking.permute(1, 2, 0), rim, job.wrap)
    return drawn + surface.permute(2, 0, 1).unsqueeze(0)


def planes(image: Image, alpha: Alpha | None) -> Tensor:
    """(H, W, C), premultiplied and with alpha where that varies."""
    together = image if alpha is None else torch.cat([image * alpha, alpha], 1)
    return together[0].permute(1, 2, 0).contiguous()


def parted(together: Tensor) -> tuple[Image, Alpha]:
    """Colour and alpha back from `planes` with alpha. (H, W, C + 1)"""
    made = together.permute(2, 0, 1).unsqueeze(0)
    opacity = made[:, -1:].clamp(0, 1)
    opacity = torch.where(opacity < NEARLY, 0.0, torch.where(opacity > 1 - NEARLY, 1.0, opacity))
    colour = torch.where(opacity > 0, made[:, :-1] / opacity.clamp(min=NEARLY), 0.0)
    return colour, opacity
