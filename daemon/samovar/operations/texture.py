"""`texture`: more of a texture, of any size, grown from a sample of it.

The sample is the layer or what is selected of it, and what is grown a layer of its own, which repeats without a seam
along the axes that wrap; or what is selected is filled with the texture of the rest. Pieces of the sample, sewn
together, show at once. Then the statistics of what filters answer to the sample are sought for all of the picture: that
mends the seams, and draws instead of copying. It takes as long as it is let.

With a number of iterations instead of a time, the same seed gives the same pixels.
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

NEW, FILL = "new", "fill"
QUILT, NOISE = "quilt", "noise"
GRAM, SLICED = "gram", "sliced"


@dataclass(frozen=True)
class Params:
    model: str = param("texture/patches", title="Model", help="By what the texture is known", model=True)
    result: str = param(
        NEW,
        title="Result",
        help="Where it goes: what is selected is the sample, or the place",
        choices={
            NEW: Choice(NEW, "A layer of its own", resizes=True, samples=True),
            FILL: Choice(FILL, "Fill what is selected with the rest", fills=True),
        },
    )
    width: int = param(
        0, title="Width", help="Of a layer of its own; 0 as the sample", unit="px", minimum=0, maximum=8192
    )
    height: int = param(
        0, title="Height", help="Of a layer of its own; 0 as the sample", unit="px", minimum=0, maximum=8192
    )
    seconds: int = param(
        40, title="Time", help="By then filters and networks stop; patches need none", unit="s", minimum=1, maximum=3600
    )
    start: str = param(
        QUILT,
        title="Start",
        help="What filters and networks begin with: noise repeats nothing of the sample, and is less like it",
        choices={QUILT: "Pieces of the sample", NOISE: "Noise"},
    )
    loss: str = param(
        GRAM,
        title="Statistics",
        help="What filters answer to the sample: which together, or how often how much",
        choices={GRAM: "Gram matrices (Gatys)", SLICED: "Sliced Wasserstein (Heitz)"},
    )
    iterations: int = param(
        0, title="Iterations", help="Exactly so many at each size instead of a time; 0 goes by the time", minimum=0,
        maximum=5000,
    )  # fmt: skip
    variants: int = param(1, title="Variants", help="So many results, to choose from", minimum=1, maximum=8)


def output_size(width: int, height: int, params: Params) -> tuple[int, int]:
    """(width, height) of the result."""
    return (params.width or width, params.height or height) if params.result == NEW else (width, height)


def weights(params: Params, catalogue: Catalogue) -> list[tuple[str, str]]:
    """What a run applies, as (model, variant)."""
    return [(params.model, "")] if catalogue.get(params.model).weights else []


@operation(
    "texture", title="Texture", params=Params, output_size=output_size, own_way=True, live=True, random=True,
    weights=weights, menu="render", seamless=True,
)  # fmt: skip
def texture(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """Grow a texture of any size from a sample, also one that repeats without a seam, or fill a selection with it."""
    from samovar.worker import texturing

    return texturing.run(way, scope, frames, allocate)
