"""What is wrong with a picture, and so which recipe is for it."""

from __future__ import annotations

from torch import Tensor

from samovar.operations.restore import CLASSIC, INPAINT, UPSCALE, Params
from samovar.prior import recipes
from samovar.prior.recipes import Recipe
from samovar.worker.holes import distances

LARGE_SCALE = 6
SCATTERED = 0.2
"""Of the neighbours of what is known: so many are missing where single pixels are, and not a hole."""
LINES, MEDIUM = 12.0, 40.0
"""How far the middle of a hole is from its rim, in pixels: lines of text, and what is larger but not large."""
SPARSE = 0.9
"""Of scattered pixels missing, from where there is a recipe of its own."""


def recipe(params: Params, known: Tensor) -> Recipe:
    """For the damage at hand. known : (h, w) bool, what there is of the picture"""
    if params.method != CLASSIC:
        return recipes.FAST["holes" if params.mode == INPAINT else params.mode]
    if params.mode == UPSCALE:
        return recipes.CLASSIC["upscale-8" if params.scale >= LARGE_SCALE else "upscale"]
    return recipes.CLASSIC[hole(known) if params.mode == INPAINT else params.mode]


def hole(known: Tensor) -> str:
    """What kind of hole it is."""
    beside = [known[:, 1:] != known[:, :-1], known[1:] != known[:-1]]
    if float(sum(each.sum() for each in beside)) > SCATTERED * 4 * float(known.sum()):
        missing = 1 - float(known.float().mean())
        return "sparse" if missing > SPARSE else "pixels"
    depth = float(distances(known, int(MEDIUM)).max())
    return "text" if depth <= LINES else "medium" if depth <= MEDIUM else "large"
