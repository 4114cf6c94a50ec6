"""`restore`: a picture repaired from itself alone, by a network that nobody trained (Deep Image Prior).

It takes as long as it is let: the picture shows after a second or two and gets better, the time runs out, the fit
itself notices that it begins to draw the damage, or the user says that it is good enough. Two ways: the published one,
where all of the network is trained, for a graphics card and for patience; and one where chance draws the network and
only its input and normalisations are trained, which takes a hundred steps instead of thousands.

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

DENOISE, JPEG, INPAINT, UPSCALE = "denoise", "jpeg", "inpaint", "upscale"
FAST, CLASSIC = "fast", "classic"


@dataclass(frozen=True)
class Params:
    mode: str = param(
        DENOISE,
        title="Mode",
        help="What is wrong with the picture",
        choices={
            DENOISE: "Remove noise",
            JPEG: "Remove JPEG blocks",
            INPAINT: Choice(INPAINT, "Fill what is selected", fills=True),
            UPSCALE: Choice(UPSCALE, "Enlarge", resizes=True),
        },
    )
    seconds: int = param(
        60, title="Time", help="It stops by then at the latest; longer is not always better", unit="s", minimum=1,
        maximum=3600,
    )  # fmt: skip
    method: str = param(
        FAST,
        title="Method",
        help="Fast: a minute on a processor. Classic: as published, thousands of steps, for a graphics card",
        choices={FAST: "Fast (Deep Random Projector)", CLASSIC: "Classic (Deep Image Prior)"},
    )
    scale: int = param(2, title="Scale", help="By how much to enlarge", unit="x", minimum=2, maximum=8)
    smoothness: float = param(
        1.0, title="Smoothness", help="How much the fast method evens out: more for more noise, less for more detail",
        minimum=0.0, maximum=3.0, step=0.05,
    )  # fmt: skip
    iterations: int = param(
        0, title="Iterations", help="Exactly so many steps instead of a time; 0 goes by the time", minimum=0,
        maximum=20000,
    )  # fmt: skip


def output_size(width: int, height: int, params: Params) -> tuple[int, int]:
    """(width, height) of the result."""
    factor = params.scale if params.mode == UPSCALE else 1
    return width * factor, height * factor


def weights(params: Params, catalogue: Catalogue) -> list[tuple[str, str]]:
    """None; but what a run needs is warmed."""
    return []


@operation(
    "restore", title="Restore", params=Params, output_size=output_size, own_way=True, live=True, random=True,
    weights=weights,
)  # fmt: skip
def restore(
    way: Way, scope: Box, frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """Repair or enlarge a picture from itself alone, without a trained network; it gets better while you watch."""
    from samovar.worker import restoring

    return restoring.run(way, scope, frames, allocate)
