"""`colorize`: colour for gray photographs, manga pages and line art, by itself or as strokes of colour say.

The network sees the picture small and says which colour is where; that is brought to full size along the edges of the
lightness, which stays the layer's own. What has colours already is left as it is, unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from samovar.operation import operation, param
from samovar_link.messages import Choice, Raster

if TYPE_CHECKING:
    from samovar.card import Catalogue
    from samovar.worker.region import Box
    from samovar.worker.way import Way

PICTURE, COLOR, MULTIPLY = "picture", "color", "multiply"
HINTS = "hints"


@dataclass(frozen=True)
class Params:
    model: str = param("samovar/art-colour", title="Model", help="What it knows the colours of", model=True)
    saturation: float = param(
        1.0, title="Saturation", help="How strong the colours are; not those of strokes", minimum=0.0, maximum=3.0,
        step=0.05,
    )  # fmt: skip
    result: str = param(
        PICTURE,
        title="Result",
        help="The coloured picture, or only its colour, to be laid over what is there",
        choices={
            PICTURE: "Coloured picture",
            COLOR: Choice(COLOR, "Only the colour, mode Color", blend="color"),
            MULTIPLY: Choice(MULTIPLY, "Only the colour, for line art, mode Multiply", blend="multiply"),
        },
    )
    keep_white: bool = param(
        True,
        title="Keep paper white",
        help="No colour on blank paper, but for strokes; not for line art in mode Multiply",
    )
    recolour: bool = param(
        False, title="Recolour", help="Also what has colours already, which is otherwise left as it is"
    )


def weights(params: Params, catalogue: Catalogue) -> list[tuple[str, str]]:
    """What a run applies, as (model, variant)."""
    return [(params.model, "")]


@operation(
    "colorize", title="Colorize", params=Params, own_way=True, weights=weights, guides=(HINTS,), whole=True,
    colours=True, menu="colors",
)  # fmt: skip
def colorize(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """Colour a gray picture or line art, by itself or led by strokes of colour; its lightness stays as it is."""
    from samovar.worker import coloring

    return coloring.run(way, scope, frames, allocate)
