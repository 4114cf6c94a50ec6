"""The client against the real daemon: only what a stand-in cannot show."""

from __future__ import annotations

import os
import random
import secrets
import signal
import sys
import threading
import time
from typing import Protocol

import pytest

from samovar_link import Client, DaemonUnavailable, Raster, Run, connect, connect_or_start
from samovar_link.discovery import ConnectionFile
from samovar_link.messages import Done, Progress, Rectangle, Stop, Stopping


class Daemon(Protocol):
    """Of tests/conftest.py."""

    pid: int
    environment: dict[str, str]

    @property
    def connection(self) -> ConnectionFile: ...


@pytest.fixture
def here(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """The daemon that `connect` will find."""
    monkeypatch.setenv("SAMOVAR_HOME", daemon.environment["SAMOVAR_HOME"])
    monkeypatch.delenv("SAMOVAR_CONNECTION_FILE", raising=False)
    return daemon


def identity(side: int) -> tuple[Run, list[bytes]]:
    run = Run(secrets.token_hex(16), "identity", images={"image": Raster(side, side, 4)})
    return run, [secrets.token_bytes(side * side * 4)]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["ipc", "tcp"])
def test_a_layer_goes_through_the_daemon_and_back(here: Daemon, scheme: str) -> None:
    endpoints = tuple(endpoint for endpoint in here.connection.endpoints if endpoint.startswith(scheme))
    assert endpoints, f"the daemon has no {scheme} endpoint"
    connection = ConnectionFile(pid=here.pid, token=here.connection.token, endpoints=endpoints)
    with Client(connection, name="test", version="1") as client:
        for side in (1, 63, 512):
            run, frames = identity(side)
            done, images = client.run(run, frames)
            assert isinstance(done, Done) and images[done.images["image"].frame] == frames[0]


@pytest.mark.slow
def test_finished_tiles_come_before_the_end_and_are_parts_of_it(here: Daemon) -> None:
    raster = Raster(300, 560, 3, x=10, y=-20)
    run = Run(
        "streamed", "upscale", {"model": "waifu2x/upconv7-art"}, {"image": raster}, stream=True,
        viewport=Rectangle(500, 200, 60, 60),
    )  # fmt: skip
    shown: list[tuple[Raster, Raster | None, bytes]] = []

    def show(progress: Progress, parts: list[memoryview]) -> None:
        if parts:
            shown.append((progress.images["image"], progress.whole, bytes(parts[0])))

    with connect("test", "1") as client:
        done, frames = client.run(run, [random.Random(2).randbytes(raster.size_bytes)], show)
    assert isinstance(done, Done)
    whole = done.images["image"]
    assert len(shown) == done.report.tiles.total > 3
    assert (shown[0][0].x + shown[0][0].width, shown[0][0].y + shown[0][0].height) == (1140, 560)  # lower right
    for part, of, pixels in shown:
        assert of == whole
        for row in (0, part.height - 1):
            start = ((part.y - whole.y + row) * whole.width + part.x - whole.x) * 3
            row_bytes = part.width * 3
            assert pixels[row * row_bytes : (row + 1) * row_bytes] == frames[0][start : start + row_bytes]


@pytest.mark.slow
def test_a_daemon_killed_during_a_run_is_noticed_at_once(here: Daemon) -> None:
    with connect("test", "1") as client:
        killed: list[float] = []

        def kill() -> None:
            os.kill(here.pid, signal.SIGKILL)
            killed.append(time.monotonic())

        threading.Timer(0.2, kill).start()
        with pytest.raises(DaemonUnavailable, match="went away .*start it again with: samovar serve --detach"):
            while True:  # the worker is still starting, or it is between two of these
                client.run(*identity(512))
        assert time.monotonic() - killed[0] < 1.0


@pytest.mark.slow
def test_a_killed_daemon_leaves_one_sentence_within_two_seconds(here: Daemon) -> None:
    os.kill(here.pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(DaemonUnavailable, match="start it again with: samovar serve --detach"):
        while True:
            connect("test", "1").close()
    assert time.monotonic() - start < 2.0


@pytest.mark.slow
def test_a_stopped_process_is_named_within_two_seconds(here: Daemon) -> None:
    os.kill(here.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        with pytest.raises(DaemonUnavailable, match=rf"\(process {here.pid}\) did not answer within 1 s"):
            connect("test", "1", deadline_seconds=1.0)
        assert time.monotonic() - start < 2.0
    finally:
        os.kill(here.pid, signal.SIGCONT)


@pytest.mark.slow
def test_a_token_of_yesterday_is_refused(here: Daemon) -> None:
    old = ConnectionFile(pid=here.pid, token="0" * 64, endpoints=here.connection.endpoints)
    with Client(old, name="test", version="1") as client, pytest.raises(DaemonUnavailable, match="refused this client"):
        client.receive(5)


@pytest.mark.slow
def test_stop_says_goodbye_and_then_is_gone(here: Daemon) -> None:
    with connect("test", "1") as client:
        client.send(Stop())
        assert isinstance(client.receive(5)[0], Stopping)
        with pytest.raises(DaemonUnavailable, match="went away"):
            client.receive(5)


@pytest.mark.slow
def test_the_real_program_is_started_when_none_runs(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("s")  # short: it holds a socket
    monkeypatch.setenv("SAMOVAR_HOME", str(home))
    monkeypatch.delenv("SAMOVAR_CONNECTION_FILE", raising=False)
    with connect_or_start("test", "1", [sys.executable, "-m", "samovar"]) as client:
        assert client.welcome is not None
        pid = client.welcome.pid
        client.send(Stop())
        with pytest.raises(DaemonUnavailable):
            while True:
                client.receive(5)
    end = time.monotonic() + 5
    while _lives(pid) and time.monotonic() < end:
        time.sleep(0.01)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
