"""Daemons that start where another one is, was, or is of another version."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from ground import COMMAND

import samovar
from live_daemon import environment_for, running_daemon
from samovar import lock
from samovar_link import Client, DaemonUnavailable, InternalError, discovery, launch
from samovar_link.discovery import FILE_NAME, ConnectionFile
from samovar_link.messages import Done, Progress, Raster, Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

OLD = "import sys, samovar; samovar.__version__ = '0.0.1'; "
"""Before anything reads it: a daemon that was started before the update."""
FOREIGN = (
    "import samovar.broker.reception as r; from samovar_link.discovery import ConnectionFile as File; r.PROTOCOL = 0; "
    "write = File.write; File.write = lambda self, path: (object.__setattr__(self, 'protocol', 0), write(self, path)); "
)
SERVE = "from samovar.broker import serve; sys.exit(serve())"
BEFORE_THE_UPDATE = "import pathlib, samovar.broker.worker as w; w._PACKAGE = pathlib.Path('/nowhere'); "
PIXELS = bytes(range(48))


def identity(seconds: float = 0.0, keep_result: bool = False) -> Run:
    raster = Raster(4, 4, 3)
    return Run(secrets.token_hex(8), "identity", {"seconds": seconds}, {"image": raster}, keep_result=keep_result)


@contextlib.contextmanager
def old_daemon(home: Path, program: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", program], env=environment_for(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: (home / FILE_NAME).exists() and ConnectionFile.read(home / FILE_NAME).pid == process.pid)
        yield process
    finally:
        process.kill()
        process.wait(10)


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], env=environment_for(home), capture_output=True, text=True, timeout=60)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where no daemon is left running."""
    yield tmp_path / "home"
    run(tmp_path / "home", "stop")


def client(home: Path) -> Client:
    return Client(ConnectionFile.read(home / FILE_NAME), name="test", version="1")


# --- killed ones ----------------------------------------------------------------------------------------------------


def test_the_file_of_a_killed_daemon_is_not_taken_for_the_one_that_is_just_starting(home: Path) -> None:
    home.mkdir()
    with (
        lock.held(home / lock.NAME),  # as a daemon does that has not come as far as to write its file
        socket.create_server(("127.0.0.1", 0)) as gone,
    ):
        ConnectionFile(1, "old", (f"tcp://127.0.0.1:{gone.getsockname()[1]}",)).write(home / FILE_NAME)
        second = subprocess.Popen(
            [*COMMAND, "serve", "--detach"], env=environment_for(home), stdout=subprocess.PIPE, text=True
        )
        gone.settimeout(30)
        for _ in range(2):  # it asks, hears nothing, and asks again
            gone.accept()[0].close()
        assert second.poll() is None
    out, _ = second.communicate(timeout=30)  # the other was killed before it got so far: its place is free
    assert second.returncode == 0 and out.startswith("samovar serves")
    with client(home) as found:
        assert isinstance(found.run(identity(), [PIXELS])[0], Done)


def test_a_daemon_that_hangs_is_said_with_its_number(home: Path) -> None:
    with running_daemon(home) as daemon:
        process = psutil.Process(daemon.pid)
        process.suspend()
        try:
            second = run(home, "serve", "--detach")
        finally:
            process.resume()
    assert second.returncode == 1
    assert f"another Samovar (pid {daemon.pid}) holds" in second.stderr and "does not answer" in second.stderr


def test_a_token_that_a_killed_daemon_left_half_written_is_removed(home: Path) -> None:
    home.mkdir()
    (home / f"{FILE_NAME}x1y2z3").write_text('{"token": ')
    with running_daemon(home):
        assert [each.name for each in home.glob(f"{FILE_NAME}*")] == [FILE_NAME]


def test_one_that_is_killed_while_it_starts_is_said_to_have_ended(home: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif '--let-go' in sys.orig_argv:\n    os.kill(os.getpid(), 9)\n"
    )
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    started = subprocess.run(
        [*COMMAND, "serve", "--detach"], env={**environment_for(home), "PYTHONPATH": path}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert started.returncode == 1
    assert started.stderr == "samovar: The daemon ended while it started; see: samovar doctor\n"


def test_what_a_killed_broker_ran_beside_its_worker_ends_though_it_stands_still(tmp_path: Path) -> None:
    """As a training does while a job runs."""
    program = (
        "import time; from samovar.broker.errands import Errands; errands = Errands(lambda: None)\n"
        "errand = errands.start(['serve'], print, print); time.sleep(3); errand.pause()\n"
        "print(errand._process.pid, flush=True); time.sleep(600)"
    )
    broker = subprocess.Popen(
        [sys.executable, "-c", program], env=environment_for(tmp_path), stdout=subprocess.PIPE, text=True
    )
    assert broker.stdout is not None
    with broker.stdout:
        errand = psutil.Process(int(broker.stdout.readline()))
        assert errand.status() == psutil.STATUS_STOPPED
        broker.kill()
        broker.wait()
    try:
        until(lambda: not errand.is_running() or errand.status() == psutil.STATUS_ZOMBIE, 5)
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            errand.kill()


def test_a_connection_file_that_somebody_removed_is_written_anew(home: Path) -> None:
    with running_daemon(home) as daemon:
        before = daemon.connection
        daemon.connection_file.unlink()
        until(daemon.connection_file.exists)
        assert daemon.connection == before
        with client(home) as found:
            assert isinstance(found.run(identity(), [PIXELS])[0], Done)
    assert not daemon.connection_file.exists()


# --- updates --------------------------------------------------------------------------------------------------------


def test_a_new_client_works_with_an_old_daemon_of_its_protocol(home: Path) -> None:
    with old_daemon(home, OLD + BEFORE_THE_UPDATE + SERVE), client(home) as found:
        assert isinstance(found.run(identity(), [PIXELS])[0], Done)
        assert found.welcome is not None and found.welcome.version == "0.0.1"


def test_after_an_update_no_worker_is_started_that_the_old_daemon_does_not_know(home: Path) -> None:
    with (
        old_daemon(home, OLD + SERVE),
        client(home) as found,
        pytest.raises(InternalError, match=rf"updated to {samovar.__version__} while 0.0.1 runs.*samovar stop"),
    ):
        found.run(identity(), [PIXELS])


def test_a_newer_daemon_takes_the_place_of_an_older_one_that_has_nothing_to_do(home: Path) -> None:
    with old_daemon(home, OLD + SERVE) as old:
        started = run(home, "serve", "--detach")
        assert started.returncode == 0 and started.stdout.startswith("samovar serves"), started
        assert old.wait(5) == 0
        with client(home) as found:
            assert isinstance(found.run(identity(), [PIXELS])[0], Done)
            assert found.welcome is not None and found.welcome.version == samovar.__version__


def test_an_older_one_at_work_is_left_alone_and_said(home: Path) -> None:
    with old_daemon(home, OLD + BEFORE_THE_UPDATE + SERVE) as old, client(home) as found:
        job = identity(60, keep_result=True)  # on a slow machine a lease is over before the other has looked
        found.send(job, [PIXELS])
        while not isinstance(found.receive(20)[0], Progress):
            pass
        started = run(home, "serve", "--detach")
        assert old.poll() is None
    assert started.returncode == 0 and f"already running: pid {old.pid}" in started.stdout
    assert "it is Samovar 0.0.1" in started.stdout and "samovar stop && samovar serve" in started.stdout


def test_one_of_another_protocol_is_said_and_can_be_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(home))
    with old_daemon(home, OLD + FOREIGN + SERVE) as old:
        with pytest.raises(DaemonUnavailable, match="0.0.1 speaks protocol 0, this .* samovar stop"):
            discovery.find()
        with pytest.raises(DaemonUnavailable, match=rf"Samovar 0.0.1 speaks protocol 0 \(pid {old.pid}\)"):
            launch.connect_or_start("test", "1", COMMAND)
        stopped = run(home, "stop")
        assert (stopped.returncode, stopped.stdout) == (0, "Samovar has stopped.\n"), stopped
        assert old.wait(5) == 0
    launch.connect_or_start("test", "1", COMMAND).close()
