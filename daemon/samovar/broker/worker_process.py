"""One life of the worker's process: started with its end of the channel, its stderr logged, ended."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from samovar import surroundings
from samovar.channel import Channel
from samovar.segment import SegmentPool

worker_log = logging.getLogger("samovar.worker")

_THREADS = {"OPENBLAS_NUM_THREADS": "1", "GOMP_SPINCOUNT": "1000"}
"""For scipy's and numpy's sums of vectors. Threads of their own, which go on waiting for work, would leave torch's half
of the processor: a step of a texture then takes 0.19 s instead of 0.12 s on two cores. And torch's threads are not to
turn in circles for each other where another program has one of the cores: convolutions take 0.67 s instead of 0.81 s
then, and many small steps 0.19 s instead of 0.28 s; with nothing beside them it makes no difference."""
COMMAND = (sys.executable, "-m", "samovar.worker.process")
_EXIT_SECONDS = 0.1  # the loop stands still so long at most
_READ_BYTES = 1 << 16
_LAST_READS = 16


class WorkerProcess:
    """A running worker: its process, the channel to it, and its stderr, which goes to the log line by line."""

    def __init__(self, command: Sequence[str], pool: SegmentPool) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = _start(command, theirs)
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        self._stderr = self.process.stderr
        if self._stderr is not None:
            os.set_blocking(self._stderr.fileno(), False)  # type: ignore[attr-defined,unused-ignore]  # not on Windows
        self.channel = Channel(ours, pool)
        self.ready = False
        self._tail = b""
        self._closed = False

    def descriptors(self) -> list[int]:
        """What to poll: the channel, then stderr if it is ours to read."""
        return [self.channel.fileno(), *([self._stderr.fileno()] if self._stderr else [])]

    def read_log(self) -> bool:
        """Pass on what it wrote to stderr; False when it has closed it."""
        if self._stderr is None:
            return False
        try:
            data = os.read(self._stderr.fileno(), _READ_BYTES)
        except BlockingIOError:
            return True
        *lines, self._tail = (self._tail + data).split(b"\n")
        if not data:
            lines, self._tail = [self._tail], b""
        for line in lines:
            _log_line(line.decode(errors="replace").rstrip())
        return bool(data)

    def close(self) -> None:
        """Hang up: the worker sees the end of the channel and exits."""
        if not self._closed:
            self._closed = True
            for _ in range(_LAST_READS):  # bounded: a child of the worker may hold its end open and write on
                if not self.read_log():
                    break
            self.channel.close()
            if self._stderr is not None:
                self._stderr.close()

    def reason(self) -> str:
        """Why it ended, in words. It is ending or has ended, for its channel is closed."""
        try:
            code = self.process.wait(timeout=_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return "it hung up"
        if code < 0:
            return signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"exit code {code}"


def _start(command: Sequence[str], channel: socket.socket) -> subprocess.Popen[bytes]:
    """Start it and hand it its end of the channel: as a descriptor, on Windows (not tested yet) through its stdin."""
    broker_pid = str(os.getpid())
    environment = {**_THREADS, **surroundings.environment()}
    if sys.platform == "win32":
        process = subprocess.Popen(
            [*command, "stdin", broker_pid], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment,
            cwd=surroundings.FOLDER,
        )  # fmt: skip
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(channel.share(process.pid))
        return process
    return subprocess.Popen(
        [*command, str(channel.fileno()), broker_pid],
        env=environment, cwd=surroundings.FOLDER, pass_fds=[channel.fileno()],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the daemon's terminal is for the daemon, which ends the worker
    )  # fmt: skip


def _log_line(line: str) -> None:
    level, _, text = line.partition(" ")
    number = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}.get(level)
    if number is not None:
        worker_log.log(number, "%s", text)
    elif line:
        worker_log.warning("%s", line)
