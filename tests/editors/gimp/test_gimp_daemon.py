"""The plug-in and the life of the daemon: not there, started, killed; and the plug-in killed, as GIMP's Cancel does."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from remote_gimp import RemoteGimp, daemon_jobs, wait_for

from samovar_link.messages import Limits

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow]


@pytest.fixture
def linked(daemon: Any, gimp: RemoteGimp, monkeypatch: pytest.MonkeyPatch) -> RemoteGimp:
    """A GIMP whose plug-in finds the daemon, as does `daemon_jobs` here."""
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(daemon.connection_file))
    gimp.show_daemon(daemon.connection_file.read_bytes())
    return gimp


def picture(gimp: RemoteGimp) -> tuple[int, int, list[Any]]:
    """An image, its layer, and all that must not change."""
    image = gimp.image(64, 48)
    layer = gimp.layer(image, "RGBA_IMAGE", 32, 32, 4, 4, "80604020" * 1024, "R'G'B'A u8")
    gimp.select(image, 6, 6, 10, 10)
    gimp.clean(image)
    return image, layer, [gimp.state(image), gimp.pixels(layer)]


def test_without_a_daemon_and_no_way_to_start_one_there_is_a_sentence_within_two_seconds(gimp: RemoteGimp) -> None:
    image, layer, before = picture(gimp)  # daemon.json names a Python that this root does not have
    status, message, seconds = gimp.samovar("upscale", image, [layer])
    assert status == "EXECUTION_ERROR"
    assert message.startswith("Samovar ") and "install" in message and "\n" not in message, message
    assert seconds < 2
    assert [gimp.state(image), gimp.pixels(layer)] == before


def test_a_daemon_that_ended_is_told_apart_from_a_job_that_failed(gimp: RemoteGimp, daemon: Any) -> None:
    gimp.show_daemon(daemon.connection_file.read_bytes())
    os.kill(daemon.pid, signal.SIGKILL)  # leaves its connection file behind
    daemon.process.wait(5)
    image, layer, before = picture(gimp)
    status, message, seconds = gimp.samovar("upscale", image, [layer])
    assert status == "EXECUTION_ERROR" and message.startswith("Samovar "), message
    assert seconds < 2
    assert [gimp.state(image), gimp.pixels(layer)] == before


def test_the_plug_in_starts_the_daemon_by_the_command_that_the_installation_left(
    gimp: RemoteGimp, start_daemon: Callable[..., Any]
) -> None:
    """The daemon lies outside of GIMP's root: what is run there rings a bell that this test answers."""
    bell, command = gimp.folder / "bell", gimp.folder / "start"
    command.write_text(f"#!/bin/sh\necho $2 >{bell}\nwhile [ -e {bell} ]; do sleep 0.05; done\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    left = (gimp.plugin / "daemon.json").read_text()
    (gimp.plugin / "daemon.json").write_text(json.dumps({"command": [str(command), "samovar"]}))
    image, layer, _ = picture(gimp)
    try:
        gimp.begin("samovar", "identity", image, [layer])
        wait_for(lambda: bell.exists() and bell.read_text(), 10, "the plug-in's call of the command")
        assert bell.read_text() == "serve\n"
        gimp.show_daemon(start_daemon().connection_file.read_bytes())
        bell.unlink()
        status, message, _ = gimp.end()
    finally:
        (gimp.plugin / "daemon.json").write_text(left)
    assert status == "SUCCESS", message
    assert len(gimp.state(image)["layers"]) == 2


def test_a_daemon_killed_in_the_middle_gives_one_sentence_and_leaves_the_image(linked: RemoteGimp, daemon: Any) -> None:
    image, layer, before = picture(linked)
    linked.begin("samovar", "identity", image, [layer], seconds=60.0)
    wait_for(lambda: daemon_jobs() == ["identity"], 20, "the job")
    workers = daemon.workers()
    os.kill(daemon.pid, signal.SIGKILL)
    status, message, _ = linked.end()
    assert status == "EXECUTION_ERROR"
    assert message.startswith("Samovar went away") and "\n" not in message, message
    assert [linked.state(image), linked.pixels(layer)] == before
    wait_for(lambda: not any(each.is_running() for each in workers), 10, "the worker's end")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])  # gone, or there but silent
def test_a_plug_in_that_dies_loses_its_job_within_four_seconds_and_leaves_the_image(
    linked: RemoteGimp, how: signal.Signals
) -> None:
    image, layer, before = picture(linked)
    linked.begin("samovar", "identity", image, [layer], seconds=60.0)
    wait_for(lambda: daemon_jobs() == ["identity"], 20, "the job")
    (process,) = linked.plugin_processes()
    process.send_signal(how)
    try:
        wait_for(lambda: daemon_jobs() == [], 4, "the end of the job")
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert linked.end()[0] != "SUCCESS"
    assert [linked.state(image), linked.pixels(layer)] == before


def test_a_plug_in_that_waits_for_gimp_keeps_its_job_longer_than_the_lease(linked: RemoteGimp) -> None:
    image, layer, _ = picture(linked)
    lease = Limits().lease_seconds
    linked.begin("samovar", "identity", image, [layer], seconds=lease + 2.0)
    wait_for(lambda: daemon_jobs(working=True) == ["identity"], 20, "the job")
    linked.process.send_signal(signal.SIGSTOP)  # as if it saved a large file
    time.sleep(lease + 1.0)
    linked.process.send_signal(signal.SIGCONT)
    status, message, took = linked.end()
    assert status == "SUCCESS" and took >= lease + 2.0, message
