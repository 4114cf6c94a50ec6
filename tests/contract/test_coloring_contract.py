"""The layer contract, held by `colorize` in each kind of its results, with its own network.

Gray does not stay gray here: that is what it is for. All of a layer decides what its parts become, and a part is what
would be found there in the whole. The rest holds as ever.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from laboratory import DTYPES, Laboratory, Outcome, Pixels, noise, smooth

from samovar import card
from samovar.chroma import lab
from samovar_link.messages import Rectangle

OUTPUTS = ["picture", "color", "multiply"]
TOPS = {"u8": 255, "u16": 65535, "f16": 1.0, "f32": 1.0}
ROUNDING = {"u8": 0.35, "u16": 0.01, "f16": 0.12, "f32": 0.01}
"""Of lightness, 0..100, by what a value of each type is rounded to."""

untrained = pytest.mark.skipif(
    "samovar/art-colour" not in card.discover().ids("colorize"),
    reason="the colorizer's own weights are not trained yet",
)
pytestmark = [untrained, pytest.mark.slow, pytest.mark.timeout(600)]
every = pytest.mark.parametrize("output", OUTPUTS)
held = settings(
    max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)  # fmt: skip
sides = st.sampled_from([1, 2, 3, 17, 33, 70])
LABORATORY = Laboratory()


@st.composite
def layers(draw: st.DrawFn) -> tuple[Pixels, Pixels]:
    """A gray layer of any kind, and a mask with something, but not all, in it."""
    height, width = draw(sides), draw(sides)
    dtype, channels = draw(st.sampled_from(sorted(DTYPES))), draw(st.sampled_from([1, 2, 3, 4]))
    assume(height * width > 1)
    pixels = smooth(height, width, 2, dtype)
    if draw(st.booleans()):
        pixels = noise(height, width, 2, dtype=dtype, seed=draw(st.integers(0, 99)))
    gray, alpha = pixels[..., :1], pixels[..., 1:]
    kind = draw(st.sampled_from(["any", "left", "none"]))
    if kind != "any":
        alpha[...] = TOPS[dtype]
    if kind == "left":
        alpha[:, : (width + 1) // 2] = 0
    parts = [gray] * (1 if channels < 3 else 3) + ([alpha] if channels in (2, 4) else [])
    mask = np.zeros((height, width, 1), np.uint8)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(1, 20)), left : left + draw(st.integers(1, 20))] = draw(
        st.sampled_from([255, 90])
    )
    assume(not (mask > 0).all())
    return np.ascontiguousarray(np.concatenate(parts, 2)), mask


def run(pixels: Pixels, output: str, mask: Pixels | None = None, **more: Any) -> Outcome:
    masks = {} if mask is None else {"mask": mask}
    return LABORATORY.run(pixels, "colorize", masks=masks, result=output, **more)


def spread(pixels: Pixels) -> Pixels:
    """Gray in three channels, alpha beside it."""
    if pixels.shape[2] > 2:
        return pixels
    return np.concatenate([np.repeat(pixels[..., :1], 3, 2), pixels[..., 1:]], 2)


def lightness(pixels: Pixels, dtype: str) -> Pixels:
    colour = torch.from_numpy(pixels[..., :3].astype(np.float32) / TOPS[dtype]).permute(2, 0, 1)[None].clamp(0, 1)
    return lab.lightness(lab.light(colour))[0, 0].numpy()


def name(pixels: Pixels) -> str:
    return next(each for each in DTYPES if DTYPES[each] == pixels.dtype)


@every
@held
@given(layer=layers(), x=st.integers(-99, 99), y=st.integers(-99, 99))
def test_it_comes_back_at_its_place_in_its_own_depth(output: str, layer: tuple[Pixels, Pixels], x: int, y: int) -> None:
    pixels, _ = layer
    made = run(pixels, output, raster={"x": x, "y": y})
    raster = made.result.images["image"]
    channels = 4 if output != "picture" or pixels.shape[2] in (2, 4) else 3
    assert made.pixels.shape == (*pixels.shape[:2], channels) and made.pixels.dtype == pixels.dtype
    assert (raster.x, raster.y) == (x, y) and not made.result.report.retries


@held
@given(layer=layers())
def test_lightness_is_the_layers_own_wherever_it_shows(layer: tuple[Pixels, Pixels]) -> None:
    pixels, _ = layer
    before, made = spread(pixels), run(pixels, "picture").pixels
    shown = np.ones(pixels.shape[:2], bool) if before.shape[2] == 3 else before[..., 3] > 0
    apart = np.abs(lightness(before, name(pixels)) - lightness(made, name(pixels)))
    assert not shown.any() or apart[shown].max() <= ROUNDING[name(pixels)]


@every
@held
@given(layer=layers())
def test_the_same_request_gives_the_same_pixels(output: str, layer: tuple[Pixels, Pixels]) -> None:
    pixels, mask = layer
    assert run(pixels, output, mask).pixels.tobytes() == run(pixels, output, mask).pixels.tobytes()


@every
@held
@given(layer=layers())
def test_outside_the_mask_nothing_changes(output: str, layer: tuple[Pixels, Pixels]) -> None:
    pixels, mask = layer
    made, outside = run(pixels, output, mask).pixels, mask[..., 0] == 0
    if output == "picture":
        assert made[outside].tobytes() == spread(pixels)[outside].tobytes()
    else:
        assert not made[outside].any(), "a layer of colour is clear there"


@every
@held
@given(layer=layers(), data=st.data())
def test_a_region_is_what_would_be_found_there_in_the_whole(
    output: str, layer: tuple[Pixels, Pixels], data: st.DataObject
) -> None:
    pixels, _ = layer
    height, width = pixels.shape[:2]
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    wide, high = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    part = run(pixels, output, message={"region": Rectangle(x, y, wide, high)}).pixels.astype(np.float64)
    whole = run(pixels, output).pixels[y : y + high, x : x + wide].astype(np.float64)
    assert part.shape == whole.shape
    assert np.abs(part - whole).max() <= {"u8": 1, "u16": 64, "f16": 2e-3, "f32": 1e-3}[name(pixels)]


@held
@given(layer=layers())
def test_alpha_and_what_is_hidden_stay(layer: tuple[Pixels, Pixels]) -> None:
    pixels, _ = layer
    assume(pixels.shape[2] in (2, 4))
    made = run(pixels, "picture").pixels
    assert made[..., 3].tobytes() == pixels[..., -1].tobytes()
    hidden = pixels[..., -1] == 0
    assert made[hidden].tobytes() == spread(pixels)[hidden].tobytes()


@held
@given(layer=layers(), seed=st.integers(0, 99))
def test_hidden_colour_has_no_effect(layer: tuple[Pixels, Pixels], seed: int) -> None:
    pixels, _ = layer
    assume(pixels.shape[2] in (2, 4))
    hidden = pixels[..., -1] == 0
    assume(hidden.any() and not hidden.all())
    other = pixels.copy()
    other[hidden, :1] = noise(int(hidden.sum()), 1, dtype=name(pixels), seed=seed)
    if pixels.shape[2] == 4:
        other[hidden, 1:3] = other[hidden, :1]
    one, two = run(pixels, "picture").pixels, run(other, "picture").pixels
    assert one[~hidden].tobytes() == two[~hidden].tobytes()
