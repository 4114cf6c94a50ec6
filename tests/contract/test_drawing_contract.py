"""The layer contract, held by `faces`: what comes of a pixel of any kind, its numbers, its cells, its place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from laboratory import DTYPES, Laboratory, Outcome, Pixels, as_array

from samovar_link.errors import BadRequest
from samovar_link.request import grid

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MODELS = ("samovar/faces", "seed/dcgan")
TOPS = {"u8": 255, "u16": 65535, "f16": 1.0, "f32": 1.0}
every = pytest.mark.parametrize("model", MODELS)
held = settings(
    max_examples=6, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)  # fmt: skip
LABORATORY = Laboratory()


def pixel(dtype: str = "u8", channels: int = 3) -> Pixels:
    return np.zeros((1, 1, channels), DTYPES[dtype])


def draw(model: str, layer: Pixels | None = None, seed: int = 3, **more: Any) -> Outcome:
    message = {"seed": seed, **more.pop("message", {})}
    layer = pixel() if layer is None else layer
    return LABORATORY.run(layer, "faces", message=message, model=model, **{"size": "64", "count": 5, **more})


def cells(sheet: Pixels, count: int) -> list[Pixels]:
    columns, _ = grid(count)
    return [
        sheet[row * 64 : (row + 1) * 64, column * 64 : (column + 1) * 64]
        for row, column in (divmod(index, columns) for index in range(count))
    ]


@every
@held
@given(dtype=st.sampled_from(sorted(DTYPES)), channels=st.sampled_from([1, 2, 3, 4]), count=st.integers(1, 6))
def test_a_sheet_is_of_the_layers_kind(model: str, dtype: str, channels: int, count: int) -> None:
    made = draw(model, pixel(dtype, channels), count=count, raster={"x": -7, "y": 9})
    columns, rows = grid(count)
    raster = made.result.images["image"]
    assert made.pixels.shape == (64 * rows, 64 * columns, channels) and made.pixels.dtype == DTYPES[dtype]
    assert (raster.x, raster.y, raster.dtype) == (-7, 9, dtype)
    drawn = cells(made.pixels, count)
    assert all(len(np.unique(each)) > 9 for each in drawn)
    left = np.concatenate(
        [each.reshape(-1, channels) for each in cells(made.pixels, rows * columns)[count:]]
        or [pixel(dtype, channels)[0]]
    )
    if channels in (2, 4):
        assert all((each[..., -1] == TOPS[dtype]).all() for each in drawn), "opaque"
        assert not left[:, -1].any(), "nothing where there is no face"
    elif rows * columns > count:
        assert (left == TOPS[dtype]).all(), "white"


@every
def test_bgra_and_gray_are_the_same_faces(model: str) -> None:
    colour = draw(model).pixels.astype(int)
    swapped = draw(model, pixel(channels=4), raster={"order": "bgra"}).pixels
    for one, other in zip(cells(colour, 5), cells(swapped[..., 2::-1], 5), strict=True):
        np.testing.assert_array_equal(one, other)
    gray = cells(draw(model, pixel(channels=1)).pixels, 5)[0][..., 0].astype(int)
    face = cells(colour, 5)[0]
    assert (gray >= face.min(-1) - 1).all() and (gray <= face.max(-1) + 1).all()


@every
def test_a_face_is_known_by_its_number_and_drawn_alone_as_on_the_sheet(model: str) -> None:
    sheet = cells(draw(model, seed=3).pixels, 5)
    later = cells(draw(model, seed=5).pixels, 5)
    for index in range(3):
        np.testing.assert_array_equal(sheet[index + 2], later[index])
    for index in range(5):
        alone = draw(model, seed=3, only=index + 1).pixels
        np.testing.assert_array_equal(alone, sheet[index])
    assert min(np.abs(sheet[0].astype(int) - each).mean() for each in sheet[1:]) > 1


@every
def test_the_same_seed_gives_the_same_pixels(model: str) -> None:
    np.testing.assert_array_equal(draw(model).pixels, draw(model).pixels)


@every
def test_a_layer_for_each_lies_where_it_would_on_the_sheet(model: str) -> None:
    sheet = cells(draw(model).pixels, 5)
    made = draw(model, result="each", raster={"x": 10, "y": 20}).result
    places = [(10, 20), (74, 20), (138, 20), (10, 84), (74, 84)]
    names = ["image", *(f"image {index}" for index in range(2, 6))]
    assert list(made.images) == names
    for name, place, cell in zip(names, places, sheet, strict=True):
        raster = made.images[name]
        assert (raster.x, raster.y) == place
        np.testing.assert_array_equal(as_array(raster, made.frames), cell)


@every
def test_variations_begin_with_the_face_and_go_farther_the_more_is_wanted(model: str) -> None:
    face = cells(draw(model).pixels, 5)[0].astype(int)

    def apart(amount: float, other: int = 1) -> list[float]:
        made = cells(draw(model, way="vary", amount=amount, other=other).pixels, 5)
        return [float(np.abs(each - face).mean()) for each in made]

    near, far = apart(0.15), apart(0.8)
    assert near[0] < 0.01 and far[0] < 0.01
    assert min(near[1:]) > 0 and np.mean(near[1:]) < np.mean(far[1:])
    assert apart(0.8, other=2)[1:] != far[1:], "others"


@every
def test_a_mix_goes_from_the_one_to_the_other(model: str) -> None:
    ends = [cells(draw(model, seed=seed, count=1).pixels, 1)[0].astype(int) for seed in (3, 8)]
    way = [each.astype(int) for each in cells(draw(model, way="mix", seed=3, other=8).pixels, 5)]
    np.testing.assert_allclose(way[0], ends[0], atol=1)
    np.testing.assert_allclose(way[-1], ends[1], atol=1)
    from_one = [float(np.abs(each - ends[0]).mean()) for each in way]
    assert from_one == sorted(from_one)
    half = cells(draw(model, way="mix", seed=3, other=8, count=1).pixels, 1)[0]
    np.testing.assert_allclose(half.astype(int), way[2], atol=1)


def test_a_style_is_that_of_every_face_and_otherwise_all_take_turns() -> None:
    of_one = cells(draw("samovar/faces", style="notionists").pixels, 5)
    in_turn = cells(draw("samovar/faces", seed=2).pixels, 5)
    np.testing.assert_allclose(
        in_turn[0].astype(int), draw("samovar/faces", seed=2, style="notionists", count=1).pixels, atol=1
    )
    assert np.abs(of_one[0].astype(int) - cells(draw("samovar/faces").pixels, 5)[0]).mean() > 1
    assert np.abs(in_turn[0].astype(int) - in_turn[1]).mean() > 1


@every
def test_truncation_makes_faces_more_alike(model: str) -> None:
    def spread(truncation: float) -> float:
        made = cells(draw(model, truncation=truncation, style="any", count=6).pixels, 6)
        return float(np.abs(made[0].astype(int) - made[4]).mean())

    assert spread(0.0) < 0.01 < spread(0.3) < spread(1.0)


@every
@pytest.mark.parametrize("size", ["128", "256"])
def test_larger_faces_are_the_same_enlarged(model: str, size: str) -> None:
    small = draw(model, count=1).pixels.astype(float)
    large = draw(model, count=1, size=size)
    factor = int(size) // 64
    assert large.pixels.shape == (int(size), int(size), 3)
    halved = large.pixels.reshape(64, factor, 64, factor, 3).mean((1, 3))
    assert np.abs(halved - small).mean() < 6
    used = {each for each in LABORATORY.loads if each[0].startswith("waifu2x")}
    assert used or model == "samovar/faces" and size == "128"


@every
def test_cancel_leaves_nothing(model: str) -> None:
    assert draw_cancelled(model, 2).result is None and len(draw(model, count=30).progress) > 3


def draw_cancelled(model: str, after: int) -> Outcome:
    return LABORATORY.run(pixel(), "faces", model=model, count=30, size="64", cancel_after=after)


def test_what_is_not_on_the_sheet_is_refused() -> None:
    with pytest.raises(BadRequest, match="faces.only is 6; allowed: 0..5"):
        draw("samovar/faces", only=6)
