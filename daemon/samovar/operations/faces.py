"""`faces`: drawn faces out of numbers, as one sheet or a layer each.

Every face has a number: the first that of the seed, the next ones those after it. The same number and model give the
same face, whatever else is on the sheet. What is liked is varied, or mixed with another: with places on the way from
one to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from samovar.operation import operation, param
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster
from samovar_link.request import grid

if TYPE_CHECKING:
    from samovar.card import Catalogue
    from samovar.worker.region import Box
    from samovar.worker.way import Way

NEW, VARY, MIX = "new", "vary", "mix"
SHEET, EACH = "sheet", "each"
ANY = "any"
OWN_SIDE = 128
"""Of the default's faces; larger ones are enlarged."""
ENLARGED_BY = ("waifu2x/cunet-art", "noise0")
"""Model and variant."""


@dataclass(frozen=True)
class Params:
    model: str = param("samovar/faces", title="Model", help="What faces it knows", model=True)
    way: str = param(
        NEW,
        title="Faces",
        help="Which: each number after the seed another one; or like that of the seed; or from that to another",
        choices={NEW: "New ones", VARY: "Variations of the seed's", MIX: "From the seed's to another"},
    )
    count: int = param(16, title="Count", help="How many", minimum=1, maximum=64)
    size: str = param(
        "128",
        title="Size",
        help="Of a face (px); beyond what the model draws, it is enlarged as drawings are",
        choices={each: f"{each} px" for each in ("64", "128", "256", "512")},
    )
    style: str = param(
        ANY,
        title="Style",
        help="Of the model's own; a model trained by yourself takes its styles in turn",
        choices={
            ANY: "All, in turn", "lorelei": "Lorelei", "loreleiBW": "Lorelei, ink", "notionists": "Notionists",
            "openPeeps": "Open Peeps",
        },
    )  # fmt: skip
    result: str = param(
        SHEET,
        title="Result",
        help="What comes of it",
        choices={SHEET: "One sheet of all", EACH: "A layer for each"},
    )
    truncation: float = param(
        0.8, title="Truncation", help="Lower: more usual faces, cleaner and more alike; higher: odder ones",
        minimum=0.0, maximum=1.2, step=0.05,
    )  # fmt: skip
    amount: float = param(
        0.4, title="Variation", help="How far variations are from the seed's face", minimum=0.0, maximum=1.0, step=0.05
    )
    other: int = param(
        1, title="Other seed", help="Of the face that is mixed in; or of other variations", minimum=0,
        maximum=2**31 - 1,
    )  # fmt: skip
    only: int = param(
        0, title="Only", help="Of the sheet only that face, counted from 1 row by row; 0 for all", minimum=0, maximum=64
    )


def check(params: Params) -> None:
    if params.only > params.count:
        raise BadRequest.field("faces.only", params.only, f"0..{params.count}, which is count")


def output_size(width: int, height: int, params: Params) -> tuple[int, int]:
    """(width, height) of the result, whatever the layer's are."""
    columns, rows = (1, 1) if params.only or params.result == EACH else grid(params.count)
    return columns * int(params.size), rows * int(params.size)


def weights(params: Params, catalogue: Catalogue) -> list[tuple[str, str]]:
    """What a run applies, as (model, variant)."""
    return [(params.model, ""), *([ENLARGED_BY] if int(params.size) > OWN_SIDE else [])]


@operation(
    "faces", title="Faces", params=Params, output_size=output_size, own_way=True, random=True, weights=weights,
    menu="render", creates=True, check=check,
)  # fmt: skip
def faces(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """Draw a sheet of faces out of nothing, vary one of them, or mix two."""
    from samovar.worker import drawing

    return drawing.run(way, allocate)
