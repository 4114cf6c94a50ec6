"""Denoise in a full Krita: a selection limits it, 16 bits survive it, cancel leaves nothing of it."""

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
from samovar_link.messages import Done, Raster, Rectangle, Run

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(600)]

WIDTH, HEIGHT = 480, 400  # these as in scenarios/denoise.py
LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT = 20, 14, 440, 371
X, Y, PATCH_WIDTH, PATCH_HEIGHT = SELECTED = [203, 181, 60, 48]
DEEP_WIDTH, DEEP_HEIGHT = 300, 230

NAME = "Denoise (waifu2x/cunet-clean)"
PARAMETERS = {"model": "waifu2x/cunet-clean", "noise": 3, "strength": 1.0, "detail": 0.0}


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("denoise", reach(krita, shared_daemon))
    shutil.copy(play.folder / "denoise.png", artifacts / f"krita-{play.facts['krita']}-denoise.png")
    return play


@pytest.fixture(scope="module")
def facts(play: Play) -> dict[str, Any]:
    return play.facts


@pytest.fixture(scope="module")
def mask(play: Play) -> np.ndarray:
    mask = np.fromfile(play.folder / "mask.bin", np.uint8).reshape(PATCH_HEIGHT, PATCH_WIDTH)
    assert len(np.unique(mask)) > 100, "soft"
    return mask


def saved(play: Play, name: str, width: int, height: int) -> np.ndarray:
    return np.fromfile(play.folder / name, np.uint8).reshape(height, width, 4)


def plain(daemon: Any, source: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """What a plain client gets that sends the whole layer."""
    images = {"image": Raster(LAYER_HEIGHT, LAYER_WIDTH, 4, "u8", "bgra", LEFT, TOP)}
    frames, region = [source.tobytes()], None
    if mask is not None:
        images["mask"] = Raster(PATCH_HEIGHT, PATCH_WIDTH, 1, "u8", "rgba", X, Y, frame=1)
        frames.append(mask.tobytes())
        region = Rectangle(X - LEFT, Y - TOP, PATCH_WIDTH, PATCH_HEIGHT)
    with Client(daemon.connection, name="test", version="") as client:
        done, found = client.run(Run("0" * 32, "denoise", dict(PARAMETERS), images, region=region), frames)
    assert isinstance(done, Done)
    raster = done.images["image"]
    return np.frombuffer(found[0], np.uint8).reshape(raster.height, raster.width, 4)


def test_the_action_shows_the_docker_with_denoise(facts: dict[str, Any]) -> None:
    assert facts["operation"] == "denoise"


def test_the_docker_says_when_the_selection_limits_the_effect(facts: dict[str, Any]) -> None:
    assert facts["size_shown"] == "selection only: 60 × 48 px"
    assert facts["whole_size_shown"] == ""
    assert facts["upscale_size_shown"] == "480 × 400 → 960 × 800 px"


def test_a_selection_gives_a_layer_of_its_bounds_above_the_source_in_one_step(facts: dict[str, Any]) -> None:
    assert facts["selection_kept"] and facts["says"].startswith("Done in ")
    source = ["source", LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT]
    assert facts["layers"] == [["Background", 0, 0, WIDTH, HEIGHT], source, [NAME, *SELECTED]]
    assert facts["undo"] == "Undo Add Layer"
    assert facts["undone"] and facts["source_same"]


def test_outside_the_selection_the_picture_is_the_same_to_the_bit(play: Play, mask: np.ndarray) -> None:
    before, after = (saved(play, name, WIDTH, HEIGHT) for name in ("before.bin", "after.bin"))
    changed = (before != after).any(axis=-1)
    selected = np.zeros((HEIGHT, WIDTH), bool)
    selected[Y : Y + PATCH_HEIGHT, X : X + PATCH_WIDTH] = mask > 0
    assert not changed[~selected].any()
    assert changed[selected].mean() > 0.5, "within it there was something to clean"


def test_inside_the_selection_is_what_a_client_gets_that_sends_the_whole_layer(
    play: Play, mask: np.ndarray, shared_daemon: Any
) -> None:
    source = saved(play, "source.bin", LAYER_WIDTH, LAYER_HEIGHT)
    patch = saved(play, "patch.bin", PATCH_WIDTH, PATCH_HEIGHT)
    np.testing.assert_array_equal(patch[mask > 0], plain(shared_daemon, source, mask)[mask > 0])
    assert not patch[mask == 0].any(), "clear where nothing is selected"
    assert mask[0, 0] == 0


def test_without_a_selection_it_is_the_whole_layer(play: Play, facts: dict[str, Any], shared_daemon: Any) -> None:
    assert facts["whole"][-1] == [NAME, LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT]
    source = saved(play, "source.bin", LAYER_WIDTH, LAYER_HEIGHT)
    whole = saved(play, "whole.bin", LAYER_WIDTH, LAYER_HEIGHT)
    np.testing.assert_array_equal(whole, plain(shared_daemon, source, None))


def test_a_selection_that_holds_nothing_of_the_layer_is_refused(facts: dict[str, Any]) -> None:
    beside, around = facts["refusals"]
    assert beside == ["The selection holds nothing of “source”.", "the selection is outside the layer", 0]
    assert [around[0], around[2]] == ["The selection holds nothing of “source”.", 0]


def test_sixteen_bits_go_out_and_come_back_with_every_value(play: Play, facts: dict[str, Any]) -> None:
    assert facts["deep"] == [NAME, "U16", 0, 0, DEEP_WIDTH, DEEP_HEIGHT]
    sent, received = (np.fromfile(play.folder / name, np.uint16) for name in ("deep_sent.bin", "deep.bin"))
    assert len(np.unique(sent.reshape(-1, 4)[:, 0])) == 65536
    np.testing.assert_array_equal(received, sent)


def test_cancel_on_a_large_layer_leaves_the_saved_picture_as_it_was(
    krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]]
) -> None:
    play = krita.play("cancel", reach(krita, shared_daemon))
    facts = play.facts
    assert facts["size_shown"] == "selection only: 3496 × 3496 px"
    assert facts["over"] and facts["says"] == "Cancelled." and facts["stage"] == "cleaning", facts
    assert facts["same"] == [True] * 4, "layers, selection, undo and redo, what is seen"
    _, _, width, height = facts["shown"]
    assert width > 200 and height > 200, "a tile at least"
    assert facts["shown_same"] == [True] * 4
    before, after = (contents(play.folder / name) for name in ("before.kra", "after.kra"))
    assert sum(len(data) for data in before.values()) > 100_000 and any("layers/" in name for name in before)
    assert list(before) == list(after)
    assert [name for name in before if before[name] != after[name]] == []


def contents(picture: Path) -> dict[str, bytes]:
    """All that is in a .kra, but for the date."""
    with zipfile.ZipFile(picture) as file:
        return {name: file.read(name) for name in file.namelist() if name != "documentinfo.xml"}
