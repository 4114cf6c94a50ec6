"""Every kind of picture that Krita knows keeps its pixels on the way out and back, in a real Krita without a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness import Krita

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(600)]

SRGB = "sRGB-elle-V2-srgbtrc.icc"
LINEAR = "sRGB-elle-V2-g10.icc"
WIDE = "ClayRGB-elle-V2-g22.icc"
GRAY = "Gray-D50-elle-V2-srgbtrc.icc"

BOUNDS = [-3, 5, 300, 70]


@pytest.fixture(scope="module")
def facts(krita: Krita) -> dict[str, Any]:
    return krita.runner(Path(__file__).with_name("formats.py"))


@pytest.mark.parametrize(
    ("picture", "travels_as"),
    [
        (f"RGBA U8 {SRGB}", [4, "u8", "bgra"]),
        (f"RGBA U16 {SRGB}", [4, "u16", "bgra"]),
        (f"RGBA F16 {SRGB}", [4, "f16", "rgba"]),
        (f"RGBA F32 {SRGB}", [4, "f32", "rgba"]),
        (f"GRAYA U8 {GRAY}", [2, "u8", "bgra"]),
        (f"GRAYA U16 {GRAY}", [2, "u16", "bgra"]),
        (f"GRAYA F32 {GRAY}", [2, "f32", "rgba"]),
    ],
)
def test_an_encoded_layer_travels_as_it_is(facts: dict[str, Any], picture: str, travels_as: list[Any]) -> None:
    assert facts[picture]["raster"] == [*BOUNDS, *travels_as]
    assert facts[picture]["as_is"]
    assert facts[picture]["distance"] == [0, 0]


@pytest.mark.parametrize(
    ("picture", "rounding"),
    [
        (f"RGBA U16 {LINEAR}", 1), (f"RGBA F32 {LINEAR}", 1e-6), (f"RGBA U8 {WIDE}", 1),
        (f"RGBA U16 {WIDE}", 257), ("GRAYA U16 Gray-D50-elle-V2-g10.icc", 2),
    ],
)  # fmt: skip
def test_any_other_layer_travels_as_floats_and_keeps_every_colour(
    facts: dict[str, Any], picture: str, rounding: float
) -> None:
    found = facts[picture]
    assert found["raster"][5:] == ["f32", "rgba"] and not found["as_is"]
    colour, alpha = found["distance"]
    # Krita 5.1 comes within 1 of all of them, 5.2 within 1/255 of the range where colours lie outside sRGB.
    assert colour <= rounding and alpha == 0, "colours outside sRGB are among these"


def test_the_result_has_the_colour_space_of_the_picture_and_the_source_is_untouched(facts: dict[str, Any]) -> None:
    for picture, found in facts.items():
        if picture not in ("known", "cmyk", "cut"):
            assert found["same_space"] and found["source_same"], picture


def test_a_known_colour_travels_as_its_srgb_numbers(facts: dict[str, Any]) -> None:
    for picture, values in facts["known"].items():
        assert values == pytest.approx([200, 100, 10, 255], abs=1.0), picture


def test_a_cmyk_colour_travels_as_krita_shows_it(facts: dict[str, Any]) -> None:
    sent, shown = facts["cmyk"]
    assert sent == pytest.approx(shown, abs=1.5)


def test_a_part_of_a_patch_is_seen_through_its_part_of_the_mask(facts: dict[str, Any]) -> None:
    assert facts["cut"] == [14, 15, 16, 20, 21, 22]
