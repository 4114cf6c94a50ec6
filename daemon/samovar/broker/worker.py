"""Where the worker is in the daemon, or will be: started at the first job, watched, ended.

`WorkerProcess` is one life of it; `WorkerSlot` is the place such a process has, and what the dispatcher talks to. A job
whose pixels are still being copied, or whose worker is still importing torch, is simply on its way: the channel holds
it until it is read.
"""

from __future__ import annotations

import logging
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import samovar
from samovar.broker.job import Pixels
from samovar.broker.mover import Mover
from samovar.broker.worker_process import COMMAND, WorkerProcess
from samovar.channel import Ready, Said
from samovar.segment import Block, SegmentPool
from samovar_link.errors import BadRequest, InternalError, OutOfMemory, ProtocolError, RemoteError
from samovar_link.messages import (
    Cancel,
    Cancelled,
    Done,
    Enough,
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
_END_SECONDS = 3.0
_PACKAGE = Path(samovar.__file__)


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
        self._runs: dict[str, Run] = {}
        self._asked = 0
        self._cancelled_early: set[str] = set()
        self._failed: list[Failed] = []

    @property
    def state(self) -> str:
        if self.current is None:
            return "none"
        if not self.current.ready:
            return "starting"
        return "busy" if self._runs or self._asked else "idle"

    @property
    def pid(self) -> int:
        return self.current.process.pid if self.current else 0

    # --- what the dispatcher asks for ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the worker if there is none. Raises InternalError."""
        if self.current is not None:
            return
        _check_not_updated()
        try:
            self.current = WorkerProcess(self._command, self._pool)
        except OSError as error:
            raise InternalError(f"the worker cannot be started: {error}", "try again later") from error
        log.info("worker started, pid %d", self.pid)

    def run(self, run: Run, pixels: Pixels) -> None:
        """Start a job, and the worker first if there is none. One that comes while another runs goes ahead of it."""
        self._runs[run.job] = run
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
        self._failed.append(Failed(run.job, error.code, error.message, error.hint))  # the caller is not done yet

    def _deliver(self, run: Run, pixels: Pixels) -> None:
        """The pixels are in shared memory: tell the worker, if the job is still its job."""
        if self._runs.get(run.job) is not run or self.current is None:
            return
        if run.job in self._cancelled_early:
            self._forget(run.job)
            self.said(Cancelled(run.job), [])
            return
        try:
            self.current.channel.send(run, pixels.blocks or ())
        except MemoryError as error:
            self._fail(run, OutOfMemory(str(error), "try again when other jobs are done"))

    def _forget(self, job: str) -> None:
        self._runs.pop(job, None)
        self._cancelled_early.discard(job)

    def cancel(self, job: str) -> None:
        """Stop a job. The worker's last word on it comes through `said`."""
        self._cancelled_early.add(job)
        if self.current is not None:
            self.current.channel.send(Cancel(job))

    def enough(self, job: str) -> None:
        """Have a job end with what there is."""
        if self.current is not None:
            self.current.channel.send(Enough(job))

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
        self.current = None
        self._runs.clear()
        self._cancelled_early.clear()
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
                log.error("the worker is ended, for what it sent cannot be read: %s", error)
                process.process.kill()
            self._lost(process)
            return
        for message, blocks in packets:
            if isinstance(message, Ready):
                process.ready = True
            if isinstance(message, (Done, Failed, Cancelled)):
                self._forget(message.job)
            if isinstance(message, (Warmed, Unloaded, Refused)):
                self._asked = max(0, self._asked - 1)  # whatever it says
            self.said(message, blocks)

    def _lost(self, process: WorkerProcess) -> None:
        reason = process.reason()
        self._leave(process)
        self.gone(reason)

    def tick(self) -> None:
        """Report a job that could not be started; collect workers that were told to end, and kill one that does not."""
        failures, self._failed = self._failed, []
        for failed in failures:
            self._forget(failed.job)
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


def _check_not_updated() -> None:
    """A worker is started from what is installed, and would not understand a broker of another version.

    Raises InternalError.
    """
    try:
        found = re.search(r'^__version__ = "([^"]+)"', _PACKAGE.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:  # then nothing can be started, which is said by what tries
        return
    if found and found[1] != samovar.__version__:
        raise InternalError(
            f"Samovar was updated to {found[1]} while {samovar.__version__} runs",
            "restart it with: samovar stop && samovar serve --detach",
        )
