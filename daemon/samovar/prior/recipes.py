"""How a network is fitted, for each kind of damage.

`CLASSIC` are the settings of the published notebooks of Deep Image Prior, where every weight is trained. `FAST` is made
after Deep Random Projector: convolutions stay as chance drew them, and the input and the normalisations are trained,
with total variation in the loss. Its networks draw what a first picture lacks (see `frame`), because on a processor the
published way, which begins with nothing, takes minutes and ends below that first picture.

Differs from the notebooks: what they do not average is averaged over some ten pictures here, because it is looked at
while it comes; pictures of any size are padded with pixels that do not count, where they were cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from samovar.prior.skip import Shape

DENOISE, COMPLETE = "denoise", "complete"
"""First pictures: without the noise, or with what is missing."""
NOISE, NORMAL, GRID = "noise", "normal", "grid"
"""Inputs: uniform in 0..0.1; normal with a deviation of 0.1; the coordinates, 0..1."""


@dataclass(frozen=True)
class Recipe:
    """shape : of the network; input : one of those above
    jitter : deviation of the noise that is added to the input at every step
    rate : Adam's; iterations : after so many it is over at the latest
    average : share of the old in the mean picture
    track_back : every so many steps, go back to the weights of the last time if the error has grown much; 0 never
    patience, after : for stopping early, see `EarlyStop`
    frozen : only the input and the normalisations are trained, and the loss is the root of the error
    smoothness : weight of the total variation in the loss
    start : "" begins with what the network draws; otherwise it draws what is missing in a first picture, see `frame`
    sparsity : weight of what the noise could be, see `frame.penalty`, in the loss
    sigma : deviation of that noise; 0: as the picture tells
    """

    shape: Shape
    input: str
    jitter: float
    rate: float
    iterations: int
    average: float = 0.9
    track_back: int = 0
    patience: int = 500
    after: int = 100
    frozen: bool = False
    smoothness: float = 0.0
    start: str = ""
    sparsity: float = 0.0
    sigma: float = 0.0


_DEFAULT = Shape((128,) * 5, (4,) * 5, 32)
_NEAREST = replace(_DEFAULT, up="nearest")

CLASSIC: dict[str, Recipe] = {
    "denoise": Recipe(_DEFAULT, NOISE, 1 / 30, 0.01, 3000, average=0.99, track_back=100),
    "jpeg": Recipe(
        Shape((8, 16, 32, 64, 128), (0, 0, 0, 4, 4), 3), NOISE, 1 / 30, 0.01, 2400, average=0.99, track_back=100
    ),
    "upscale": Recipe(_DEFAULT, NOISE, 0.03, 0.01, 2000),
    "upscale-8": Recipe(_DEFAULT, NOISE, 0.05, 0.01, 4000),
    "text": Recipe(replace(_NEAREST, skips=(128,) * 5), NOISE, 0.03, 0.01, 6001),
    "medium": Recipe(replace(_NEAREST, skips=(0,) * 5, depth=2), GRID, 0.03, 0.01, 5001),
    "large": Recipe(
        Shape((16, 32, 64, 128, 128, 128), (0,) * 6, 1, up="nearest", down_kernel=5, mixed=False),
        NOISE, 0.0, 0.01, 3001,
    ),
    "pixels": Recipe(_DEFAULT, NOISE, 0.03, 0.001, 11000, track_back=50),
    "sparse": Recipe(Shape((16, 32, 64, 128, 128), (0,) * 5, 32, pooled=True), NOISE, 0.0, 0.01, 1000),
}  # fmt: skip
"""By damage. Of holes: lines of text, medium and large ones; half of the pixels, most of the pixels."""

_ONE = Shape((64,), (4,), 3)
_FAST = Recipe(_ONE, NORMAL, 0.0, 0.05, 1000, patience=40, after=20, frozen=True, sparsity=1.0)

FAST: dict[str, Recipe] = {
    "denoise": replace(_FAST, start=DENOISE, smoothness=0.03),
    "jpeg": replace(_FAST, start=DENOISE, smoothness=0.03, sigma=6 / 255),
    "upscale": replace(_FAST, start=COMPLETE, smoothness=0.02, sigma=2 / 255),
    "holes": replace(_FAST, start=COMPLETE, smoothness=0.02, sigma=2 / 255),
}
