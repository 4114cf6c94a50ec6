"""Regions and masks: only what was asked for is computed, and nothing else changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from laboratory import DTYPES, Laboratory, Pixels, noise, smear_card, smooth

from samovar.worker.region import Box, bounds, feather, grow, placed, scope
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster, Rectangle

UP = {"operation": "upscale", "model": "test/smear"}
CLEAN = {"operation": "denoise", "model": "test/wipe"}


@pytest.fixture
def laboratory() -> Laboratory:
    wipe = smear_card(id="test/wipe", operations=("denoise",), scale=1)
    return Laboratory(smear_card(), wipe)


# --- boxes ----------------------------------------------------------------------------------------------------------


@given(
    st.integers(0, 50), st.integers(1, 50), st.integers(0, 30), st.sampled_from([1, 4]), st.booleans(),
    st.integers(0, 20),
)  # fmt: skip
def test_a_grown_box_holds_its_margin_and_begins_on_the_grid(
    start: int, length: int, margin: int, pitch: int, wraps: bool, rest: int
) -> None:
    size = start + length + rest
    box = Box(start, 0, length, 3).grown(margin, pitch, size, 3, (wraps, False))
    assert box.top % pitch == 0
    first, stop = box.top, box.top + box.height
    if wraps and box.height == size:
        assert first == 0
    else:
        low, high = (-size, 2 * size) if wraps else (0, size)
        assert first <= max(low, start - margin) and stop >= min(high, start + length + margin)
        assert first >= low and stop <= high + pitch


@pytest.mark.parametrize("region", [(-1, 0, 2, 2), (0, 0, 0, 2), (3, 0, 3, 2), (0, 9, 1, 1)])
def test_a_region_outside_the_layer_is_refused(region: tuple[int, int, int, int]) -> None:
    with pytest.raises(BadRequest, match="region"):
        scope(Rectangle(*region), Raster(4, 5, 3))


def test_a_mask_is_placed_by_its_offset() -> None:
    mask = torch.ones(1, 1, 2, 3)
    covering = placed(mask, Raster(2, 3, 1, x=11, y=4), Raster(9, 9, 3, x=10, y=5), Box(0, 0, 4, 5))[0, 0]
    assert covering.tolist() == [[0, 1, 1, 1, 0], [0] * 5, [0] * 5, [0] * 5]
    far = placed(mask, Raster(2, 3, 1, x=90, y=4), Raster(9, 9, 3, x=10, y=5), Box(0, 0, 4, 5))
    assert far.max() == 0 and bounds(far) is None


def test_the_bounds_of_a_mask_hold_all_of_it() -> None:
    mask = torch.zeros(1, 1, 8, 9)
    mask[0, 0, 2, 5] = mask[0, 0, 6, 3] = 0.01
    assert bounds(mask) == Box(2, 3, 5, 3)


# --- growing and feathering -----------------------------------------------------------------------------------------


def disc(radius: float, side: int = 41) -> torch.Tensor:
    y, x = np.mgrid[0:side, 0:side] - side // 2
    return torch.from_numpy((np.hypot(x, y) <= radius).astype(np.float32))[None, None]


@pytest.mark.parametrize("radius", [0, 1, 4.5, 9])
def test_a_point_grows_into_a_disc(radius: float) -> None:
    assert torch.equal(grow(disc(0), radius), disc(radius))


def test_a_soft_mask_stays_soft_and_shrinking_is_growing_what_is_not_in_it() -> None:
    mask = torch.from_numpy(noise(1, 1, 20, 20, dtype="f32"))
    assert grow(mask, 2).unique().numel() > 5 and (grow(mask, 2) >= mask).all()
    assert (grow(mask, -2) <= mask + 1e-6).all()
    assert (grow(disc(9), -3) * (1 - disc(7))).max() == 0
    assert (grow(torch.ones(1, 1, 5, 5), -3) == 1).all()
    assert grow(torch.ones(1, 1, 1, 1), 7).shape == (1, 1, 1, 1)


def test_feathering_leaves_the_half_way_line_and_what_is_far_from_it() -> None:
    mask = torch.zeros(1, 1, 9, 60)
    mask[..., 30:] = 1
    soft = feather(mask, 3.0)[0, 0, 4]
    assert (soft[:20] == 0).all() and (soft[40:] > 1 - 1e-6).all()
    assert soft[29] + soft[30] == pytest.approx(1) and (soft.diff() >= -1e-7).all()
    assert torch.equal(feather(mask, 0), mask)


# --- regions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("region", [(0, 0, 5, 4), (17, 20, 30, 11), (60, 50, 7, 9), (0, 0, 67, 59), (66, 58, 1, 1)])
@pytest.mark.parametrize("asked", [UP, CLEAN], ids=["upscale", "denoise"])
def test_a_region_is_what_is_found_there_in_the_whole(
    laboratory: Laboratory, asked: dict[str, Any], region: tuple[int, int, int, int], wrap: bool
) -> None:
    source = noise(59, 67, 4)
    message = {"wrap_x": wrap, "wrap_y": wrap}
    whole = laboratory.run(source, **asked, message=message).pixels
    part = laboratory.run(source, **asked, message={**message, "region": Rectangle(*region)}, raster={"x": 3, "y": -2})
    scale = 2 if asked is UP else 1
    x, y, width, height = (scale * each for each in region)
    assert part.pixels.shape == (height, width, 4)
    np.testing.assert_allclose(part.pixels.astype(int), whole[y : y + height, x : x + width], atol=1)
    made = part.result.images["image"]
    assert (made.x, made.y) == (x + 3 * scale, y - 2 * scale)


def test_a_region_by_half_a_factor_lies_where_it_does_in_the_whole(laboratory: Laboratory) -> None:
    source = smooth(60, 60, 3)
    whole = laboratory.run(source, **UP, scale=1.5).pixels
    part = laboratory.run(source, **UP, scale=1.5, message={"region": Rectangle(21, 13, 20, 31)}).pixels
    assert part.shape == (47, 30, 3)
    np.testing.assert_allclose(part.astype(int), whole[20:67, 32:62], atol=2)


def test_only_the_region_and_its_surroundings_are_computed(laboratory: Laboratory) -> None:
    source = noise(300, 300, 3)
    part = laboratory.run(source, **UP, message={"region": Rectangle(100, 100, 10, 10)})
    assert part.result.report.tiles.total < laboratory.run(source, **UP).result.report.tiles.total / 50


# --- masks ----------------------------------------------------------------------------------------------------------


def masked(laboratory: Laboratory, source: Pixels, mask: Pixels, **message: Any) -> Pixels:
    return laboratory.run(source, **CLEAN, masks={"mask": mask}, message=message).pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_outside_the_mask_nothing_changes_and_inside_it_blends(
    laboratory: Laboratory, dtype: str, channels: int
) -> None:
    source = noise(40, 50, channels, dtype=dtype)
    if dtype == "f32":
        source[0, :4, 0] = [np.nan, np.inf, 1e30, -0.0]
    mask = np.zeros((40, 50, 1), np.float32)
    mask[10:30, 15:40] = noise(20, 25, 1, dtype="f32")
    mask[18:22, 20:30] = 1
    made, full = masked(laboratory, source, mask), laboratory.run(source, **CLEAN).pixels
    outside = mask[..., 0] == 0
    assert made[outside].tobytes() == source[outside].tobytes()
    inside = mask[..., 0] == 1
    top = {"u8": 255, "u16": 65535}.get(dtype, 1)
    tolerance = 1 if top > 1 else 2e-3 if dtype == "f16" else 1e-5
    colours = channels - 1 if channels in (2, 4) else channels
    a, b, c = (each[..., :colours].astype(float) for each in (source, full, made))
    np.testing.assert_allclose(c[inside], b[inside], atol=tolerance)
    a, b, c, mask = (each[~outside] for each in (a, b, c, mask))
    np.testing.assert_allclose(c, a + mask * (b - a), atol=tolerance)
    if channels in (2, 4):
        assert made[..., -1].tobytes() == source[..., -1].tobytes()


def test_an_empty_mask_computes_nothing(laboratory: Laboratory) -> None:
    source = noise(10, 10, 3)
    np.testing.assert_array_equal(masked(laboratory, source, np.zeros((10, 10, 1), np.uint8)), source)
    assert laboratory.loads == []


def test_a_mask_and_a_region_both_limit(laboratory: Laboratory) -> None:
    source = noise(40, 40, 3)
    mask = np.zeros((40, 40, 1), np.uint8)
    mask[:, :20] = 255
    part = masked(laboratory, source, mask, region=Rectangle(15, 5, 10, 10))
    whole = masked(laboratory, source, mask)
    np.testing.assert_array_equal(part, whole[5:15, 15:25])
    np.testing.assert_array_equal(part[:, 5:], source[5:15, 20:25])
    assert (part[:, :5] != source[5:15, 15:20]).any()


def test_a_coloured_mask_is_refused(laboratory: Laboratory) -> None:
    with pytest.raises(BadRequest, match="mask channels is 3"):
        masked(laboratory, noise(4, 4, 3), noise(4, 4, 3))
