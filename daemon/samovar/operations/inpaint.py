"""`inpaint`: what is selected goes, and the picture goes on there.

By patches of the picture itself, or by a network that was trained to guess what is behind things. Patches meet what is
around them by themselves. A network gets a margin around the selection, the *feather*, in which it may change the
picture, too; over the outer part of it, the *blend*, its picture fades into the layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from samovar.operation import Edge, Filling, operation, param
from samovar_link.request import CONTEXT, LEAST_CONTEXT, LEAST_MARGIN, MOST_CONTEXT, MOST_MARGIN

if TYPE_CHECKING:
    from samovar.card import Catalogue, ModelCard
    from samovar.worker.holes import Hole
    from samovar.worker.image import Alpha, Image
    from samovar.worker.model_job import ModelJob


@dataclass(frozen=True)
class Params:
    model: str = param("patchmatch", title="Model", help="Where the new picture comes from", model=True)
    context: int = param(
        0,
        title="Context",
        help="How far around the selection is looked; 0 as far as two thirds of its length",
        unit="px",
        minimum=0,
        maximum=2048,
    )
    grow: int = param(
        4, title="Grow", help="Takes the selection wider, so that no rim of it stays", unit="px", minimum=0, maximum=256
    )
    feather: float = param(
        10.0,
        title="Feather",
        help="How far around the selection a network may change the picture to meet it, of the selection's diagonal;"
        " patches need none",
        unit="%",
        minimum=0.0,
        maximum=50.0,
    )
    blend: int = param(
        25,
        title="Blend",
        help="Over how much of the feather a network's picture fades into the layer",
        unit="px",
        minimum=0,
        maximum=256,
    )
    match: bool = param(
        True, title="Match the border's colour", help="Shifts the colours of the new so that no border shows"
    )
    exact: bool = param(
        False, title="Use my selection exactly", help="Nothing but what is selected changes: no growing, no feather"
    )
    variants: int = param(1, title="Variants", help="So many results, to choose from", minimum=1, maximum=3)


def edge(params: Params, diagonal: float, card: Callable[[str], ModelCard]) -> Edge:
    """How the selection is widened. diagonal : of the selection, in pixels"""
    if params.exact:
        return Edge()
    if not card(params.model).weights:
        return Edge(params.grow)
    margin = round(diagonal * params.feather / 100)
    if params.feather:
        margin = min(max(margin, LEAST_MARGIN), MOST_MARGIN)
    return Edge(params.grow, margin, params.blend)


def context(params: Params, side: int) -> int:
    """Pixels around a part of the selection that are looked at. side : its longer one"""
    return params.context or min(max(math.ceil(side * CONTEXT), LEAST_CONTEXT), MOST_CONTEXT)


def weights(params: Params, catalogue: Catalogue) -> list[tuple[str, str]]:
    """What a run applies, as (model, variant)."""
    return [(params.model, "")] if catalogue.get(params.model).weights else []


def variants(params: Params) -> int:
    return params.variants


@operation(
    "inpaint", title="Remove Selection", params=Params, roles=("image", "mask"), weights=weights, random=True,
    filling=Filling(edge, context, variants),
)  # fmt: skip
def inpaint(image: Image, alpha: Alpha | None, hole: Hole, params: Params, job: ModelJob) -> tuple[Image, Alpha | None]:
    """Remove what is selected and let the picture go on there, from what is around it."""
    from samovar.worker import inpainting

    if not job.card(params.model).weights:
        return inpainting.by_patches(image, alpha, hole, job, params.model, params.match)
    return inpainting.by_network(image, alpha, hole, job, params.model, params.match)
