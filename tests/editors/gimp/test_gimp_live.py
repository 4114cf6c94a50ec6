"""Finished tiles in GIMP's image while the rest is worked on, and what of them remains: nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk
from numpy.typing import NDArray
from remote_gimp import RemoteGimp, daemon_jobs, plain_client, wait_for

from samovar_link import Raster

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow]

FAST = "waifu2x/upconv7-art"
RGBA = "R'G'B'A u8"


def blocks(desk: Desk, width: int, height: int, kind: str = "RGB_IMAGE") -> tuple[int, int, int]:
    """A picture in the window, unlike those before, of which the daemon may remember tiles: image, layer, window."""
    image = desk.gimp.image(width, height)
    desk.gimp.layer(image, "RGB_IMAGE", 40, 30, name="below")
    layer = desk.gimp.layer(image, kind, width, height)
    desk.gimp.scramble(layer, layer)
    desk.gimp.clean(image)
    return image, layer, desk.gimp.show(image)


def first_parts(desk: Desk, image: int) -> dict[str, Any]:
    """The layer of finished parts, as it is once some are there and not all, with `there`, a small picture of
    what is there in that many `columns`, and `copy`, a layer of its own."""

    def look() -> dict[str, Any] | None:
        live = desk.gimp.state(image)["layers"][0]
        assert not desk.screen.windows("GIMP Message"), "the job failed"
        if not live["name"].endswith("…"):
            return None
        there, live["columns"] = desk.gimp.alpha(live["id"])
        live["there"] = [each > 0 for each in there]
        if not any(live["there"]) or all(live["there"]):
            return None
        live["copy"] = desk.gimp.snapshot(live["id"])
        return live if live["copy"] else None

    return wait_for(look, 90, "the first parts")


def array(gimp: RemoteGimp, layer: int, size: list[int]) -> NDArray[np.int32]:
    width, height = size
    found = np.frombuffer(bytes.fromhex(gimp.pixels(layer, RGBA)), np.uint8)
    return found.reshape(height, width, 4).astype(np.int32)


def without_counter(xcf: bytes) -> bytes:
    """A saved image without its count of layers and channels ever made, which GIMP keeps to tell them apart."""
    at = xcf.index(struct.pack(">II", 20, 4))  # PROP_TATTOO
    return xcf[:at] + xcf[at + 12 :]


def wait_end(desk: Desk, seconds: float = 60.0) -> None:
    wait_for(lambda: not desk.gimp.plugin_processes(), seconds, "the end of the plug-in")


@pytest.mark.parametrize(
    "operation, scope, kind",
    [("upscale", "layer", "RGB_IMAGE"), ("upscale", "selection", "RGB_IMAGE"), ("denoise", "selection", "RGBA_IMAGE")],
)
def test_finished_parts_are_seen_at_their_place_and_the_result_is_one_step_of_undo(
    desk: Desk, artifacts: Path, operation: str, scope: str, kind: str
) -> None:
    gimp = desk.gimp
    image, _, _ = blocks(desk, 560, 330, kind)
    gimp.select(image, 40, 30, 450, 270, feather=16)
    gimp.clean(image)
    before = desk.everything(image)
    more = {"scale": 2.0, "model": FAST} if operation == "upscale" else {}
    desk.work(operation, scope=scope, **more)
    live = first_parts(desk, image)
    seen, mask = array(gimp, live["copy"], live["size"]), gimp.mask(live["copy"])
    assert gimp.chosen(image) == [["source"], []]
    desk.screen.picture(artifacts / f"gimp-tiles-{operation}-{scope}.png")
    wait_end(desk)

    after = desk.everything(image)
    new, old, below = after[0]["layers"]
    assert (old["name"], below["name"]) == ("source", "below")
    (x, y), (width, height) = ((live[key][0], live[key][1]) for key in ("offset", "size"))
    left, top = x - new["offset"][0], y - new["offset"][1]
    result = array(gimp, new["id"], new["size"])[top : top + height, left : left + width]
    there = seen[..., 3] > 0
    assert result.shape == seen.shape
    assert np.abs(result - seen)[there].mean() < (0.01 if operation == "upscale" else 3)
    if new["mask"]:  # GIMP smooths it when it is scaled, which for a moment's look is not worth it
        masks = [np.frombuffer(bytes.fromhex(each), np.uint8) for each in (mask, gimp.mask(new["id"]))]
        assert np.abs(masks[0].astype(int) - masks[1]).max() < 30

    desk.press("ctrl+z")
    wait_for(lambda: desk.everything(image) == before, 5, "undo of all of it")
    desk.press("ctrl+y")
    wait_for(lambda: desk.everything(image) == after, 5, "redo of all of it")


def test_the_result_is_that_of_a_job_that_shows_no_parts(desk: Desk) -> None:
    image, layer, _ = blocks(desk, 300, 270)
    pixels = bytes.fromhex(desk.gimp.pixels(layer, "R'G'B' u8"))
    desk.work("upscale", scope="layer", scale=2.0, model=FAST)
    wait_for(lambda: desk.gimp.plugin_processes(), 10, "the plug-in")
    wait_end(desk)
    new = desk.gimp.state(image)["layers"][0]
    expected = plain_client("upscale", Raster(270, 300, 3), pixels, scale=2.0, model=FAST)
    assert bytes.fromhex(desk.gimp.pixels(new["id"], "R'G'B' u8")) == expected


@pytest.mark.timeout(240)
def test_cancel_in_a_job_of_4096_squared_leaves_image_history_and_saved_file_as_they_were(
    desk: Desk, artifacts: Path
) -> None:
    gimp = desk.gimp
    image, layer, display = blocks(desk, 4096, 4096)
    for name in ("second", "third"):
        gimp.rename(layer, name)
    desk.press("ctrl+z")
    gimp.select(image, 100, 50, 3900, 4000, feather=20)  # ends what could be redone
    for name in ("fourth", "fifth"):
        gimp.rename(layer, name)
    desk.press("ctrl+z")
    gimp.chosen(image, [layer])
    files = [gimp.folder / name for name in ("before.xcf", "after.xcf")]
    gimp.save(image, str(files[0]))
    gimp.clean(image)
    before = gimp.state(image), gimp.digest(layer), gimp.chosen(image)
    desk.work("upscale", scope="layer", scale=2.0, model=FAST)
    live = first_parts(desk, image)
    middle = range(live["columns"] // 4 - 3, live["columns"] * 3 // 4 + 3)
    places = [divmod(at, live["columns"]) for at, there in enumerate(live["there"]) if there]
    assert all(row in middle and column in middle for row, column in places)  # what will be on the canvas comes first
    window = desk.dialog("Samovar: Upscale")
    desk.screen.picture(artifacts / "gimp-tiles.png")
    desk.screen.press(window, "Escape")
    wait_for(lambda: len(gimp.state(image)["layers"]) == 2, 3, "the end of the parts")
    wait_for(lambda: daemon_jobs() == [], 5, "the end of the job")
    wait_end(desk, 5)
    desk.screen.picture(artifacts / "gimp-tiles-cancelled.png")
    assert (gimp.state(image), gimp.digest(layer), gimp.chosen(image)) == before
    gimp.save(image, str(files[1]))
    same = without_counter(files[0].read_bytes()) == without_counter(files[1].read_bytes())
    assert same  # not compared here: a report of the difference takes longer than the test
    for file in files:
        file.unlink()

    def name() -> str:
        return gimp.state(image)["layers"][0]["name"]

    desk.press("ctrl+y")
    wait_for(lambda: name() == "fifth", 5, "redo of what was undone before")
    desk.press("ctrl+z", "ctrl+z")
    wait_for(lambda: name() == "second", 5, "undo of the last step before")
    gimp.close_view(display)


@pytest.mark.parametrize("loss", ["parts", "layer", "image", "plug-in"])
def test_what_goes_in_the_middle_is_missed_in_one_sentence_or_not_at_all(desk: Desk, loss: str) -> None:
    gimp = desk.gimp
    image, layer, display = blocks(desk, 560, 330)
    desk.work("upscale", scope="layer", scale=2.0, model=FAST)
    live = first_parts(desk, image)
    if loss == "parts":
        gimp.remove(image, live["id"])
    elif loss == "layer":
        gimp.remove(image, layer)
    elif loss == "image":
        gimp.close_view(display)
    else:
        (process,) = gimp.plugin_processes()
        process.kill()
    if loss in ("layer", "image"):
        message = desk.screen.wait_for("GIMP Message", 10)
        desk.screen.press(message, "Return")
    wait_end(desk)
    wait_for(lambda: daemon_jobs() == [], 6, "the end of the job")
    if loss == "image":
        return
    if loss == "parts" and len(gimp.state(image)["layers"]) < 3:
        # It went between the plug-in's look and its write, for which GIMP ends a plug-in: the next run has it all.
        desk.screen.press(desk.screen.wait_for("GIMP Message", 5), "Return")
        assert [each["name"] for each in gimp.state(image)["layers"]] == ["source", "below"]
        desk.work("upscale", scope="layer", scale=2.0, model=FAST)
        wait_for(lambda: len(gimp.state(image)["layers"]) == 3, 60, "the result of the next run")
        wait_end(desk)
    names = [each["name"] for each in gimp.state(image)["layers"]]
    if loss == "parts":
        assert names == [f"Upscale ({FAST})", "source", "below"]
    elif loss == "layer":
        assert names == ["below"]
    else:  # nobody was left to take it away; it is a layer like any other
        assert names == ["Upscale…", "source", "below"]
        gimp.remove(image, live["id"])
        desk.press("ctrl+z")
        wait_for(lambda: len(gimp.state(image)["layers"]) == 3, 5, "undo of its removal")
    gimp.close_view(display)


def test_a_daemon_killed_in_the_middle_leaves_nothing_and_gives_one_sentence_within_two_seconds(
    desk: Desk, daemon: Any, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gimp = desk.gimp
    gimp.show_daemon(daemon.connection_file.read_bytes())
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(daemon.connection_file))
    image, layer, _ = blocks(desk, 560, 330)
    before = desk.everything(image)
    desk.work("upscale", scope="layer", scale=2.0, model=FAST)
    first_parts(desk, image)
    os.kill(daemon.pid, signal.SIGKILL)
    message = desk.screen.wait_for("GIMP Message", 2)
    desk.screen.picture(artifacts / "gimp-tiles-daemon-killed.png")
    desk.screen.press(message, "Return")
    assert desk.everything(image) == before
    assert gimp.chosen(image) == [["source"], []]


def test_who_undoes_and_redoes_while_parts_are_shown_meets_only_their_own_steps(desk: Desk) -> None:
    gimp = desk.gimp
    image, layer, _ = blocks(desk, 80, 60)

    def names() -> list[str]:
        return [each["name"] for each in gimp.state(image)["layers"]]

    for name in ("second", "third"):
        gimp.rename(layer, name)
    desk.press("ctrl+z")
    with shown_parts(gimp, image, layer):
        assert names() == ["parts", "second", "below"]
        desk.press("ctrl+y")
        wait_for(lambda: names() == ["parts", "third", "below"], 5, "redo")
        desk.press("ctrl+z", "ctrl+z")
        wait_for(lambda: names() == ["parts", "source", "below"], 5, "undo")
        gimp.rename(layer, "other")
    assert names() == ["other", "below"]
    desk.press("ctrl+z")
    wait_for(lambda: names() == ["source", "below"], 5, "undo")


def test_an_image_is_as_saved_or_unsaved_as_before_however_many_steps_were_undone_since(desk: Desk) -> None:
    """GIMP counts changes since saving, and downwards in undo, so that some more of them could look like none."""
    gimp = desk.gimp
    image, layer, _ = blocks(desk, 80, 60)
    for name in ("second", "third", "fourth", "fifth"):
        gimp.rename(layer, name)
    for undone in range(5):
        gimp.clean(image)
        desk.press(*["ctrl+z"] * undone)
        found = [gimp.state(image)["dirty"]]
        with shown_parts(gimp, image, layer):
            found.append(gimp.state(image)["dirty"])
        found.append(gimp.state(image)["dirty"])
        assert found == [undone > 0] * 3, undone
        desk.press(*["ctrl+y"] * undone)


def test_who_paints_on_a_channel_goes_on_doing_so(desk: Desk) -> None:
    image, layer, _ = blocks(desk, 80, 60)
    desk.gimp.choose_channel(image)
    chosen = desk.gimp.chosen(image)
    with shown_parts(desk.gimp, image, layer):
        assert desk.gimp.chosen(image) == chosen == [[], ["channel"]]
    assert desk.gimp.chosen(image) == chosen


@contextlib.contextmanager
def shown_parts(gimp: RemoteGimp, image: int, layer: int) -> Any:
    """Within the `with` block, the plug-in's own code shows a part of a result, without a daemon."""
    whole = {"height": 60, "width": 80, "channels": 3}
    part = {"height": 20, "width": 30, "channels": 3, "x": 16, "y": 8}
    gimp.show_part(image, layer, "layer", whole, part, "204060" * 600)
    yield
    gimp.hide_parts()
