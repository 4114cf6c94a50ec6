"""Texture in a full Krita: a layer of its own grows from the layer or what is selected of it, or a selection is
filled."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Krita, Play

from samovar.operations.texture import Params
from samovar_link import Done, Raster, Run, connect

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(600)]

MODEL = "texture/patches"
NAME = f"Texture ({MODEL})"
LEFT, TOP, WIDTH, HEIGHT = 9, 5, 56, 48  # these as in scenarios/texture.py
CANVAS = (150, 110)
HOLE = (30, 20, 12, 14)
BACKGROUND = ["Background", 0, 0, *CANVAS, True]
SOURCE = ["source", LEFT, TOP, WIDTH, HEIGHT, True]
SAMPLE = ["source", 6, 4, 90, 76, True]


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("texture", reach(krita, shared_daemon))
    for name in ("texture", "texture-live"):
        shutil.copy(play.folder / f"{name}.png", artifacts / f"krita-{play.facts['krita']}-{name}.png")
    return play


def saved(play: Play, name: str, width: int, height: int, dtype: str = "u1") -> np.ndarray:
    """BGRA."""
    return np.fromfile(play.folder / f"{name}.bin", dtype).reshape(height, width, 4).astype(int)


def test_the_action_shows_the_docker_with_its_parameters_tiling_and_a_seed(play: Play) -> None:
    assert play.facts["operation"] == "texture" and play.facts["tiled"] == [True, True]
    assert play.facts["parameters"] == [*Params.__dataclass_fields__, "tile_x", "tile_y", "seed"]
    assert all(each.startswith("Done in ") for each in play.facts["says"] if "selected" not in each), play.facts["says"]


def test_a_layer_of_another_size_grows_from_the_layers_corner_in_one_step(play: Play) -> None:
    assert play.facts["whole"] == [BACKGROUND, SOURCE, [NAME, LEFT, TOP, 70, 40, True]]
    assert play.facts["size"] == ["sample 56 × 48 → new layer 70 × 40 px", False]
    assert play.facts["undo"] == "Undo Add Layer" and play.facts["source_same"]
    assert play.facts["undone"] and play.facts["redone"]


def test_it_is_what_any_client_gets_that_lets_it_repeat_along_y(
    play: Play, shared_daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(shared_daemon.connection_file))
    sample = (play.folder / "source.bin").read_bytes()
    with connect("test", "") as client:
        run = Run(
            secrets.token_hex(16), "texture", {"model": MODEL, "width": 70, "height": 40},
            {"image": Raster(HEIGHT, WIDTH, 4, order="bgra")}, wrap_y=True, seed=5,
        )  # fmt: skip
        message, frames = client.run(run, [sample])
    assert isinstance(message, Done)
    assert bytes(frames[message.images["image"].frame]) == (play.folder / "whole.bin").read_bytes()


def test_variants_come_in_a_group_of_which_the_first_shows(play: Play) -> None:
    kind, name, children, boxes, different = play.facts["group"]
    assert (kind, name, different) == ("grouplayer", NAME, 2)
    assert children == [[f"{NAME} 2", False], [f"{NAME} 1", True]]
    assert boxes == [[LEFT, TOP, 30, 26]] * 2 and play.facts["group_seen"] and play.facts["group_undone"]


def test_size_and_tiling_are_asked_for_only_where_they_mean_something(play: Play) -> None:
    assert play.facts["idle"] == [True] * 4 + [False] * 4


def test_a_filling_needs_a_selection_and_changes_nothing_else(play: Play) -> None:
    said, size, layers = play.facts["unselected"]
    assert said == "Nothing is selected: select what is to be filled." and layers == 2
    assert size == "select what is to be filled"
    x, y, width, height = HOLE
    name, left, top, wide, high, visible = play.facts["filled"][-1]
    assert (name, visible, len(play.facts["filled"])) == (NAME, True, 3)
    assert left >= x - 1 and top >= y - 1 and left + wide <= x + width + 1 and top + high <= y + height + 1
    before, after = saved(play, "holed", *CANVAS), saved(play, "filled", *CANVAS)
    inside = np.zeros(before.shape[:2], bool)
    inside[y : y + height, x : x + width] = True
    assert (before[~inside] == after[~inside]).all() and play.facts["filling_undone"]
    assert (before[inside][:, 0] > 200).all() and after[inside][:, 0].max() < 60, "no blue"


def test_what_is_selected_is_the_sample_and_nothing_beside_it(play: Play) -> None:
    size, layers = play.facts["ellipse"]
    assert size == "sample 56 × 50 → new layer 44 × 50 px"
    assert layers == [BACKGROUND, SAMPLE, [NAME, 6, 4, 44, 50, True]], "from the layer's corner on"
    made = saved(play, "ellipse", 44, 50)
    assert made[..., 0].max() < 60 and (made[..., 3] == 255).all(), "no blue"
    assert play.facts["ellipse_undone"]


def test_it_shows_where_it_will_be_and_use_this_keeps_it(play: Play) -> None:
    assert play.facts["live"] == ["Texture (texture/random)", [6, 4, 640, 480], True] and play.facts["better"]
    said, layers = play.facts["kept"]
    assert said.startswith("Done in ") and "kept as it was after" in said
    assert layers == [BACKGROUND, SAMPLE, ["Texture (texture/random)", 6, 4, 640, 480, True]]
    assert play.facts["kept_undone"]


def test_cancel_leaves_the_picture_as_it_was(play: Play) -> None:
    assert play.facts["cancelled"] == ["Cancelled.", True]


def test_a_job_that_was_lost_and_taken_up_goes_where_it_was_wanted_first(play: Play) -> None:
    assert play.facts["lost"]
    said, layers = play.facts["taken"]
    assert said.startswith("Done in ")
    assert layers == [BACKGROUND, ["Texture", 6, 4, 640, 480, True], SAMPLE], "above the layer that is active now"


def test_sixteen_bits_and_holes_come_back_as_such(play: Play) -> None:
    assert play.facts["lace"] == ["RGBA", "U16"]
    made = saved(play, "lace", 64, 40, "<u2")
    clear = made[..., 3] < 10000
    assert 0.1 < clear.mean() < 0.45 and (made[..., 3] > 55000).mean() > 0.4
    assert (made[~clear][:, :3] % 257).any(), "more than eight bits"
