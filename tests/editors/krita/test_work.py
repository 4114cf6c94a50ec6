"""A layer with alpha and an offset goes through the docker, and comes back by each placement, in a full Krita."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import SHORTCUT, Krita, Play

from samovar_link import Client
from samovar_link.messages import Done, Raster, Run

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(600)]

LEFT, TOP, WIDTH, HEIGHT = 13, 17, 48, 40  # as in scenarios/work.py
CLEAR_COLUMNS = 1
"""The first column has alpha 0, which Krita does not count as part of the layer."""

NAME = "Upscale (waifu2x/upconv7-art)"


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("work", reach(krita, shared_daemon))
    shutil.copy(play.folder / "work.png", artifacts / f"krita-{play.facts['krita']}.png")
    return play


@pytest.fixture(scope="module")
def facts(play: Play) -> dict[str, Any]:
    return play.facts


@pytest.fixture(scope="module")
def source(play: Play) -> np.ndarray:
    pixels = np.fromfile(play.folder / "source.bin", np.uint8).reshape(HEIGHT, WIDTH, 4)
    return np.ascontiguousarray(pixels[:, CLEAR_COLUMNS:])


@pytest.fixture(scope="module")
def expected(source: np.ndarray, shared_daemon: Any) -> np.ndarray:
    """What a plain client gets for the same layer."""
    height, width = source.shape[:2]
    raster = Raster(height, width, 4, "u8", "bgra", LEFT + CLEAR_COLUMNS, TOP)
    run = Run("0" * 32, "upscale", {"model": "waifu2x/upconv7-art", "scale": 2.0, "noise": -1}, {"image": raster})
    with Client(shared_daemon.connection, name="test", version="") as client:
        done, frames = client.run(run, [source.tobytes()])
    assert isinstance(done, Done)
    assert (done.images["image"].x, done.images["image"].y) == (2 * (LEFT + CLEAR_COLUMNS), 2 * TOP)
    return np.frombuffer(frames[0], np.uint8).reshape(2 * height, 2 * width, 4)


def saved(play: Play, name: str, offset: int) -> np.ndarray:
    """Pixels that the scenario read at the source's own corner, without the clear columns."""
    pixels = np.fromfile(play.folder / name, np.uint8).reshape(2 * HEIGHT, 2 * WIDTH, 4)
    return pixels[:, offset : offset + 2 * (WIDTH - CLEAR_COLUMNS)]


def bounds(entry: list[Any]) -> list[int]:
    return entry[1:]


def test_the_actions_are_in_the_scripts_menu_and_take_shortcuts(facts: dict[str, Any]) -> None:
    assert facts["actions"] == ["Samovar: Upscale...", "Samovar: repeat last"]
    assert facts["shortcut"] == SHORTCUT


def test_the_action_shows_the_docker_and_connects(facts: dict[str, Any]) -> None:
    assert facts["docker_visible"] and facts["session"] == "ready"


def test_noise_is_offered_only_where_the_model_has_it(facts: dict[str, Any]) -> None:
    assert facts["noise_with_levels"] and not facts["noise_without_levels"]


def test_the_docker_shows_the_size_of_the_result(facts: dict[str, Any]) -> None:
    assert facts["size_shown"] == "200 × 150 → 400 × 300 px"


def test_run_and_cancel_are_enabled_in_turn(facts: dict[str, Any]) -> None:
    assert facts["buttons_in_job"] == [False, True]


def test_the_status_line_says_what_happened(facts: dict[str, Any]) -> None:
    assert facts["done"].startswith("Done in ") and " s on cpu" in facts["done"]


def test_layer_only_adds_one_layer_above_the_source_with_the_same_corner(
    play: Play, facts: dict[str, Any], expected: np.ndarray
) -> None:
    assert [entry[0] for entry in facts["layer"]] == ["Background", "source", NAME]
    assert bounds(facts["layer"][2]) == [LEFT + CLEAR_COLUMNS, TOP, expected.shape[1], expected.shape[0]]
    assert facts["layer_canvas"] == [200, 150]
    np.testing.assert_array_equal(saved(play, "layer.bin", CLEAR_COLUMNS), expected)


def test_a_layer_is_one_step_of_undo_and_comes_back_by_redo(play: Play, facts: dict[str, Any]) -> None:
    assert facts["layer_undo"] == "Undo Add Layer"
    assert facts["layer_undone"]
    assert (play.folder / "layer_redone.bin").read_bytes() == (play.folder / "layer.bin").read_bytes()


def test_in_place_scales_the_image_and_puts_the_result_at_its_place(
    play: Play, facts: dict[str, Any], expected: np.ndarray
) -> None:
    assert facts["image_canvas"] == [400, 300]
    assert [entry[0] for entry in facts["image"]] == ["Background", "source", NAME]
    assert bounds(facts["image"][2])[:2] == [2 * (LEFT + CLEAR_COLUMNS), 2 * TOP]
    np.testing.assert_array_equal(saved(play, "image.bin", 2 * CLEAR_COLUMNS), expected)


def test_in_place_is_two_steps_of_undo_and_they_restore_layers_and_size(facts: dict[str, Any]) -> None:
    assert facts["image_undo"] == ["Undo Add Layer", "Undo Scale Image"]
    assert facts["image_undone"]


def test_a_new_document_holds_the_result_alone_and_leaves_the_source_alone(
    play: Play, facts: dict[str, Any], expected: np.ndarray
) -> None:
    assert facts["document_canvas"] == [400, 300, True]
    assert [entry[0] for entry in facts["document"]] == [NAME]
    assert facts["document_source_untouched"]
    np.testing.assert_array_equal(saved(play, "document.bin", 2 * CLEAR_COLUMNS), expected)


def test_the_new_document_looks_like_its_layer(play: Play, expected: np.ndarray) -> None:
    seen = np.fromfile(play.folder / "document_seen.bin", np.uint8).reshape(300, 400, 4)
    height, width = expected.shape[:2]
    part = seen[2 * TOP :, 2 * (LEFT + CLEAR_COLUMNS) :][:height, :width]
    np.testing.assert_array_equal(part[..., 3], expected[..., 3])
    assert not seen[: 2 * TOP].any(), "what the layer does not cover is clear"


def test_repeat_runs_the_last_operation_on_the_layer_that_is_active_now(facts: dict[str, Any]) -> None:
    assert facts["repeat_runs"] and facts["repeat_canvas"] == [800, 600]


@pytest.mark.parametrize("placement", ["layer", "image", "document"])
def test_cancel_is_over_at_once_and_leaves_the_document_as_it_was(facts: dict[str, Any], placement: str) -> None:
    assert facts[f"cancel_{placement}_over"] and facts[f"cancel_{placement}_same"]
    assert facts[f"cancel_{placement}_says"] == "Cancelled."


def test_cancel_ends_the_job_in_the_daemon(facts: dict[str, Any], shared_daemon: Any) -> None:
    assert shared_daemon.log.count("cancelled by its client") >= 3


def test_what_cannot_be_read_is_refused_with_one_sentence(facts: dict[str, Any]) -> None:
    assert facts["refusals"] == {
        "empty": "“empty” is empty.",
        "mask": "“mask” is a mask; choose the layer it belongs to.",
    }


@pytest.mark.parametrize("kind", ["group", "child"])
def test_a_group_and_a_masked_layer_are_read_as_they_look(
    play: Play, facts: dict[str, Any], source: np.ndarray, kind: str
) -> None:
    assert facts[kind][facts[kind].index(kind) + 1] == "Identity"
    found = np.fromfile(play.folder / f"{kind}.bin", np.uint8).reshape(HEIGHT, WIDTH, 4)[:, CLEAR_COLUMNS:]
    np.testing.assert_array_equal(found, source)
