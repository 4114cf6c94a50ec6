"""The result is seen while it grows, what the user looks at first, and a job that is cancelled leaves nothing of it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Krita, Play

from samovar_link import Client
from samovar_link.messages import Done, Raster, Run

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(600)]

LEFT, TOP, WIDTH, HEIGHT = 13, 17, 920, 560  # these as in scenarios/live.py
NAME = "Upscale (waifu2x/upconv7-art)"
WORKING = "Samovar is working"
LAYERS = ["Background", "source", "grouplayer", "vectorlayer"]


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("live", reach(krita, shared_daemon))
    for placement in ("layer", "document"):
        shutil.copy(play.folder / f"{placement}.png", artifacts / f"krita-{play.facts['krita']}-live-{placement}.png")
    return play


@pytest.fixture(scope="module")
def facts(play: Play) -> dict[str, Any]:
    return play.facts


def expected(play: Play, daemon: Any, noise: int) -> np.ndarray:
    """What a client gets that does not ask for parts."""
    pixels = (play.folder / "source.bin").read_bytes()
    raster = Raster(HEIGHT, WIDTH, 4, "u8", "bgra", LEFT, TOP)
    run = Run("0" * 32, "upscale", {"model": "waifu2x/upconv7-art", "scale": 2.0, "noise": noise}, {"image": raster})
    with Client(daemon.connection, name="test", version="") as client:
        done, frames = client.run(run, [pixels])
    assert isinstance(done, Done) and done.report.tiles.total > 2
    return np.frombuffer(frames[0], np.uint8).reshape(2 * HEIGHT, 2 * WIDTH, 4)


def saved(play: Play, name: str) -> np.ndarray:
    return np.fromfile(play.folder / name, np.uint8).reshape(2 * HEIGHT, 2 * WIDTH, 4)


@pytest.mark.parametrize("placement", ["layer", "document"])
def test_a_part_is_seen_before_the_end(facts: dict[str, Any], placement: str) -> None:
    found = facts[placement]
    assert found["drawn"], found
    assert 0 < found["share"] < 1, "some of it, not all"


def test_what_the_user_looks_at_comes_first(facts: dict[str, Any]) -> None:
    left, top, right, bottom = (2 * each for each in within(facts["seen"]))  # of the result, twice as large
    assert left > WIDTH and top > HEIGHT, "not where the first tile would be"
    x, y, width, height = facts["layer"]["first"]
    assert x < right and left < x + width and y < bottom and top < y + height


def test_a_layer_in_work_is_above_the_source_and_no_step_of_undo(facts: dict[str, Any]) -> None:
    found = facts["layer"]
    assert found["layers"] == [*LAYERS[:2], WORKING, NAME, *LAYERS[2:]]
    assert found["history"] == facts["before"] and facts["before"][1] == "Redo Add Layer"
    assert found["active"] == "source" and found["documents"] == [True, True]


def test_a_document_in_work_is_new_and_can_be_closed_without_a_question(facts: dict[str, Any]) -> None:
    found = facts["document"]
    assert found["documents"] == [False, False] and found["layers"] == [WORKING, NAME]
    assert not found["modified"]


@pytest.mark.parametrize("placement", ["layer", "document"])
def test_cancel_leaves_nothing_of_it(facts: dict[str, Any], placement: str) -> None:
    found = facts[placement]
    assert found["over"] and found["says"] == "Cancelled."
    assert found["same"] == [True] * 6, "layers, history, what is seen, the active layer, modified, documents"
    assert found["source_active"]


def test_cancel_leaves_the_saved_picture_as_it_was(play: Play) -> None:
    before, after = (contents(play.folder / name) for name in ("before.kra", "after.kra"))
    assert len(before) > 5 and before == after


def test_the_layer_is_what_a_client_gets_without_parts(play: Play, facts: dict[str, Any], shared_daemon: Any) -> None:
    says, layers, history = facts["layer_done"]
    assert says.startswith("Done in ") and layers == [*LAYERS[:2], NAME, *LAYERS[2:]]
    assert history[0] == "Undo Add Layer" and not facts["layer_locked"]
    np.testing.assert_array_equal(saved(play, "layer.bin"), expected(play, shared_daemon, -1))


def test_it_is_one_step_of_undo_and_redo(play: Play, facts: dict[str, Any]) -> None:
    assert facts["undone"] == [True] * len(LAYERS)
    assert (play.folder / "redone.bin").read_bytes() == (play.folder / "layer.bin").read_bytes()


def test_the_document_is_what_a_client_gets_without_parts(
    play: Play, facts: dict[str, Any], shared_daemon: Any
) -> None:
    says, layers, history = facts["document_done"]
    assert says.startswith("Done in ") and layers == [NAME]
    assert facts["document_size"] == [1960, 1200, True, False]
    assert history == ["Undo ", "Redo "]
    pixels = expected(play, shared_daemon, 2)
    np.testing.assert_array_equal(saved(play, "document.bin"), pixels)
    np.testing.assert_array_equal(saved(play, "document_seen.bin"), pixels)


def test_closing_the_new_document_ends_the_job_with_one_sentence(facts: dict[str, Any]) -> None:
    assert facts["closed"] == ["The picture was closed before its result came.", 0]


def within(seen: list[int]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is seen, in pixels of the source."""
    x, y, width, height = seen
    return x - LEFT, y - TOP, x + width - LEFT, y + height - TOP


def contents(picture: Path) -> dict[str, bytes]:
    """All that is in a .kra, but for the date."""
    with zipfile.ZipFile(picture) as file:
        return {name: file.read(name) for name in file.namelist() if name != "documentinfo.xml"}
