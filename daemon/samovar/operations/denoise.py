"""`denoise`: JPEG blocks, ringing and scanner noise away, at the same size.

result = image - strength * (removed - detail * fine), where `removed` is what the network took away and `fine` is that
part of it which is worth getting back: its luminance, less what a Gaussian blur leaves of it. So grain, hatching and
texture can return while blotches, the steps between blocks and coloured noise stay away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from samovar.operation import operation, param

if TYPE_CHECKING:
    from samovar.card import Catalogue, ModelCard
    from samovar.worker.image import Image
    from samovar.worker.model_job import ModelJob


FINE_SIGMA = 2.0
"""Pixels; what the blur removes has periods below about 10 pixels."""
LUMINANCE = (0.299, 0.587, 0.114)
"""ITU-R BT.601, of sRGB-encoded values."""


@dataclass(frozen=True)
class Params:
    model: str = param("waifu2x/cunet-clean", title="Model", help="What kind of picture it is", model=True)
    noise: int = param(
        1,
        title="Noise level",
        help="How bad it is: 0 a good JPEG, 1 an ordinary one, 3 blocks that everybody sees; not for every model",
        minimum=0,
        maximum=3,
    )
    strength: float = param(
        1.0,
        title="Strength",
        help="How much of the noise goes: 0 leaves the picture as it is",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )
    detail: float = param(
        0.0,
        title="Detail recovery",
        help="How much fine light and dark of the original comes back: grain, hatching, and some of the noise",
        minimum=0.0,
        maximum=1.0,
        step=0.05,
    )


def check(params: Params) -> None:
    """Refuse a noise level that the model has no weights for."""
    from samovar import card
    from samovar_link.errors import BadRequest

    for each in card.discover():
        if each.id == params.model and each.noise_levels and params.noise not in each.noise_levels:
            allowed = ", ".join(str(level) for level in each.noise_levels)
            raise BadRequest.field("denoise.noise", params.noise, f"{allowed} with {params.model}")


def weights(params: Params, catalogue: Catalogue) -> list[tuple[str, str]]:
    """What a run applies, as (model, variant)."""
    return [(params.model, variant(params, catalogue.get(params.model)))] if params.strength else []


def variant(params: Params, card: ModelCard) -> str:
    """The weights for a noise level; a model that knows none has one set of weights, whatever the level."""
    return f"noise{params.noise}" if card.noise_levels else ""


@operation("denoise", title="Denoise", params=Params, check=check, weights=weights)
def denoise(image: Image, params: Params, job: ModelJob) -> Image:
    """Clean the picture of JPEG blocks, ringing and scanner noise with a neural network; lines and size stay."""
    if params.strength == 0:
        return image

    def blend(before: Image, after: Image) -> Image:
        removed = before - after
        if params.detail:
            removed -= params.detail * fine(removed, job.wrap)
        return before - params.strength * removed

    return blend(
        image, job.apply(params.model, variant(params, job.card(params.model)), image, "cleaning", shown=blend)
    )


def fine(removed: Image, wrap: tuple[bool, bool]) -> Image:
    """The part of what was removed that counts as detail. (1, C, H, W) -> (1, 1, H, W), -1..1"""
    from samovar.worker.blur import gaussian

    if removed.shape[1] == 3:
        weight = removed.new_tensor(LUMINANCE).view(1, 3, 1, 1)
        removed = (removed * weight).sum(1, keepdim=True)
    return removed - gaussian(removed, FINE_SIGMA, wrap)
