"""The plug-in in GIMP's window, by keys and clicks: menu, dialog, progress, Cancel, undo, last values.

The pictures in `tests/editors/artifacts` are there to be looked at.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from remote_gimp import RemoteGimp, daemon_jobs, wait_for
from screen import Screen

pytestmark = [pytest.mark.editor, pytest.mark.slow]

SIZE = (1600, 1000)
ENHANCE_FROM_BELOW = 14
CANCEL = (1320, 982)
"""The button in the status bar of a window of that size, while a plug-in works."""


class Desk:
    """GIMP's window on a screen."""

    def __init__(self, gimp: RemoteGimp, screen: Screen) -> None:
        self.gimp, self.screen = gimp, screen
        self.window = screen.wait_for("GIMP$|GNU Image Manipulation")
        screen.place(self.window, 0, 0, *SIZE)

    def picture(self, width: int, height: int, opaque: bool = False) -> tuple[int, int]:
        """A new image in the window, unchanged so far, and its layer."""
        image = self.gimp.image(width, height)
        pixels = bytearray(random.Random(1).randbytes(width * height * 4))
        if opaque:
            pixels[3::4] = b"\xff" * (width * height)
        layer = self.gimp.layer(image, "RGBA_IMAGE", width, height, 0, 0, pixels.hex(), "R'G'B'A u8")
        self.gimp.clean(image)
        self.gimp.show(image)
        return image, layer

    def everything(self, image: int) -> tuple[Any, list[str]]:
        state = self.gimp.state(image)
        return state, [self.gimp.pixels(each["id"]) for each in state["layers"]]

    def press(self, *keys: str) -> None:
        self.screen.press(self.window, *keys)

    def choose_filter(self, from_below: int, picture: Path) -> None:
        """Take that entry of Filters > Enhance, counted from below: above there is now and then one more."""
        self.press("alt+r", *["Up"] * ENHANCE_FROM_BELOW, "Right", *["Up"] * from_below)
        self.screen.picture(picture)
        self.press("Return")

    def dialog(self, title: str) -> str:
        found = self.screen.wait_for(title)
        self.screen.place(found, 560, 320)
        return found


@pytest.fixture(scope="module")
def desk(make_gimp: Callable[..., RemoteGimp], display: str, shared_daemon: Any) -> Iterator[Desk]:
    gimp = make_gimp(["gimp", "-n", "--no-splash", "-f"], display)
    gimp.connection_file.write_bytes(shared_daemon.connection_file.read_bytes())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAMOVAR_CONNECTION_FILE", str(shared_daemon.connection_file))
        yield Desk(gimp, Screen(display))


def test_from_the_menu_through_the_dialog_to_one_step_of_undo(desk: Desk, artifacts: Path) -> None:
    image, _ = desk.picture(60, 40)
    before = desk.everything(image)
    desk.choose_filter(2, artifacts / "gimp-menu.png")

    dialog = desk.dialog("Samovar: Upscale")
    desk.screen.press(dialog, "alt+a")  # the letter underlined in "Scale"
    desk.screen.type("3")
    desk.screen.press(dialog, "Tab")
    desk.screen.picture(artifacts / "gimp-dialog.png")
    desk.screen.press(dialog, "alt+o")
    wait_for(lambda: len(desk.gimp.state(image)["layers"]) == 2, 60, "the new layer")
    wait_for(lambda: not desk.gimp.plugin_processes(), 10, "the end of the plug-in")
    after = desk.everything(image)
    assert after[0]["size"] == [180, 120]
    assert [each["visible"] for each in after[0]["layers"]] == [True, False]
    desk.screen.picture(artifacts / "gimp-result.png")

    desk.press("ctrl+z")
    wait_for(lambda: desk.everything(image) == before, 5, "undo of all of it")
    desk.press("ctrl+y")
    wait_for(lambda: desk.everything(image) == after, 5, "redo of all of it")

    status, message, _ = desk.gimp.samovar("upscale", image, [after[0]["layers"][0]["id"]], "WITH_LAST_VALS")
    assert status == "SUCCESS", message
    assert desk.gimp.state(image)["size"] == [540, 360]  # the 3 from the dialog, not the default 2


@pytest.mark.parametrize("opaque", [False, True])  # a changed copy, or a patch
def test_denoise_of_a_soft_selection_is_one_step_of_undo(desk: Desk, artifacts: Path, opaque: bool) -> None:
    image, _ = desk.picture(240, 160, opaque)
    desk.gimp.select(image, 80, 40, 90, 70, feather=16)
    desk.gimp.clean(image)
    before = desk.everything(image)
    desk.choose_filter(4, artifacts / "gimp-denoise-menu.png")
    dialog = desk.dialog("Samovar: Denoise")
    desk.screen.hover(300, 800)
    desk.screen.picture(artifacts / "gimp-denoise-dialog.png")
    desk.screen.press(dialog, "alt+o")
    wait_for(lambda: len(desk.gimp.state(image)["layers"]) == 2, 60, "the new layer")
    wait_for(lambda: not desk.gimp.plugin_processes(), 10, "the end of the plug-in")
    after = desk.everything(image)
    desk.screen.picture(artifacts / "gimp-denoise-result.png")
    new, old = after[0]["layers"]
    assert (bool(new["mask"]), old["visible"]) == (opaque, opaque)
    assert after[0]["selection"] == before[0]["selection"]

    desk.press("ctrl+z")
    wait_for(lambda: desk.everything(image) == before, 5, "undo of all of it")
    desk.press("ctrl+y")
    wait_for(lambda: desk.everything(image) == after, 5, "redo of all of it")


def test_cancel_in_the_status_bar_ends_the_job_and_leaves_the_image(desk: Desk, artifacts: Path) -> None:
    image, layer = desk.picture(60, 40)
    before = desk.everything(image)
    desk.gimp.begin("samovar", "identity", image, [layer], "INTERACTIVE", seconds=60.0)
    desk.screen.press(desk.dialog("Samovar: Identity"), "alt+o")
    wait_for(lambda: daemon_jobs() == ["identity"], 20, "the job")
    desk.screen.hover(700, 500)
    desk.screen.picture(artifacts / "gimp-progress.png")
    desk.screen.click(*CANCEL)
    wait_for(lambda: daemon_jobs() == [], 4, "the end of the job")
    assert desk.gimp.end()[0] == "CANCEL"
    assert desk.gimp.plugin_processes() == []
    assert desk.everything(image) == before


def test_cancel_in_the_dialog_sends_nothing(desk: Desk) -> None:
    image, layer = desk.picture(20, 20)
    before = desk.everything(image)
    desk.gimp.begin("samovar", "identity", image, [layer], "INTERACTIVE", seconds=60.0)
    desk.screen.press(desk.dialog("Samovar: Identity"), "Escape")
    assert desk.gimp.end()[0] == "CANCEL"
    assert daemon_jobs() == []
    assert desk.everything(image) == before


def test_a_sentence_is_shown_when_there_is_no_daemon(desk: Desk, artifacts: Path) -> None:
    image, _ = desk.picture(20, 20)
    before = desk.everything(image)
    found = desk.gimp.connection_file.read_bytes()
    desk.gimp.connection_file.unlink()
    try:
        desk.press("ctrl+shift+f")  # the last filter again, with its dialog
        dialog = desk.dialog("Samovar: ")
        desk.screen.press(dialog, "alt+o")
        desk.screen.wait_gone(dialog)
        message = desk.screen.wait_for("GIMP Message", 3)
        desk.screen.place(message, 500, 320)
        desk.screen.picture(artifacts / "gimp-no-daemon.png")
        desk.screen.press(message, "Return")
    finally:
        desk.gimp.connection_file.write_bytes(found)
    assert desk.everything(image) == before
