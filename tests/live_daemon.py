"""A real daemon in a home of its own, for tests of any kind. The fixtures in `conftest.py` start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from samovar_link.discovery import FILE_NAME, ConnectionFile

START_SECONDS = 20.0


@dataclass
class Daemon:
    """A daemon that a test started."""

    home: Path
    process: subprocess.Popen[str]
    environment: dict[str, str] = field(repr=False)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def connection_file(self) -> Path:
        return self.home / FILE_NAME

    @property
    def connection(self) -> ConnectionFile:
        return ConnectionFile.read(self.connection_file)

    @property
    def log(self) -> str:
        return (self.home / "log" / "samovar.log").read_text()

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def end(self) -> None:
        """SIGTERM, and SIGKILL if that is not enough; its workers must not outlive it."""
        workers = self.workers()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
            raise
        finally:
            _, alive = psutil.wait_procs(workers, timeout=3)
            for worker in alive:
                worker.kill()
        assert not alive, "the daemon left a worker behind"


def environment_for(home: Path) -> dict[str, str]:
    """The environment of a program that is to see only the daemon of this home."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAMOVAR_")}
    return {**inherited, "SAMOVAR_HOME": str(home), "SAMOVAR_RUNTIME": "torch f32"}  # the same pixels everywhere


@contextmanager
def running_daemon(home: Path, *arguments: str, **environment: str) -> Iterator[Daemon]:
    """A daemon in the foreground that answers, ended afterwards."""
    environment = {**environment_for(home), **environment}
    log = home.parent / f"{home.name}.stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "samovar.broker", *arguments],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr, text=True,
        )  # fmt: skip
    daemon = Daemon(home, process, environment)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_its_own(daemon):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the daemon did not start:\n{log.read_text()}")
            time.sleep(0.005)
        yield daemon
    finally:
        daemon.end()


def _is_its_own(daemon: Daemon) -> bool:
    try:
        return daemon.connection.pid == daemon.pid
    except FileNotFoundError:
        return False
