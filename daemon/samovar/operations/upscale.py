"""`upscale`: more pixels, by any factor from 1 to 8.

A network enlarges by its own factor only. So it runs as often as it takes to reach the factor asked for, and a proper
shrink takes the surplus away; 1x therefore is up and down again: it cleans and sharpens. Noise is cleaned up by the
first pass; the others run the plain model.

Shrinking at the end gives the better picture (3x of a photo by a 2x model, against shrinking before the last pass: 31.5
and 31.2 dB with UpConv7, 32.0 and 31.8 with CUNet), but by a 4x model twice it would make a picture of up to 14 times
the pixels of the result. So a surplus of 2 or more a side is taken away before the last pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from samovar.operation import operation, param

if TYPE_CHECKING:
    from samovar.card import Catalogue
    from samovar.worker.image import Image
    from samovar.worker.model_job import ModelJob


LARGE_SURPLUS = 2.0


@dataclass(frozen=True)
class Params:
    model: str = param(
        "waifu2x/cunet-art", title="Model", help="What kind of picture it is, and how long it may take", model=True
    )
    scale: float = param(
        2.0, title="Scale", help="How many times as wide and as high", unit="x", minimum=1.0, maximum=8.0, step=0.5
    )
    noise: int = param(
        -1,
        title="Clean up noise",
        help="JPEG blocks and speckle: -1 leaves the picture as it is, 0 is gentle, 3 is strong",
        minimum=-1,
        maximum=3,
    )


def scaled_side(side: int, scale: float) -> int:
    """Pixels of a side after scaling: rounded half up, at least 1."""
    return max(1, math.floor(side * scale + 0.5))


def output_size(width: int, height: int, params: Params) -> tuple[int, int]:
    return scaled_side(width, params.scale), scaled_side(height, params.scale)


def check(params: Params) -> None:
    """Refuse a noise level that the model has no weights for."""
    from samovar import card
    from samovar_link.errors import BadRequest

    cards = [each for each in card.discover() if "upscale" in each.operations]
    lacking = any(each.id == params.model and params.noise not in each.noise_levels for each in cards)
    if params.noise >= 0 and lacking:
        able = ", ".join(each.id for each in cards if params.noise in each.noise_levels)
        raise BadRequest.field("upscale.noise", params.noise, f"-1 with {params.model}", f"noise works with {able}")


def passes(scale: float, factor: int) -> int:
    """How often a model of the given factor has to run."""
    count = 1
    while factor**count < scale - 1e-9:
        count += 1
    return count


def variant(params: Params, index: int) -> str:
    """The weights of a pass: the first cleans up noise as well."""
    return f"noise{params.noise}" if params.noise >= 0 and index == 0 else ""


def weights(params: Params, catalogue: Catalogue) -> list[tuple[str, str]]:
    """What a run applies, as (model, variant)."""
    count = passes(params.scale, catalogue.get(params.model).scale)
    return [(params.model, variant(params, index)) for index in range(count)]


def _after(before: Image, after: Image) -> Image:
    return after


@operation("upscale", title="Upscale", params=Params, output_size=output_size, check=check, weights=weights)
def upscale(image: Image, params: Params, job: ModelJob) -> Image:
    """Make the picture larger with a neural network: sharp lines and no blocks, for drawings and photos."""
    from samovar.worker.resample import resize

    height, width = (scaled_side(side, params.scale) for side in image.shape[-2:])
    factor = job.card(params.model).scale
    count = passes(params.scale, factor)
    shrink_early = count > 1 and factor**count / params.scale >= LARGE_SURPLUS
    areas = [factor ** (2 * index) for index in range(count)]  # of the passes' inputs, for the progress
    for index in range(count):
        if shrink_early and index == count - 1:
            image = resize(image, math.ceil(height / factor), math.ceil(width / factor), job.wrap).clamp_(0, 1)
        with job.part(sum(areas[:index]) / sum(areas), sum(areas[: index + 1]) / sum(areas)):
            last = index == count - 1
            image = job.apply(params.model, variant(params, index), image, "upscaling", shown=_after if last else None)
    return resize(image, height, width, job.wrap).clamp_(0, 1)
