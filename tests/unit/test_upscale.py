"""`upscale` as a client sees it, with the embedded light models: sizes, depths, alpha, gray, and how good it is."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from laboratory import DTYPES, Laboratory, Pixels, noise, smear_card, smooth

from samovar import card
from samovar.operations.upscale import Params, check, output_size, passes
from samovar_link.errors import BadRequest

FAST = "waifu2x/upconv7-art"


@pytest.fixture(scope="module")
def laboratory() -> Laboratory:
    return Laboratory()


# --- the arithmetic -------------------------------------------------------------------------------------------------


@given(side=st.integers(1, 5000), scale=st.floats(1, 8))
def test_the_result_is_the_side_times_the_scale_rounded(side: int, scale: float) -> None:
    width, height = output_size(side, 1, Params(scale=scale))
    assert abs(width - side * scale) <= 0.5 and height >= 1


def test_half_a_pixel_is_rounded_up() -> None:
    assert output_size(3, 5, Params(scale=1.5)) == (5, 8)


@pytest.mark.parametrize(
    "scale, factor, number", [(1, 2, 1), (2, 2, 1), (2.5, 2, 2), (8, 2, 3), (4, 4, 1), (4.5, 4, 2)]
)
def test_a_model_runs_as_often_as_it_takes(scale: float, factor: int, number: int) -> None:
    assert passes(scale, factor) == number


def test_a_model_without_noise_levels_refuses_one_and_names_those_that_have_them() -> None:
    check(Params(model="realesrgan/anime-x4", noise=-1))
    check(Params(model="waifu2x/cunet-art", noise=3))
    with pytest.raises(BadRequest) as caught:
        check(Params(model="realesrgan/anime-x4", noise=0))
    assert "upscale.noise is 0; allowed: -1 with realesrgan/anime-x4" in str(caught.value)
    assert "waifu2x/cunet-art, waifu2x/upconv7-art, waifu2x/upconv7-photo" in caught.value.hint


def test_two_passes_of_a_large_factor_never_make_more_than_four_times_the_result() -> None:
    seen: list[int] = []

    class Watching(Laboratory):
        def _load(self, *wanted: object) -> object:  # type: ignore[override]
            network = super()._load(*wanted)  # type: ignore[arg-type]
            network.register_forward_hook(lambda _, x, y: seen.append(y.shape[-1]))
            return network

    laboratory = Watching(dataclasses.replace(smear_card(), scale=2))
    assert laboratory.run(noise(8, 8, 3), model="test/smear", scale=5).pixels.shape == (40, 40, 3)
    assert max(seen) <= 2 * 40


# --- sizes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0, 3.0, 8.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (13, 17)])
def test_any_size_by_any_factor(laboratory: Laboratory, size: tuple[int, int], scale: float) -> None:
    source = smooth(*size)
    made = laboratory.run(source, model=FAST, scale=scale).pixels
    assert made.shape == (*output_size(size[0], size[1], Params(scale=scale)), 3)
    assert abs(made.mean() - source.mean()) < 6


@pytest.mark.slow
@pytest.mark.parametrize("model", ["waifu2x/cunet-art", "realesr/animevideo-x4"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (13, 17)])
def test_any_size_with_the_other_light_models(laboratory: Laboratory, model: str, size: tuple[int, int]) -> None:
    source = smooth(*size)
    made = laboratory.run(source, model=model, scale=3).pixels
    assert made.shape == (3 * size[0], 3 * size[1], 3)
    assert abs(made.mean() - source.mean()) < 8


@pytest.mark.slow
def test_a_large_factor_of_a_four_times_model(laboratory: Laboratory) -> None:
    source = smooth(13, 17)
    made = laboratory.run(source, model="realesr/animevideo-x4", scale=6.5).pixels
    assert made.shape == (85, 111, 3)
    assert abs(made.mean() - source.mean()) < 12  # this model changes colours by itself, twice here


# --- depth, channels, alpha -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_picture_comes_back_as_the_kind_it_was(laboratory: Laboratory, dtype: str, channels: int) -> None:
    source = smooth(24, 30, channels, dtype)
    made = laboratory.run(source, model=FAST).pixels
    assert made.dtype == source.dtype and made.shape == (48, 60, channels)
    top = {"u8": 255.0, "u16": 65535.0}.get(dtype, 1.0)
    halved = made.astype(float).reshape(24, 2, 30, 2, channels).mean((1, 3))
    if channels in (2, 4):
        source = source.astype(float)
        for each in (halved, source):  # colour counts as much as it is seen
            each[..., :-1] *= each[..., -1:] / top
    assert np.abs(halved - source)[2:-2, 2:-2].max() / top < 0.025


def test_bgra_is_rgba_with_two_channels_exchanged(laboratory: Laboratory) -> None:
    source = smooth(12, 12, 4)
    plain = laboratory.run(source, model=FAST).pixels
    swapped = laboratory.run(source[..., [2, 1, 0, 3]], model=FAST, raster={"order": "bgra"}).pixels
    np.testing.assert_array_equal(swapped[..., [2, 1, 0, 3]], plain)


def test_a_sixteen_bit_ramp_keeps_its_levels(laboratory: Laboratory) -> None:
    ramp = np.linspace(0, 65535, 1500).astype(np.uint16).reshape(1, -1, 1).repeat(4, 0)
    assert len(np.unique(laboratory.run(ramp, model=FAST).pixels)) >= 1000


def test_values_beyond_the_range_survive(laboratory: Laboratory) -> None:
    source = smooth(30, 30, 3, "f32")
    source[10:20, 10:20] = [4.0, -1.0, 0.5]
    made = laboratory.run(source, model=FAST).pixels
    np.testing.assert_allclose(made[28:32, 28:32, 0], 4.0, atol=0.02)
    np.testing.assert_allclose(made[28:32, 28:32, 1], -1.0, atol=0.02)
    plain = laboratory.run(np.clip(source, 0, 1), model=FAST).pixels
    np.testing.assert_array_equal(made[:12], plain[:12])


@pytest.mark.parametrize("value", [0, 7, 255])
@pytest.mark.parametrize("scale", [1.5, 2])
def test_constant_alpha_stays_exactly_that_and_costs_no_second_pass(
    laboratory: Laboratory, value: int, scale: float
) -> None:
    source = smooth(20, 20, 4)
    source[..., 3] = value
    outcome = laboratory.run(source, model=FAST, scale=scale)
    assert (outcome.pixels[..., 3] == value).all()
    plain = laboratory.run(source[..., :3], model=FAST, scale=scale)
    assert outcome.result.report.tiles == plain.result.report.tiles
    np.testing.assert_array_equal(outcome.pixels[..., :3], plain.pixels)


def disc(side: int = 48, hidden: tuple[int, int, int] = (255, 0, 255)) -> Pixels:
    """A coloured anti-aliased disc; under alpha 0 lies another colour."""
    y, x = np.mgrid[0:side, 0:side] - (side - 1) / 2
    alpha = np.clip(side / 3 - np.hypot(x, y) + 0.5, 0, 1)
    pixels = np.empty((side, side, 4), np.uint8)
    pixels[..., :3] = (230, 170, 60)
    pixels[..., 3] = alpha * 255 + 0.5
    pixels[pixels[..., 3] == 0, :3] = hidden
    return pixels


def over(pixels: Pixels, background: int) -> Pixels:
    alpha = pixels[..., 3:].astype(float) / 255
    return pixels[..., :3] * alpha + background * (1 - alpha)


@pytest.mark.parametrize("model", [FAST, "waifu2x/cunet-art"])
def test_a_disc_on_nothing_keeps_its_colour_and_its_edge(laboratory: Laboratory, model: str) -> None:
    made = laboratory.run(disc(), model=model).pixels
    visible = made[made[..., 3] > 0][:, :3].astype(int)
    assert np.abs(visible - (230, 170, 60)).max() <= 54  # overshoot at the edge, as the network's; nothing magenta
    inner = made[40:56, 40:56, :3].astype(int)
    assert np.abs(inner - (230, 170, 60)).max() <= 2
    assert (made[44:52, 44:52, 3] == 255).all() and (made[:8, :8, 3] == 0).all()
    assert ((made[..., 3] > 0) & (made[..., 3] < 255)).sum() < 1000


def test_hidden_colour_changes_nothing_that_can_be_seen(laboratory: Laboratory) -> None:
    first, second = (laboratory.run(disc(hidden=each), model=FAST).pixels for each in ((0, 0, 0), (255, 255, 255)))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("background", [0, 128, 255])
@pytest.mark.parametrize("model, most, nearly", [(FAST, 16, 5), ("waifu2x/cunet-art", 16, 4)])
def test_a_disc_composited_after_upscaling_looks_like_one_composited_before(
    laboratory: Laboratory, model: str, most: int, nearly: int, background: int
) -> None:
    """Not exactly: networks do not treat all backgrounds alike (see `matting` for how near one can come)."""
    after = over(laboratory.run(disc(), model=model).pixels, background)
    before = laboratory.run((over(disc(), background) + 0.5).astype(np.uint8), model=model).pixels
    difference = np.abs(after - before)
    assert difference.max() <= most and np.percentile(difference, 99) <= nearly and difference.mean() <= 0.4


def test_opaque_parts_of_a_picture_with_holes_stay_exactly_opaque(laboratory: Laboratory) -> None:
    source = noise(40, 40, 4)
    source[..., 3] = 255
    source[:6, :6, 3] = 0
    made = laboratory.run(source, model=FAST).pixels[..., 3]
    assert (made[20:] == 255).all() and (made[:, 20:] == 255).all() and (made[:6, :6] == 0).all()


def test_a_wrapped_pattern_repeats_without_a_seam(laboratory: Laboratory) -> None:
    pattern = noise(12, 14, 3) // 2 + 60
    once = laboratory.run(pattern, model=FAST, message={"wrap_x": True, "wrap_y": True}).pixels
    thrice = laboratory.run(np.tile(pattern, (3, 3, 1)), model=FAST).pixels
    assert np.abs(once.astype(int) - thrice[24:48, 28:56]).max() <= 1


# --- how good it is -------------------------------------------------------------------------------------------------


def luminance(pixels: Pixels) -> Pixels:
    return 16 + pixels.astype(float) @ np.array([65.481, 128.553, 24.966]) / 255


def psnr_y(first: Pixels, second: Pixels, border: int = 4) -> float:
    inner = slice(border, -border)
    error = (luminance(first) - luminance(second))[inner, inner]
    return float(10 * np.log10(255**2 / (error**2).mean()))


@pytest.mark.slow
def test_a_halved_photo_comes_back_better_than_by_bicubic(laboratory: Laboratory) -> None:
    """Halved by Pillow's bicubic; luminance, 4 pixels of border off: gives 31.67 dB for bicubic enlargement."""
    from PIL import Image
    from skimage import data

    photo = data.astronaut()
    halved = Image.fromarray(photo).resize((256, 256), Image.Resampling.BICUBIC)
    bicubic = np.asarray(halved.resize((512, 512), Image.Resampling.BICUBIC))
    small = np.asarray(halved)
    assert psnr_y(photo, bicubic) == pytest.approx(31.67, abs=0.01)
    assert psnr_y(photo, laboratory.run(small, model="waifu2x/upconv7-photo").pixels) >= 35.4
    made = laboratory.run(small, model="waifu2x/cunet-art")
    assert made.result.report.tiles.total > 1
    assert psnr_y(photo, made.pixels) >= 35.5


def test_every_embedded_model_is_offered() -> None:
    assert [each.id for each in card.discover() if each.embedded and "upscale" in each.operations] == [
        "realesr/animevideo-x4", "realesrgan/anime-x4", "realesrgan/photo-x4", "seed/sizedecoder",
        "waifu2x/cunet-art", "waifu2x/upconv7-art", "waifu2x/upconv7-photo",
    ]  # fmt: skip
