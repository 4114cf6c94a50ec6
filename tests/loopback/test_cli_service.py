"""The command that `samovar service` writes, carried out; and the log of a daemon that runs, followed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, Queue

import pytest
from peer import SMALL_PIXELS, Peer, small, wait_for_progress

from live_daemon import Daemon, environment_for
from samovar.install.service import SYSTEMD, describe
from samovar_link.discovery import FILE_NAME, ConnectionFile
from samovar_link.messages import Done, Welcome

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="systemd is no matter here")
def test_the_units_command_starts_a_daemon_that_tells_systemd_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a home"
    monkeypatch.setenv("SAMOVAR_HOME", str(home))
    text = describe(SYSTEMD).text
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    variables = dict(re.findall(r'^Environment="(\w+)=(.*)"$', text, re.MULTILINE))
    assert variables["SAMOVAR_HOME"] == str(home)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        process = subprocess.Popen(
            shlex.split(line), env={**environment_for(home), **variables, "NOTIFY_SOCKET": str(tmp_path / "notify")},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert manager.recv(100) == b"READY=1"
            connection = ConnectionFile.read(home / FILE_NAME)
            assert connection.pid == process.pid
            with Peer(connection) as peer:
                assert isinstance(peer.welcome, Welcome)
                assert isinstance(peer.run(small(), SMALL_PIXELS)[0], Done)
                worker = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                if worker.exists():
                    child = worker.read_text().split()[0]
                    assert b"NOTIFY_SOCKET" not in Path(f"/proc/{child}/environ").read_bytes()
            process.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()


def test_the_log_is_followed_while_a_worker_crashes(daemon: Daemon) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "samovar", "logs", "--follow", "-n", "1000"], env=daemon.environment,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: Queue[str] = Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True).start()
    seen: list[str] = []

    def wait_for(words: str) -> None:
        while not any(words in line for line in seen):
            try:
                seen.append(lines.get(timeout=30))
            except Empty:
                raise AssertionError(f"{words!r} was not shown: {seen}") from None

    try:
        wait_for(f"serves, pid {daemon.pid}")
        with Peer(daemon.connection) as peer:
            job = small(seconds=2.0)
            peer.send(job, SMALL_PIXELS)
            wait_for_progress(peer)
            os.kill(daemon.workers()[0].pid, signal.SIGSEGV)
            wait_for("Fatal Python error: Segmentation fault")
            wait_for("File ")
            wait_for(f"job {job.job}: the worker died: SIGSEGV")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        process.stdout.close()
    assert process.returncode == 130
