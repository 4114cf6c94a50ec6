"""Restore in GIMP: the picture gets better in the image itself, *Use This* keeps what shows, Cancel leaves nothing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from desk import Desk
from remote_gimp import daemon_jobs, daemon_status, wait_for

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "Restore (deep-image-prior/fast)"
SIDE = 256


def noisy(desk: Desk, opaque: bool = True) -> tuple[int, int]:
    """An image with a noisy picture as its only layer."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    clean = 128 + 80 * np.sin(y / 9)[..., None] * np.cos(x / 7)[..., None].repeat(4, 2)
    pixels = np.clip(clean + np.random.default_rng(0).normal(0, 25, clean.shape), 0, 255).astype(np.uint8)
    pixels[..., 3] = 255
    if not opaque:
        pixels[:20, :, 3] = 0
    image = desk.gimp.image(SIDE, SIDE)
    layer = desk.gimp.layer(image, "RGBA_IMAGE", SIDE, SIDE, 0, 0, pixels.tobytes().hex(), "R'G'B'A u8")
    desk.gimp.clean(image)
    desk.gimp.show(image)
    return image, layer


def names(desk: Desk, image: int) -> list[str]:
    return [each["name"] for each in desk.gimp.state(image)["layers"]]


def spread(pixels: bytes) -> float:
    """How much neighbours differ."""
    values = np.frombuffer(bytes(pixels), np.uint8).reshape(SIDE, SIDE, 4)[..., :3].astype(float)
    return float(np.abs(np.diff(values, axis=1)).mean())


def test_it_shows_gets_better_and_use_this_keeps_it(desk: Desk, artifacts: Path) -> None:
    image, _ = noisy(desk)
    before = desk.everything(image)
    desk.choose_filter("restore", artifacts / "gimp-restore-menu.png")
    dialog = desk.dialog("Samovar: Restore")
    desk.screen.picture(artifacts / "gimp-restore-dialog.png")
    desk.screen.press(dialog, "alt+o")
    desk.screen.wait_gone(dialog)
    wait_for(lambda: names(desk, image)[0] == "Restore…", 60, "the picture while it gets better")
    first = desk.everything(image)[1][0]
    wait_for(lambda: desk.everything(image)[1][0] != first, 20, "a better one")
    window = desk.dialog("Samovar: Restore")
    desk.screen.picture(artifacts / "gimp-restore-live.png")
    desk.screen.press(window, "alt+u")
    wait_for(lambda: names(desk, image) == [NAME, before[0]["layers"][0]["name"]], 20, "the result")
    wait_for(lambda: not desk.gimp.plugin_processes(), 10, "the end of the plug-in")
    after = desk.everything(image)
    desk.screen.picture(artifacts / "gimp-restore-result.png")
    assert after[1][1] == before[1][0], "the layer itself is as it was"
    assert spread(bytes.fromhex(after[1][0])) < 0.6 * spread(bytes.fromhex(before[1][0]))
    assert daemon_jobs() == []
    desk.press("ctrl+z")
    wait_for(lambda: desk.everything(image) == before, 5, "undo of all of it")


def test_cancel_takes_what_showed_out_again(desk: Desk) -> None:
    image, _ = noisy(desk)
    before = desk.everything(image)
    desk.work("restore", seconds=600)
    wait_for(lambda: names(desk, image)[0] == "Restore…", 60, "the picture while it gets better")
    desk.screen.press(desk.dialog("Samovar: Restore"), "alt+c")
    wait_for(lambda: not desk.gimp.plugin_processes(), 10, "the end of the plug-in")
    assert desk.everything(image) == before
    wait_for(lambda: daemon_jobs() == [], 5, "the end of the job")


@pytest.mark.parametrize("opaque", [True, False])
def test_what_is_selected_is_filled_and_nothing_else(desk: Desk, opaque: bool) -> None:
    image, layer = noisy(desk, opaque)
    before = desk.gimp.pixels(layer)
    desk.gimp.select(image, 30, 40, 20, 16)
    status, message, _ = desk.gimp.samovar("restore", image, [layer], mode="inpaint", iterations=3)
    assert status == "SUCCESS", message
    assert desk.gimp.pixels(layer) == before
    state = desk.gimp.state(image)
    assert len(state["layers"]) == 2 and state["layers"][0]["name"] == NAME


@pytest.mark.parametrize(("scope", "size"), [("image", [2 * SIDE, 2 * SIDE]), ("layer", [SIDE, SIDE])])
def test_enlarging_scales_the_image_or_leaves_it(desk: Desk, scope: str, size: list[int]) -> None:
    image, layer = noisy(desk)
    status, message, _ = desk.gimp.samovar("restore", image, [layer], mode="upscale", iterations=2, scope=scope)
    assert status == "SUCCESS", message
    state = desk.gimp.state(image)
    assert state["size"] == size and state["layers"][0]["size"] == [2 * SIDE, 2 * SIDE]


def test_filling_without_a_selection_is_one_sentence(desk: Desk) -> None:
    image, layer = noisy(desk)
    status, message, _ = desk.gimp.samovar("restore", image, [layer], mode="inpaint", iterations=2)
    assert status != "SUCCESS" and message == "Nothing is selected; select what is to be filled."


def test_a_job_whose_program_was_killed_is_taken_up(desk: Desk, artifacts: Path) -> None:
    image, _ = noisy(desk)
    before = desk.everything(image)
    desk.work("restore", seconds=600)
    wait_for(lambda: names(desk, image)[0] == "Restore…", 60, "the picture while it gets better")
    for process in desk.gimp.plugin_processes():
        process.kill()  # as at GIMP's own end
    wait_for(lambda: any(each.orphan for each in daemon_status().jobs), 20, "the job without its client")
    shown = desk.gimp.state(image)["layers"]
    desk.gimp.begin("samovar", "jobs", image, [shown[-1]["id"]], "INTERACTIVE")
    window = desk.dialog("Samovar: Jobs")
    desk.screen.picture(artifacts / "gimp-jobs.png")
    wait_for(lambda: not any(each.orphan for each in daemon_status().jobs), 20, "somebody who waits for it")
    time.sleep(3)  # until something better comes, which the button waits for
    desk.screen.press(window, "alt+u")
    status, message, _ = desk.gimp.end()
    assert status == "SUCCESS", message
    assert NAME in names(desk, image) and desk.gimp.pixels(shown[-1]["id"]) == before[1][0]
    assert daemon_jobs() == []


def test_no_job_to_take_up_is_one_sentence(desk: Desk) -> None:
    image, layer = noisy(desk)
    status, message, _ = desk.gimp.samovar("jobs", image, [layer])
    assert status != "SUCCESS" and message.startswith("No job waits to be taken up")
