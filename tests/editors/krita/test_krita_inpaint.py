"""Remove Selection in a full Krita: a patch above the layer, in every depth, in one step of undo."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Krita, Play

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(600)]

WIDTH, HEIGHT = 300, 220  # these as in scenarios/inpaint.py
X, Y, SIDE = 122, 82, 56
NAME = "Remove Selection (patchmatch)"
DTYPES = {"U8": np.uint8, "U16": np.uint16, "F32": np.float32}


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("inpaint", reach(krita, shared_daemon))
    shutil.copy(play.folder / "inpaint.png", artifacts / f"krita-{play.facts['krita']}-inpaint.png")
    return play


def saved(play: Play, name: str, depth: str) -> np.ndarray:
    return np.fromfile(play.folder / f"{name}-{depth}.bin", DTYPES[depth]).reshape(HEIGHT, WIDTH, 4)


def test_the_action_shows_the_docker_with_its_parameters_and_a_seed(play: Play) -> None:
    assert play.facts["operation"] == "inpaint"
    names = ["model", "context", "grow", "feather", "blend", "match", "exact", "variants", "seed"]
    assert play.facts["parameters"] == names


def test_without_a_selection_a_sentence_says_what_to_do(play: Play) -> None:
    said, size, layers = play.facts["unselected"]
    assert said == "Nothing is selected: select what is to be filled." and layers == 2
    assert size == "select what is to be filled"


@pytest.mark.parametrize("depth", DTYPES)
def test_the_saved_picture_differs_only_where_the_selection_was_grown_to(play: Play, depth: str) -> None:
    said, layers, written, source_same = play.facts["saved"][depth]
    assert said.startswith("Done in ") and written and source_same
    assert [each[0] for each in layers] == ["Background", "source", NAME]
    _, x, y, width, height = layers[-1]
    assert x >= X - 6 and y >= Y - 6 and x + width <= X + SIDE + 6 and y + height <= Y + SIDE + 6, "only the patch"
    before, after = saved(play, "before", depth), saved(play, "after", depth)
    changed = (before != after).any(axis=-1)
    near = np.zeros_like(changed)
    near[Y - 4 : Y + SIDE + 4, X - 4 : X + SIDE + 4] = True
    assert not changed[~near].any() and changed[near].mean() > 0.3
    red = 0 if depth == "F32" else 2
    top = {"U8": 255, "U16": 65535, "F32": 1.0}[depth]
    assert after[110, 150, red] / top < 0.8 and after[110, 150, 1] / top > 0.3, "no red"


def test_it_is_one_step_of_undo_and_of_redo(play: Play) -> None:
    assert play.facts["undo"] == "Undo Add Layer"
    assert play.facts["undone"] and play.facts["redone"]


def test_three_variants_come_in_a_group_of_which_the_first_shows(play: Play) -> None:
    kind, name, children, different = play.facts["group"]
    assert (kind, name, different) == ("grouplayer", NAME, 3)
    assert [[f"{NAME} 3", False], [f"{NAME} 2", False], [f"{NAME} 1", True]] == children
    assert play.facts["group_undone"]


def test_cancel_leaves_the_picture_as_it_was(play: Play) -> None:
    assert play.facts["cancelled"] == ["Cancelled.", True]
