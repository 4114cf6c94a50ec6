"""Restore in a full Krita: it gets better in a layer, *Use this* keeps it, and it outlives the Krita that wanted it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Krita, Play

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(900)]

SIDE = 256  # as in scenarios/restore.py


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("restore", reach(krita, shared_daemon))
    for name in ("restore", "restore-waiting"):
        shutil.copy(play.folder / f"{name}.png", artifacts / f"krita-{play.facts['krita']}-{name}.png")
    return play


@pytest.fixture(scope="module")
def reopened(play: Play, krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]]) -> Play:
    return krita.play("reopened", reach(krita, shared_daemon))


def spread(path: Path) -> float:
    """How much neighbours differ."""
    pixels = np.fromfile(path, np.uint8).reshape(SIDE, SIDE, 4)[..., :3].astype(float)
    return float(np.abs(np.diff(pixels, axis=1)).mean())


def test_the_action_shows_the_docker_with_its_parameters(play: Play) -> None:
    assert play.facts["operation"] == "restore"
    names = ["mode", "seconds", "method", "scale", "smoothness", "iterations", "seed"]
    assert play.facts["parameters"] == names
    assert play.facts["idle"] == [False, False]


def test_it_gets_better_in_a_layer_and_use_this_keeps_it(play: Play) -> None:
    layers, visible, enabled, stage = play.facts["live"]
    assert layers == ["Background", "source", "Restore"] or layers[:2] == ["Background", "source"]
    assert (visible, enabled) == (True, True) and stage in ("step ", "in Kr") and play.facts["better"]
    assert play.facts["drawn"], "seen on the canvas, not only there"
    assert play.facts["pressed"] is False, "once is enough"
    layers, said, undo, same = play.facts["kept"]
    assert layers == ["Background", "source", "Restore"] and same
    assert said.startswith("Done in ") and "kept as it was after" in said
    assert undo == "Undo Add Layer" and play.facts["undone"]
    assert spread(play.folder / "after.bin") < 0.6 * spread(play.folder / "before.bin")


def test_cancel_leaves_the_picture_as_it_was(play: Play) -> None:
    assert play.facts["cancelled"] == ["Cancelled.", True]


def test_the_mode_decides_what_else_is_asked(play: Play) -> None:
    assert play.facts["scale"] == [["denoise", False, False], ["upscale", True, True], ["inpaint", False, False]]


def test_what_is_selected_is_filled(play: Play) -> None:
    said, layers = play.facts["filled"]
    assert said.startswith("Done in ") and layers[-1] == "Restore"
    x, y, width, height = play.facts["patch"]
    assert x >= 39 and y >= 49 and x + width <= 61 and y + height <= 67


def test_a_job_whose_connection_was_lost_is_in_the_list_and_taken_up(play: Play) -> None:
    _, layers = play.facts["closed"]
    assert layers == ["Background", "source"]
    visible, text = play.facts["waiting"]
    assert visible and text.startswith("Restore, ")
    layers, still = play.facts["taken_up"]
    assert "Restore" in layers and not still
    said, layers = play.facts["taken"]
    assert "kept as it was after" in said and layers == ["Background", "source", "Restore"]


def test_another_krita_takes_up_the_job_of_the_one_that_was_closed(play: Play, reopened: Play) -> None:
    assert reopened.facts["waiting"] == [play.facts["left"]]
    assert "Restore" in reopened.facts["live"]
    said, layers = reopened.facts["kept"]
    assert "kept as it was after" in said and layers[-1] == "Restore"
    assert reopened.facts["bounds"] == [0, 0, SIDE, SIDE]
    assert spread(reopened.folder / "after.bin") < 0.6 * spread(play.folder / "before.bin")
