"""The layer contract, held by `restore` in all of its modes.

What a fit sees decides all of what it makes, so a part of a layer is not what would be found there in the whole, and
tiles are blended (`test_mosaic.py`): the rest holds as ever.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from laboratory import DTYPES, Laboratory, Outcome, Pixels, noise, smooth

from samovar import operation
from samovar_link.messages import Rectangle

CASES: dict[str, dict[str, Any]] = {
    "denoise": {"mode": "denoise"},
    "jpeg": {"mode": "jpeg"},
    "inpaint": {"mode": "inpaint"},
    "upscale": {"mode": "upscale", "scale": 2},
    "upscale by 3": {"mode": "upscale", "scale": 3},
    "classic": {"mode": "jpeg", "method": "classic"},
}
LEVEL = 1 / 255
TOPS = {"u8": 255, "u16": 65535, "f16": 1.0, "f32": 1.0}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
every = pytest.mark.parametrize("case", CASES)
keeping = pytest.mark.parametrize("case", ["denoise", "jpeg", "classic"])

held = settings(
    max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)  # fmt: skip
sides = st.sampled_from([1, 2, 3, 9, 17, 30])
dtypes = st.sampled_from(sorted(DTYPES))
LABORATORY = Laboratory()


@st.composite
def layers(draw: st.DrawFn) -> tuple[Pixels, Pixels]:
    """A layer of any kind and a mask with something, but not all, in it."""
    height, width, dtype, channels = draw(sides), draw(sides), draw(dtypes), draw(st.sampled_from([1, 2, 3, 4]))
    assume(height * width > 1)
    pixels = smooth(height, width, channels, dtype)
    if draw(st.booleans()):
        pixels = noise(height, width, channels, dtype=dtype, seed=draw(st.integers(0, 99)))
    if channels in (2, 4):
        kind = draw(st.sampled_from(["any", "left", "none"]))
        if kind != "any":
            pixels[..., -1] = TOPS[dtype]
        if kind == "left":
            pixels[:, : (width + 1) // 2, -1] = 0
    mask = np.zeros((height, width, 1), np.uint8)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(1, 9)), left : left + draw(st.integers(1, 9))] = draw(st.sampled_from([255, 90]))
    assume(not (mask > 0).all())
    return pixels, mask


def run(case: str, pixels: Pixels, mask: Pixels | None, **more: Any) -> Outcome:
    """The mask only where it can be left out or has to be given."""
    masks = {} if mask is None or CASES[case]["mode"] == "upscale" else {"mask": mask}
    return LABORATORY.run(pixels, "restore", masks=masks, **{"iterations": 2, **CASES[case], **more})


@every
@held
@given(layer=layers(), x=st.integers(-99, 99), y=st.integers(-99, 99))
def test_a_layer_comes_back_as_the_kind_it_was_and_at_its_place(
    case: str, layer: tuple[Pixels, Pixels], x: int, y: int
) -> None:
    pixels, mask = layer
    factor = CASES[case].get("scale", 1)
    made = run(case, pixels, mask, raster={"x": x, "y": y})
    raster = made.result.images["image"]
    assert made.pixels.dtype == pixels.dtype
    assert made.pixels.shape == (pixels.shape[0] * factor, pixels.shape[1] * factor, pixels.shape[2])
    assert (raster.x, raster.y) == (x * factor, y * factor)
    assert made.result.report.model.startswith("deep-image-prior/")
    assert made.result.report.notes or not (pixels[..., -1] > 0).any(), "nothing of it is seen"
    assert not made.result.report.retries


@every
@held
@given(layer=layers())
def test_the_same_request_gives_the_same_pixels(case: str, layer: tuple[Pixels, Pixels]) -> None:
    assert run(case, *layer).pixels.tobytes() == run(case, *layer).pixels.tobytes()


@pytest.mark.parametrize("case", ["denoise", "jpeg", "classic", "inpaint"])
@held
@given(layer=layers())
def test_outside_the_mask_nothing_changes(case: str, layer: tuple[Pixels, Pixels]) -> None:
    pixels, mask = layer
    made = run(case, pixels, mask).pixels
    outside = mask[..., 0] == 0
    assert made[outside].tobytes() == pixels[outside].tobytes()


@every
@held
@given(layer=layers(), data=st.data())
def test_a_region_comes_back_alone(case: str, layer: tuple[Pixels, Pixels], data: st.DataObject) -> None:
    pixels, mask = layer
    height, width = pixels.shape[:2]
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    wide, high = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    made = run(case, pixels, mask, message={"region": Rectangle(x, y, wide, high)})
    factor = CASES[case].get("scale", 1)
    assert made.pixels.shape[:2] == (high * factor, wide * factor)
    if factor == 1:
        part = slice(y, y + high), slice(x, x + wide)
        outside = mask[part][..., 0] == 0
        assert made.pixels[outside].tobytes() == pixels[part][outside].tobytes()


@keeping
@held
@given(layer=layers())
def test_alpha_and_what_is_hidden_stay(case: str, layer: tuple[Pixels, Pixels]) -> None:
    pixels, _ = layer
    assume(pixels.shape[2] in (2, 4))
    made = run(case, pixels, None).pixels
    assert made[..., -1].tobytes() == pixels[..., -1].tobytes()
    hidden = pixels[..., -1] == 0
    assert made[hidden].tobytes() == pixels[hidden].tobytes()


@every
@held
@given(height=sides, width=sides, dtype=dtypes, depth=st.sampled_from([2, 4]), seed=st.integers(0, 99))
def test_opaque_stays_exactly_opaque(case: str, height: int, width: int, dtype: str, depth: int, seed: int) -> None:
    assume(height * width > 1)
    pixels = noise(height, width, depth, dtype=dtype, seed=seed)
    pixels[..., -1] = TOPS[dtype]
    mask = np.zeros((height, width, 1), np.uint8)
    mask[0, 0] = 255
    assert (run(case, pixels, mask).pixels[..., -1] == TOPS[dtype]).all()


@every
@held
@given(layer=layers(), hidden=st.floats(0, 1))
def test_what_lies_under_alpha_0_is_never_seen(case: str, layer: tuple[Pixels, Pixels], hidden: float) -> None:
    pixels, mask = layer
    assume(pixels.shape[2] in (2, 4) and (pixels[..., -1] == 0).any())
    other = pixels.copy()
    other[pixels[..., -1] == 0, :-1] = np.asarray(
        hidden * TOPS[str(next(n for n in DTYPES if DTYPES[n] == pixels.dtype))]
    )

    def visible(made: Pixels) -> Pixels:
        values = made.astype(np.float64)
        return values[..., :-1] * (values[..., -1:] > 0)

    one, two = run(case, pixels, mask).pixels, run(case, other, mask).pixels
    assert one[..., -1].tobytes() == two[..., -1].tobytes()
    assert np.array_equal(visible(one), visible(two))


@every
@held
@given(height=sides, width=sides, dtype=dtypes, seed=st.integers(0, 99))
def test_gray_stays_gray(case: str, height: int, width: int, dtype: str, seed: int) -> None:
    assume(height * width > 1)
    pixels = np.repeat(noise(height, width, 1, dtype=dtype, seed=seed), 3, 2)
    mask = np.zeros((height, width, 1), np.uint8)
    mask[0, 0] = 255
    made = run(case, pixels, mask).pixels
    assert (made[..., 0] == made[..., 1]).all() and (made[..., 0] == made[..., 2]).all()


@every
def test_a_sixteen_bit_ramp_keeps_more_than_256_levels(case: str) -> None:
    ramp = np.linspace(6000, 60000, 900).astype(np.uint16)[None, :, None].repeat(4, 0)
    mask = np.zeros((4, 900, 1), np.uint8)
    mask[1:3, 10:890] = 255
    made = run(case, ramp, mask, iterations=6).pixels
    assert len(np.unique(made)) > 256


@every
@held
@given(most=st.floats(1.5, 100), least=st.floats(-50, -0.5), depth=st.sampled_from([1, 3, 4]))
def test_values_beyond_the_range_survive(case: str, most: float, least: float, depth: int) -> None:
    pixels = smooth(24, 24, depth, "f32")
    if depth == 4:
        pixels[..., -1] = 1
    pixels[4:9, 4:9, 0], pixels[14:19, 14:19, 0] = most, least
    mask = np.zeros((24, 24, 1), np.uint8)
    mask[0, 0] = 255
    made = run(case, pixels, mask if case == "inpaint" else None).pixels[..., 0]
    assert made.max() > 0.9 * (most - 1) and made.min() <= least + 1


@every
def test_another_seed_gives_another_result(case: str) -> None:
    pixels = smooth(30, 30, 3)
    mask = np.zeros((30, 30, 1), np.uint8)
    mask[8:20, 8:20] = 255
    made = [run(case, pixels, mask, message={"seed": seed}).pixels for seed in (1, 2)]
    assert not np.array_equal(*made)


def test_every_operation_that_goes_its_own_way_is_here() -> None:
    assert {each.id for each in operation.discover() if each.own_way} == {"restore", "colorize", "texture", "faces"}
    modes = next(each for each in operation.discover().get("restore").info().parameters if each.name == "mode")
    assert {choice.id for choice in modes.choices} == {case["mode"] for case in CASES.values()}
