"""The plug-in in GIMP's window, by keys and clicks: menu, dialog, progress, Cancel, undo, last values.

The pictures in `tests/editors/artifacts` are there to be looked at.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from desk import STATUS_BAR_CANCEL, Desk
from remote_gimp import daemon_jobs, daemon_status, wait_for

pytestmark = [pytest.mark.editor, pytest.mark.slow]


def test_from_the_menu_through_the_dialog_to_one_step_of_undo(desk: Desk, artifacts: Path) -> None:
    image, _ = desk.picture(60, 40)
    before = desk.everything(image)
    desk.choose_filter("upscale", artifacts / "gimp-menu.png")

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
    desk.choose_filter("denoise", artifacts / "gimp-denoise-menu.png")
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
    desk.gimp.begin("samovar", "identity", image, [layer], "NONINTERACTIVE", seconds=60.0)
    wait_for(lambda: daemon_jobs() == ["identity"], 20, "the job")
    desk.screen.hover(700, 500)
    desk.screen.picture(artifacts / "gimp-progress.png")
    desk.screen.click(*STATUS_BAR_CANCEL)
    wait_for(lambda: daemon_jobs() == [], 4, "the end of the job")
    assert desk.gimp.end()[0] == "CANCEL"
    assert desk.gimp.plugin_processes() == []
    assert desk.everything(image) == before


def test_cancel_in_our_own_window_ends_the_job_at_once_and_the_status_bar_offers_none(
    desk: Desk, artifacts: Path
) -> None:
    image, layer = desk.picture(60, 40)
    before = desk.everything(image)
    desk.gimp.begin("samovar", "identity", image, [layer], "INTERACTIVE", seconds=60.0)
    dialog = desk.dialog("Samovar: Identity")
    desk.screen.press(dialog, "alt+o")
    desk.screen.wait_gone(dialog)
    wait_for(lambda: daemon_jobs() == ["identity"], 20, "the job")
    window = desk.dialog("Samovar: Identity")
    desk.screen.click(*STATUS_BAR_CANCEL)  # nothing is there
    desk.screen.hover(700, 700)
    desk.screen.picture(artifacts / "gimp-window.png")
    assert daemon_jobs() == ["identity"] and desk.gimp.plugin_processes()
    desk.screen.press(window, "alt+c")
    wait_for(lambda: daemon_jobs() == [], 1, "the end of the job")
    assert desk.gimp.end()[0] == "CANCEL"
    assert desk.everything(image) == before


def test_cancel_in_the_dialog_sends_nothing(desk: Desk) -> None:
    image, layer = desk.picture(20, 20)
    before = desk.everything(image)
    desk.gimp.begin("samovar", "identity", image, [layer], "INTERACTIVE", seconds=60.0)
    desk.screen.press(desk.dialog("Samovar: Identity"), "Escape")
    assert desk.gimp.end()[0] == "CANCEL"
    assert daemon_jobs() == []
    assert desk.everything(image) == before


def test_what_a_run_would_use_is_loaded_while_the_dialog_is_open(
    desk: Desk, daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.gimp.show_daemon(daemon.connection_file.read_bytes())
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(daemon.connection_file))
    image, layer = desk.picture(20, 20)
    before = desk.everything(image)
    assert daemon_status().models == ()
    desk.gimp.begin("samovar", "denoise", image, [layer], "INTERACTIVE")
    dialog = desk.dialog("Samovar: Denoise")
    wait_for(lambda: daemon_status().models, 60, "the model")
    assert daemon_jobs() == []
    desk.screen.press(dialog, "Escape")
    assert desk.gimp.end()[0] == "CANCEL"
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
        desk.gimp.show_daemon(found)
    assert desk.everything(image) == before
