"""Pixels to the canonical image and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from laboratory import DTYPES, allocate, frames, noise

from samovar.worker.image import LARGEST, decode, encode, pixels
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster


@pytest.mark.parametrize("order", ["rgba", "bgra"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_come_back_to_the_bit(dtype: str, channels: int, order: str) -> None:
    source = noise(131, 7, channels, dtype=dtype)
    raster = Raster(131, 7, channels, dtype, order, x=-5, y=9)
    made, frame = encode(*decode(raster, frames(source)[0]), raster, allocate)
    assert made == raster
    assert bytes(frame) == source.tobytes()


@pytest.mark.parametrize("dtype", ["u8", "u16"])
def test_every_level_comes_back_and_the_largest_is_exactly_one(dtype: str) -> None:
    levels = np.arange(np.iinfo(DTYPES[dtype]).max + 1, dtype=DTYPES[dtype]).reshape(1, -1, 1)
    raster = Raster(1, levels.shape[1], 1, dtype)
    image, alpha = decode(raster, frames(levels)[0])
    assert alpha is None
    assert image.shape == (1, 1, 1, levels.shape[1]) and image.dtype == torch.float32
    assert image[0, 0, 0, 0] == 0.0 and image[0, 0, 0, -1] == 1.0
    assert bytes(encode(image, None, raster, allocate)[1]) == levels.tobytes()


def test_planes_are_red_green_blue_whatever_the_order_on_the_wire() -> None:
    pixel = np.array([[[10, 20, 30, 40]]], np.uint8)
    image, alpha = decode(Raster(1, 1, 4, "u8", "bgra"), frames(pixel)[0])
    assert (image.flatten() * 255).round().tolist() == [30, 20, 10]
    assert alpha is not None and float(alpha) * 255 == pytest.approx(40)


def test_gray_with_alpha_is_one_plane_and_order_does_not_matter() -> None:
    pixel = np.array([[[10, 200]]], np.uint8)
    image, alpha = decode(Raster(1, 1, 2, "u8", "bgra"), frames(pixel)[0])
    assert image.shape == (1, 1, 1, 1) and float(image) * 255 == pytest.approx(10)
    assert alpha is not None and float(alpha) * 255 == pytest.approx(200)


def test_integers_are_rounded_to_nearest_and_cut_to_the_range() -> None:
    values = torch.tensor([-1.0, 0.49 / 255, 0.51 / 255, 254.6 / 255, 7.0]).reshape(1, 1, 1, 5)
    assert bytes(encode(values, None, Raster(1, 5, 1, "u8"), allocate)[1]) == bytes([0, 0, 1, 255, 255])


def test_floats_beyond_the_range_are_kept_and_what_is_no_number_becomes_harmless() -> None:
    source = np.array([[[4.0], [-2.5], [np.nan], [np.inf], [-np.inf]]], np.float32)
    image, _ = decode(Raster(1, 5, 1, "f32"), frames(source)[0])
    assert image.flatten().tolist() == [4.0, -2.5, 0.0, LARGEST, -LARGEST]


def test_a_float_too_large_for_f16_becomes_the_largest_one() -> None:
    image = torch.full((1, 1, 1, 1), 1e6)
    frame = encode(image, None, Raster(1, 1, 1, "f16"), allocate)[1]
    assert np.frombuffer(frame, np.float16)[0] == LARGEST


@pytest.mark.parametrize(
    ("raster", "field"),
    [
        (Raster(1, 1, 3, "u7"), "dtype"),
        (Raster(1, 1, 5, "u8"), "channels"),
        (Raster(1, 1, 3, "u8", "argb"), "order"),
        (Raster(0, 1, 3, "u8"), "size"),
        (Raster(1, 2, 3, "u8"), "frame size"),
    ],
)
def test_a_raster_that_does_not_describe_its_frame_is_refused_by_name(raster: Raster, field: str) -> None:
    with pytest.raises(BadRequest, match=field):
        pixels(raster, b"abc")
