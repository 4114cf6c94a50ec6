"""The worker as a child process: started at the first job, watched, ended.

`WorkerProcess` is one life of it; `WorkerSlot` is the place such a process has in the daemon, empty or not, and what
the dispatcher talks to. A job whose pixels are still being copied, or whose worker is still importing torch, is simply
on its way: the channel holds it until it is read.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from samovar.broker.job import Pixels
from samovar.broker.mover import Mover
from samovar.channel import Channel, Ready, Said
from samovar.segment import Block, SegmentPool
from samovar_link.errors import BadRequest, InternalError, OutOfMemory, ProtocolError, RemoteError
from samovar_link.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    Refused,
    Run,
    Stop,
    Unload,
    Unloaded,
    Warm,
    Warmed,
)  # fmt: skip

log = logging.getLogger(__name__)
worker_log = logging.getLogger("samovar.worker")

COMMAND = (sys.executable, "-m", "samovar.worker.process")
_END_SECONDS = 3.0
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
    if sys.platform == "win32":
        process = subprocess.Popen([*command, "stdin", broker_pid], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(channel.share(process.pid))
        return process
    return subprocess.Popen(
        [*command, str(channel.fileno()), broker_pid],
        pass_fds=[channel.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in the daemon's terminal is for the daemon, which ends the worker
    )  # fmt: skip


def _log_line(line: str) -> None:
    level, _, text = line.partition(" ")
    number = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}.get(level)
    if number is not None:
        worker_log.log(number, "%s", text)
    elif line:
        worker_log.warning("%s", line)


@dataclass
class _Leaving:
    """A worker on its way out. deadline : when it is killed; gone : called when it has ended"""

    process: subprocess.Popen[bytes]
    deadline: float
    gone: Callable[[], None]


class WorkerSlot:
    """Where the worker is, or will be.

    Set `said` and `gone` before use: they take the worker's messages and the news of its unexpected end. `watch` is
    told of each process so that the loop can poll its channel and stderr.
    """

    def __init__(self, pool: SegmentPool, mover: Mover, command: Sequence[str] = COMMAND) -> None:
        self.said: Callable[[Said, list[Block]], None] = lambda message, blocks: None
        self.gone: Callable[[str], None] = lambda reason: None
        self.current: WorkerProcess | None = None
        self._pool = pool
        self._mover = mover
        self._command = command
        self._leaving: list[_Leaving] = []
        self._job: Run | None = None
        self._asked = 0
        self._cancelled_early = False
        self._failed: Failed | None = None

    @property
    def state(self) -> str:
        if self.current is None:
            return "none"
        if not self.current.ready:
            return "starting"
        return "busy" if self._job is not None or self._asked else "idle"

    @property
    def pid(self) -> int:
        return self.current.process.pid if self.current else 0

    # --- what the dispatcher asks for ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the worker if there is none. Raises InternalError."""
        if self.current is not None:
            return
        try:
            self.current = WorkerProcess(self._command, self._pool)
        except OSError as error:
            raise InternalError(f"the worker cannot be started: {error}", "try again later") from error
        log.info("worker started, pid %d", self.pid)

    def run(self, run: Run, pixels: Pixels) -> None:
        """Start a job, and the worker first if there is none."""
        self._job = run
        self._cancelled_early = False
        try:
            self.start()
            if pixels.moving:
                return
            if pixels.blocks is None:
                self._mover.move(pixels, lambda: self._deliver(run, pixels))
                return
        except InternalError as error:
            self._fail(run, error)
            return
        except MemoryError as error:
            self._fail(run, OutOfMemory(str(error), "work on a smaller part"))
            return
        self._deliver(run, pixels)

    def _fail(self, run: Run, error: RemoteError) -> None:
        log.error("job %s: %s", run.job, error)
        self._failed = Failed(run.job, error.code, error.message, error.hint)  # the caller is not done yet

    def _deliver(self, run: Run, pixels: Pixels) -> None:
        """The pixels are in shared memory: tell the worker, if the job is still its job."""
        if self._job is not run or self.current is None:
            return
        if self._cancelled_early:
            self._job = None
            self.said(Cancelled(run.job), [])
            return
        self.current.channel.send(run, pixels.blocks or ())

    def cancel(self, job: str) -> None:
        """Stop a job. The worker's last word on it comes through `said`."""
        self._cancelled_early = True
        if self.current is not None:
            self.current.channel.send(Cancel(job))

    def ask(self, question: Warm | Unload) -> None:
        """Have it done before the next job is taken up. `Warmed`, `Unloaded` or `Refused` comes through `said`."""
        assert self.current is not None
        self._asked += 1
        self.current.channel.send(question)

    def kill(self) -> None:
        """It does not stop what it does. Its end is reported like any other."""
        if self.current is not None:
            self.current.process.kill()

    def retire(self, gone: Callable[[], None] = lambda: None) -> None:
        """End the worker, and call `gone` when it has ended. A job that comes now gets a new one."""
        process = self.current
        if process is None:
            gone()
            return
        process.channel.send(Stop())
        self._leave(process, gone)

    def _leave(self, process: WorkerProcess, gone: Callable[[], None] = lambda: None) -> None:
        process.close()
        self._leaving.append(_Leaving(process.process, time.monotonic() + _END_SECONDS, gone))
        self.current = self._job = None
        self._asked = 0

    @property
    def leaving(self) -> bool:
        """Whether a worker that was told to end is still there."""
        return bool(self._leaving)

    # --- what the loop does -------------------------------------------------------------------------------------------

    def read(self) -> None:
        """The channel is readable."""
        process = self.current
        if process is None:
            return
        try:
            packets = process.channel.receive()
        except (EOFError, ProtocolError, BadRequest) as error:
            if not isinstance(error, EOFError):
                log.error("the worker sent what is no message: %s", error)
                process.process.kill()
            self._lost(process)
            return
        for message, blocks in packets:
            if isinstance(message, Ready):
                process.ready = True
            if isinstance(message, (Done, Failed, Cancelled)):
                self._job = None
            if isinstance(message, (Warmed, Unloaded, Refused)):
                self._asked -= 1
            self.said(message, blocks)

    def _lost(self, process: WorkerProcess) -> None:
        reason = process.reason()
        self._leave(process)
        self.gone(reason)

    def tick(self) -> None:
        """Report a job that could not be started; collect workers that were told to end, and kill one that does not."""
        failed, self._failed = self._failed, None
        if failed is not None:
            self._job = None
            self.said(failed, [])
        now = time.monotonic()
        for each in list(self._leaving):
            if each.process.poll() is not None:
                self._leaving.remove(each)
                each.gone()
            elif now > each.deadline:
                log.warning("the worker %d did not end by itself: killed", each.process.pid)
                each.process.kill()

    def close(self) -> None:
        """End the worker and wait for it; at the daemon's end."""
        self.retire()
        for each in self._leaving:
            try:
                each.process.wait(timeout=max(0.0, min(each.deadline - time.monotonic(), 0.5)))
            except subprocess.TimeoutExpired:
                each.process.kill()
                each.process.wait()
        self._leaving.clear()
