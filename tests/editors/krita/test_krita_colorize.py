"""Colorize in a full Krita: alone, led by a layer of strokes, as a picture and as layers of colour."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Krita, Play

from samovar import card

untrained = pytest.mark.skipif(
    "samovar/art-colour" not in card.discover().ids("colorize"),
    reason="the colorizer's own weights are not trained yet",
)
pytestmark = [untrained, pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(600)]

SIDE = 160  # as in scenarios/colorize.py
NAME = "Colorize (samovar/art-colour)"


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("colorize", reach(krita, shared_daemon))
    shutil.copy(play.folder / "colorize.png", artifacts / f"krita-{play.facts['krita']}-colorize.png")
    return play


@pytest.fixture(scope="module")
def facts(play: Play) -> dict[str, Any]:
    return play.facts


def saved(play: Play, name: str) -> np.ndarray:
    """RGB of one of the four areas' middles: [row, column] of areas."""
    pixels = np.fromfile(play.folder / name, np.uint8).reshape(SIDE, SIDE, 4)[..., 2::-1].astype(int)
    return np.array([[pixels[y, x] for x in (60, 140)] for y in (60, 140)])


def test_the_docker_offers_the_layers_that_strokes_may_be_on(facts: dict[str, Any]) -> None:
    assert facts["operation"] == "colorize" and facts["shown"] and not facts["hidden"]
    assert facts["parameters"] == ["model", "saturation", "result", "keep_white", "recolour"]
    assert facts["guides"] == ["None", "strokes", "Background"]


def test_the_picture_comes_above_its_source_in_one_step(facts: dict[str, Any]) -> None:
    assert all(each.startswith("Done in ") for each in facts["says"][:4]), facts["says"]
    assert facts["layers"] == ["Background", "source", NAME, "strokes"]
    assert facts["undo"] == "Undo Add Layer" and facts["source_same"]


def test_a_stroke_colours_its_area_and_no_other(play: Play) -> None:
    led = saved(play, "led.bin")
    red = led[..., 0] - led[..., 1:].max(-1)
    assert red[0, 0] > 60 and red[0, 1] < 40 and red[1, 0] < 40 and red[1, 1] < 40


def test_layers_of_colour_are_blended_over_the_source(play: Play, facts: dict[str, Any]) -> None:
    assert facts["blending"] == [[NAME, "color", True], [NAME, "multiply", True]]
    for name in ("color.bin", "multiply.bin"):
        shown = saved(play, name)
        assert shown[0, 0, 0] - shown[0, 0, 1:].max() > 40


def test_strokes_on_the_layer_itself_are_refused(facts: dict[str, Any]) -> None:
    assert "draw them on a layer of their own" in facts["itself"]


def test_a_gray_layer_gets_colours_and_a_gray_picture_is_refused(play: Play, facts: dict[str, Any]) -> None:
    assert facts["gray_layer"][:2] == [NAME, "RGBA"]
    said, more = facts["gray_document"]
    assert "convert it to RGB first" in said and more == 0
