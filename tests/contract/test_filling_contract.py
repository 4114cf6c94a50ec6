"""The layer contract, held by every operation that fills, with every model that came with the installation."""

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

from samovar import card, operation
from samovar_link.messages import Rectangle

CATALOGUE = card.Catalogue(each for each in card.discover() if each.embedded)
CASES = [
    (each.id, model) for each in operation.discover() if each.filling is not None for model in CATALOGUE.ids(each.id)
]
LEVEL = 1 / 255
TOPS = {"u8": 255, "u16": 65535, "f16": 1.0, "f32": 1.0}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.parametrize("case", CASES, ids=" ".join)]

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
    seed = draw(st.integers(0, 99))
    pixels = smooth(height, width, channels, dtype)
    if draw(st.booleans()):
        pixels = noise(height, width, channels, dtype=dtype, seed=seed)
    if channels in (2, 4) and draw(st.booleans()):
        pixels[..., -1] = TOPS[dtype]
    mask = np.zeros((height, width, 1), np.uint8)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    mask[top : top + draw(st.integers(1, 9)), left : left + draw(st.integers(1, 9))] = draw(st.sampled_from([255, 90]))
    assume(not (mask > 0).all())
    return pixels, mask


def run(case: tuple[str, str], pixels: Pixels, mask: Pixels, **more: Any) -> Outcome:
    return LABORATORY.run(pixels, case[0], model=case[1], masks={"mask": mask}, **more)


def changed(outcome: Outcome) -> Pixels:
    """Where something may have changed, as the result itself says, (h, w)."""
    raster = outcome.result.images["mask"]
    return np.frombuffer(outcome.result.frames[raster.frame], np.uint8).reshape(raster.height, raster.width) > 0


@held
@given(drawn=layers(), exact=st.booleans(), x=st.integers(-9, 9))
def test_outside_of_what_was_filled_nothing_changes(
    case: tuple[str, str], drawn: tuple[Pixels, Pixels], exact: bool, x: int
) -> None:
    pixels, mask = drawn
    outcome = run(case, pixels, mask, exact=exact, raster={"x": x, "y": 5})
    shares, made = changed(outcome), outcome.result.images["image"]
    assert outcome.pixels.dtype == pixels.dtype and outcome.pixels.shape == pixels.shape and (made.x, made.y) == (x, 5)
    assert outcome.pixels[~shares].tobytes() == pixels[~shares].tobytes()
    assert np.isfinite(outcome.pixels.astype(float)).all()
    visible = pixels.shape[2] not in (2, 4) or pixels[..., -1].any()
    if exact and visible:
        np.testing.assert_array_equal(shares, mask[..., 0] > 0)
    else:
        assert shares[mask[..., 0] > 0].all() or not visible


@held
@given(drawn=layers(), seed=st.integers(0, 2**40))
def test_the_same_request_gives_the_same_pixels(case: tuple[str, str], drawn: tuple[Pixels, Pixels], seed: int) -> None:
    first, second = (run(case, *drawn, message={"seed": seed}) for _ in range(2))
    assert first.pixels.tobytes() == second.pixels.tobytes()


@held
@given(drawn=layers())
def test_opaque_stays_exactly_opaque_and_gray_stays_gray(case: tuple[str, str], drawn: tuple[Pixels, Pixels]) -> None:
    pixels, mask = drawn
    top = TOPS[next(name for name in DTYPES if DTYPES[name] == pixels.dtype)]
    gray = np.concatenate([pixels[..., :1].repeat(3, 2), np.full_like(pixels[..., :1], top)], 2)
    made = run(case, gray, mask).pixels
    assert (made[..., 3] == gray[0, 0, 3]).all() and (made[..., :1] == made[..., :3]).all()


@held
@given(drawn=layers(), hidden=st.floats(0, 1))
def test_what_lies_under_alpha_0_is_never_seen(
    case: tuple[str, str], drawn: tuple[Pixels, Pixels], hidden: float
) -> None:
    pixels, mask = drawn
    assume(pixels.shape[2] in (2, 4) and (pixels[..., -1] == 0).any())
    other = pixels.copy()
    top = TOPS[next(name for name in DTYPES if DTYPES[name] == pixels.dtype)]
    other[pixels[..., -1] == 0, :-1] = hidden * top
    first, second = run(case, pixels, mask).pixels, run(case, other, mask).pixels
    np.testing.assert_array_equal(first[..., -1], second[..., -1])
    np.testing.assert_array_equal(first[first[..., -1] > 0], second[first[..., -1] > 0])


@held
@given(drawn=layers(), data=st.data())
def test_a_region_is_what_is_found_there_in_the_whole(
    case: tuple[str, str], drawn: tuple[Pixels, Pixels], data: st.DataObject
) -> None:
    pixels, mask = drawn
    height, width, _ = pixels.shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = Rectangle(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    part, whole = run(case, pixels, mask, message={"region": region}), run(case, pixels, mask)
    rows, columns = slice(y, y + region.height), slice(x, x + region.width)
    assert part.pixels.tobytes() == whole.pixels[rows, columns].tobytes()
    np.testing.assert_array_equal(changed(part), changed(whole)[rows, columns])


@held
@given(drawn=layers(), shift=st.integers(1, 29))
def test_a_layer_that_wraps_is_filled_from_beyond_its_border(
    case: tuple[str, str], drawn: tuple[Pixels, Pixels], shift: int
) -> None:
    """A pattern that repeats is completed to itself, wherever its seam lies."""
    pixels, _ = drawn
    tile = noise(6, 6, pixels.shape[2], dtype="f32", seed=shift)
    if pixels.shape[2] in (2, 4):
        tile[..., -1] = 1
    pattern = np.roll(np.tile(tile, (7, 7, 1)), shift, (0, 1))
    mask = np.zeros((42, 42, 1), np.uint8)
    mask[:5, 10:20], mask[-4:, 10:20] = 255, 255
    made = run(case, pattern, mask, grow=0, message={"wrap_x": True, "wrap_y": True}).pixels
    assert np.abs(made - pattern).max() <= 3 * LEVEL


@held
@given(share=st.floats(0, 0.99), seed=st.integers(0, 9))
def test_cancel_stops_the_job_there(case: tuple[str, str], share: float, seed: int) -> None:
    pixels, mask = noise(40, 40, 3, seed=seed), np.zeros((40, 40, 1), np.uint8)
    mask[10:25, 10:25] = 255
    count = len(run(case, pixels, mask).progress)
    after = 1 + int(share * (count - 1))
    stopped = run(case, pixels, mask, cancel_after=after)
    assert stopped.result is None and after <= len(stopped.progress) <= after + 1


@held
@given(count=st.integers(1, 3), depth=dtypes)
def test_variants_differ_within_the_hole_alone(case: tuple[str, str], count: int, depth: str) -> None:
    pixels, mask = noise(48, 48, 3, dtype=depth), np.zeros((48, 48, 1), np.uint8)
    mask[12:36, 12:36] = 255
    outcome = run(case, pixels, mask, variants=count)
    roles = ["image", *(f"image {number}" for number in range(2, count + 1))]
    assert list(outcome.result.images) == [*roles, "mask"]
    shares, seen = changed(outcome), set()
    for role in roles:
        frame = outcome.result.frames[outcome.result.images[role].frame]
        made = np.frombuffer(frame, pixels.dtype).reshape(pixels.shape)
        assert made[~shares].tobytes() == pixels[~shares].tobytes()
        seen.add(made.tobytes())
    assert len(seen) == count
