"""Faces in a full Krita: a sheet in the docker to choose from, and what is chosen as layers."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Krita, Play

from samovar.operations.faces import Params
from samovar_link import Done, Raster, Run, connect

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(600)]

MODEL = "samovar/faces"
SHEET = f"Faces ({MODEL})"
CANVAS, SEED, COUNT, SIDE = (300, 220), 11, 6, 64  # these as in scenarios/faces.py
BACKGROUND = ["Background", [0, 0, *CANVAS], True, []]
BUSY = "A job is running; cancel it or wait for it."
PIXEL = Raster(1, 1, 4, order="bgra")


def face(number: int) -> str:
    return f"Face {number} ({MODEL})"


def centred(width: int, height: int) -> list[int]:
    return [(CANVAS[0] - width) // 2, (CANVAS[1] - height) // 2, width, height]


@pytest.fixture(scope="module")
def play(krita: Krita, shared_daemon: Any, reach: Callable[..., dict[str, str]], artifacts: Path) -> Play:
    play = krita.play("faces", reach(krita, shared_daemon))
    for name in ("faces-sheet", "faces-placed"):
        shutil.copy(play.folder / f"{name}.png", artifacts / f"krita-{play.facts['krita']}-{name}.png")
    return play


@pytest.fixture
def client(shared_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    """What any client gets that sends a pixel of this kind."""
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(shared_daemon.connection_file))

    def run(raster: Raster = PIXEL, seed: int = SEED, **parameters: Any) -> bytes:
        with connect("test", "") as connected:
            wanted = {"model": MODEL, "count": COUNT, **parameters}
            run = Run(secrets.token_hex(16), "faces", wanted, {"image": raster}, seed=seed)
            message, frames = connected.run(run, [bytes(raster.size_bytes)])
        assert isinstance(message, Done)
        return bytes(frames[message.images["image"].frame])

    return run


def saved(play: Play, name: str) -> bytes:
    return (play.folder / f"{name}.bin").read_bytes()


def test_the_action_shows_the_docker_with_its_parameters_and_a_sheet_that_is_empty_yet(play: Play) -> None:
    assert play.facts["elsewhere"] == [False, "Run", True]
    assert play.facts["operation"] == ["faces", "Draw", False] and play.facts["shown"]
    decided = ("result", "only")
    assert play.facts["parameters"] == [*(each for each in Params.__dataclass_fields__ if each not in decided), "seed"]
    assert play.facts["undrawn"][:4] == [[False, "Draw first."]] * 4
    assert play.facts["undrawn"][4][0]


def test_what_means_nothing_is_greyed_out(play: Play) -> None:
    assert play.facts["idle"] == [[False, False], [True, True], [False, True]]


def test_it_draws_without_any_picture_but_places_nothing_there(play: Play) -> None:
    count, buttons = play.facts["nowhere"]
    assert count == COUNT
    assert buttons[:2] == [[False, "Open a picture first."]] * 2


def test_what_is_drawn_shows_face_by_face_and_leaves_the_picture_alone(
    play: Play, client: Callable[..., bytes]
) -> None:
    same, count, names, size = play.facts["drawn"]
    assert same and count == COUNT and size == [384, 256]
    assert names == [f"Face {number}" for number in range(SEED, SEED + COUNT)]
    assert play.facts["icons"] == [[128, 128]] * COUNT
    drawn = saved(play, "sheet")
    cells = np.frombuffer(drawn, np.uint8).reshape(2, 128, 3, 128, 4).swapaxes(1, 2).reshape(COUNT, -1)
    assert [saved(play, f"icon-{each}") for each in range(COUNT)] == [each.tobytes() for each in cells]
    assert drawn == client() and len(np.unique(np.frombuffer(drawn, np.uint8))) > 2
    assert play.facts["size"] == "one: 64 × 64 px, the sheet: 192 × 128 px"


def test_buttons_that_do_not_apply_say_why(play: Play) -> None:
    none, one, two, three = play.facts["chosen"]
    assert [each[0] for each in play.facts["chosen"]] == [[], [1], [1, 4], [0, 1, 4]]
    assert none[1] == [False, True, False, False, True]
    assert one[1] == [True, True, True, False, True]
    assert two[1] == [True, True, False, True, True]
    assert three[1] == [True, True, False, False, True]
    assert none[2][0] == "Choose some of them first."
    assert one[2][3] == "Choose two of them, the second one with Ctrl." and two[2][2] == "Choose one of them."
    assert one[2][4] == f"Draw the next ones, from number {SEED + COUNT} on"
    assert play.facts["busy"] == [[False, BUSY]] * 5


def test_a_double_click_places_a_face_in_the_middle_in_one_step(play: Play, client: Callable[..., bytes]) -> None:
    assert play.facts["one"] == [BACKGROUND, [face(SEED + 2), centred(SIDE, SIDE), True, []]]
    assert saved(play, "one") == saved(play, "one-seen") == client(size=str(SIDE), only=3)
    assert play.facts["undo"] == "Undo Add Layer" and play.facts["one_undone"] == [True] * 3


def test_several_come_side_by_side_in_a_group_in_one_step(play: Play, client: Callable[..., bytes]) -> None:
    x, y, *_ = centred(2 * SIDE, SIDE)
    inner = [
        [face(SEED + 4), [x + SIDE, y, SIDE, SIDE], True, []], [face(SEED + 1), [x, y, SIDE, SIDE], True, []]
    ]  # fmt: skip
    assert play.facts["two"] == [BACKGROUND, [SHEET, centred(2 * SIDE, SIDE), True, inner]]
    for name, only in (("two-0", 5), ("two-1", 2)):
        assert saved(play, name) == client(size=str(SIDE), only=only)
    seen = np.frombuffer(saved(play, "two-seen"), np.uint8).reshape(SIDE, 2, SIDE, 4)
    assert seen[:, 0].tobytes() == saved(play, "two-1") and seen[:, 1].tobytes() == saved(play, "two-0")
    assert play.facts["two_undone"]


def test_return_places_the_one_that_arrows_went_to_larger_than_it_is_drawn(
    play: Play, client: Callable[..., bytes]
) -> None:
    assert play.facts["by_keys"] == [4]
    assert play.facts["large"] == [face(SEED + 4), [22, 0, 256, 256], True, []], "taller than the canvas"
    assert saved(play, "large") == client(size="256", only=5)


def test_all_of_it_is_one_layer_and_so_is_its_repetition(play: Play, client: Callable[..., bytes]) -> None:
    assert play.facts["whole"] == [BACKGROUND, [SHEET, centred(3 * SIDE, 2 * SIDE), True, []]]
    assert saved(play, "whole") == client(size=str(SIDE)) and play.facts["again"]


def test_one_is_varied_as_it_was_drawn(play: Play, client: Callable[..., bytes]) -> None:
    names, values = play.facts["varied"]
    varied = SEED + 1
    assert names == [f"Face {varied}", *(f"Face {varied}, variation {each}" for each in range(1, COUNT))]
    assert values == {"way": "vary", "seed": varied, "truncation": 0.8, "amount": 0.4}
    assert saved(play, "varied") == client(seed=varied, way="vary")
    itself, another = play.facts["variation"]
    assert itself[0] and not another[0] and another[1].startswith("Variations and mixes have no number")
    assert play.facts["variation_placed"][0] == f"Face {varied}, variation 3 ({MODEL})"
    assert saved(play, "variation") == client(seed=varied, way="vary", size=str(SIDE), only=4)


def test_new_ones_go_on_where_the_last_new_ones_ended_and_two_are_mixed(
    play: Play, client: Callable[..., bytes]
) -> None:
    first = SEED + COUNT
    assert play.facts["new"] == [[f"Face {first + each}" for each in range(COUNT)], "new", first]
    names, values = play.facts["mixed"]
    between = [f"Face {first} with {share}% of face {first + 2}" for share in (20, 40, 60, 80)]
    assert names == [f"Face {first}", *between, f"Face {first + 2}"]
    assert values == {"way": "mix", "seed": first, "other": first + 2}
    assert saved(play, "mixed") == client(seed=first, way="mix", other=first + 2)
    assert not play.facts["between"][0]
    assert play.facts["newer"] == ["new", first + COUNT]


def test_any_layer_may_be_active_and_a_selection_changes_nothing(play: Play) -> None:
    new = [face(SEED + 2 * COUNT + 1), centred(SIDE, SIDE), True, []]
    for kind, (active, tree, _) in play.facts["active"].items():
        assert active == {"inner": "paintlayer"}.get(kind, kind)
        if kind == "inner":
            assert tree[-1][0] == "made" and tree[-1][3][-1] == new, "above the active layer, in its group"
        else:
            assert tree[-1] == new and [each[0] for each in tree[:-1]] == ["Background", "made"], kind


@pytest.mark.parametrize(
    "kind, model, depth, raster",
    [
        ("u16", "RGBA", "U16", Raster(1, 1, 4, "u16", "bgra")),
        ("gray", "GRAYA", "U8", Raster(1, 1, 2, "u8", "bgra")),
        ("f16", "RGBA", "F16", Raster(1, 1, 4, "f16")),
        ("f32", "RGBA", "F32", Raster(1, 1, 4, "f32")),
        ("cmyk", "CMYKA", "U8", None),
    ],
)
def test_it_comes_in_the_pictures_own_kind(
    play: Play, client: Callable[..., bytes], kind: str, model: str, depth: str, raster: Raster | None
) -> None:
    number = SEED + 2 * COUNT + 2
    assert play.facts["kinds"][kind] == [face(number), [28, 18, SIDE, SIDE], model, depth]
    if raster is None:
        return  # other colours, by a profile
    made, expected = saved(play, kind), client(raster, seed=SEED + 2 * COUNT, size=str(SIDE), only=3)
    if kind != "f32":
        assert made == expected
        return
    linear, encoded = (np.frombuffer(each, "<f4").reshape(-1, 4) for each in (made, expected))
    colours = encoded[:, :3].clip(0)
    bright = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    assert np.abs(linear[:, :3].clip(0) - bright).max() < 2e-3 and (linear[:, 3] == 1).all()


def test_cancel_ends_drawing_and_placing_and_leaves_sheet_and_picture(play: Play) -> None:
    *ends, left = play.facts["cancelled"]
    assert ends == [[True, True, "Cancelled."]] * 3
    assert left == [True, COUNT]


def test_a_daemon_that_is_gone_is_one_sentence(play: Play) -> None:
    assert play.facts["lost"] == [True, True, "The connection to Samovar was closed.", True]


def test_a_picture_that_was_closed_meanwhile_is_one_sentence(play: Play) -> None:
    started, said, _ = play.facts["closed"]
    assert started and said == "The picture was closed before its result came."


def test_everything_else_ended_well(play: Play) -> None:
    *others, closed = play.facts["says"]
    assert all(each.startswith("Done in ") for each in others), others
