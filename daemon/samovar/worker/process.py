"""The worker's process: takes jobs from the channel, runs them one after the other, answers. Between them it warms and
unloads models. A batch job lets those go ahead that come while it runs.

Two threads. The main one computes, and alone touches the engine and the device. The other reads the channel (see
`inbox`).

Here is the worker's one place that catches everything: whatever an operation raises becomes `Failed`, and the next
job finds a working worker.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import functools
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from samovar import card, descriptors, operation, parent, runtimes
from samovar.channel import Channel, Held, Ready, Spent, open_end
from samovar.packing import Packer, opened
from samovar.segment import Block, SegmentPool
from samovar.worker import checkpoints
from samovar.worker.engine import Engine
from samovar.worker.inbox import Inbox
from samovar.worker.job import Job, JobCancelled, Result
from samovar.worker.memory import Memory
from samovar.worker.trouble import may_go_on
from samovar_link import discovery
from samovar_link.errors import InternalError, OutOfMemory, RemoteError
from samovar_link.messages import (
    BATCH,
    Cancelled,
    Done,
    Failed,
    LoadedModel,
    Progress,
    Raster,
    Refused,
    Run,
    Unloaded,
    Warm,
    Warmed,
)  # fmt: skip

log = logging.getLogger(__name__)

_EXPIRE_SECONDS = 1.0
_NICENESS = 10
"""Below the editors and the broker: a canvas that is drawn meanwhile goes first."""


class _Interrupted(BaseException):
    """There is something better to do. Like JobCancelled, no library's `except Exception` may eat it."""


class Worker:
    def __init__(self, channel: Channel, inbox: Inbox, pool: SegmentPool, engine: Engine) -> None:
        self._channel = channel
        self._inbox = inbox
        self._pool = pool
        self._engine = engine
        self._held: tuple[LoadedModel, ...] = ()

    def serve(self) -> None:
        """Until the reader thread ends the process, because the broker says so or is gone."""
        while True:
            try:
                message, blocks = self._inbox.next(_EXPIRE_SECONDS)
            except queue.Empty:
                self._engine.expire()
                self._tell_held()
                self._pool.expire()
                continue
            if isinstance(message, Run):
                self._run(message, blocks)
            elif isinstance(message, Warm):
                self._warm(message)
            self._unload_due()
            self._tell_held()

    def _tell_held(self) -> None:
        held = tuple(self._engine.loaded())
        if held != self._held:
            self._held = held
            self._channel.send(Held(held))

    def _warm(self, warm: Warm) -> None:
        began = time.monotonic()
        try:
            names = self._engine.warm(warm.operation, warm.parameters, warm.keep_alive_seconds, self._go_on_warming)
        except _Interrupted:
            log.info("warming for %s gave way to something else", warm.operation)
            names = ()
        except Exception as error:
            remote = _remote_error(error)
            log.error("cannot warm %s: %s", warm.operation, remote, exc_info=error if remote is not error else None)
            self._tell_if_spent(error)
            self._channel.send(Refused("Warm", remote.code, remote.message, remote.hint))
            return
        log.info("warm for %s: %s, %.2f s", warm.operation, ", ".join(names) or "no model", time.monotonic() - began)
        self._tell_held()
        self._channel.send(Warmed(warm.operation, names))

    def _go_on_warming(self) -> None:
        """Between the parts of a trial, which takes seconds: a job must not wait for it."""
        if self._inbox.has_more:
            raise _Interrupted

    def _unload_due(self) -> None:
        """Drop the models that somebody wants dropped, except what a job uses."""
        while not self._inbox.unloads.empty():
            names, size_bytes = self._engine.unload(self._inbox.unloads.get().model)
            log.info("unloaded %s", ", ".join(names) or "nothing")
            self._tell_held()
            self._channel.send(Unloaded(names, size_bytes))

    def _is_cancelled(self, job: Job, event: threading.Event) -> bool:
        """Asked between two tiles; so this is where others are served who need not wait for the job's end."""
        self._unload_due()
        while job.run.priority == BATCH and not event.is_set() and (ahead := self._inbox.next_run()) is not None:
            log.info("job %s makes room for job %s", job.run.job, ahead[0].job)
            with job.pause():
                self._run(*ahead)
        return event.is_set()

    def _run(self, run: Run, inputs: list[Block]) -> None:
        memory, cancelled = Memory(self._pool, inputs), self._inbox.cancelled(run.job)
        enough = self._inbox.enough(run.job).is_set
        packer = Packer(run.packs) if run.packs > 0 else None
        report = functools.partial(self._report, memory, packer)
        began = time.monotonic()
        waited_seconds = began - self._inbox.came(run.job)
        try:
            images, views = opened(run.images, [block.view for block in inputs], memory.allocate)
            run = dataclasses.replace(run, images=images)
            job = Job(run, report, lambda: self._is_cancelled(job, cancelled), memory.allocate, enough=enough)
            result = self._engine.execute(run, views, job)
            result = _with_queue(result, waited_seconds + job.paused_seconds)
            _check_result(result)
            images, frames = packer.closed(result.images, result.frames) if packer else (result.images, result.frames)
            blocks = [memory.block_of(frame) for frame in frames]
            self._tell_held()  # first, so that who unloads at once is told what went
            self._channel.send(Done(run.job, images, result.report), blocks)
            _log_done(run, result, time.monotonic() - began)
        except JobCancelled:
            log.info("job %s cancelled after %.2f s", run.job, time.monotonic() - began)
            self._channel.send(Cancelled(run.job))
        except Exception as error:
            remote = _remote_error(error)
            log.log(logging.INFO if remote is error else logging.ERROR, "job %s failed: %s", run.job, remote)
            if isinstance(remote, InternalError):
                log.error("job %s traceback", run.job, exc_info=error)
            self._tell_if_spent(error)
            self._channel.send(Failed(run.job, remote.code, remote.message, remote.hint))
        finally:
            self._inbox.forget(run.job, cancelled)
            memory.release()

    def _tell_if_spent(self, error: Exception) -> None:
        if may_go_on(error):
            self._channel.send(Spent())

    def _report(self, memory: Memory, packer: Packer | None, progress: Progress, pixels: Sequence[memoryview]) -> None:
        frames = list(pixels)
        if packer is not None:
            images, frames = packer.closed(progress.images, pixels)
            progress = dataclasses.replace(progress, images=images)
        blocks = [memory.give_away(frame) for frame in frames]
        for view, frame in zip(pixels, frames, strict=True):
            if frame is not view:
                memory.give_away(view).release()
        try:
            self._channel.send(progress, blocks)
        finally:
            for block in blocks:
                block.release()


def _with_queue(result: Result, seconds: float) -> Result:
    """With the time in which the job lay here while others were at work."""
    told = dataclasses.replace(result.report.seconds, queue=seconds)
    return dataclasses.replace(result, report=dataclasses.replace(result.report, seconds=told))


def _check_result(result: Result) -> None:
    """An operation's defect is noticed here, not in an editor that reads beyond its pixels."""
    for role, raster in result.images.items():
        size = result.frames[raster.frame].nbytes
        if size != raster.size_bytes:
            raise ValueError(f"result {role!r} is {raster}, which needs {raster.size_bytes} bytes, and has {size}")


def _remote_error(error: Exception) -> RemoteError:
    """What the client is told."""
    if isinstance(error, RemoteError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemory(f"not enough memory: {error}".rstrip(": "), "work on a smaller part")
    if descriptors.are_out(error):
        return OutOfMemory(*descriptors.NONE_LEFT)
    return InternalError(f"{type(error).__name__}: {error}", "the log says more: samovar.log in Samovar's folder")


def _log_done(run: Run, result: Result, seconds: float) -> None:
    """The one line per job."""
    raster: Raster | None = run.images.get("image")
    report = result.report
    words = [
        f"job {run.job} {run.operation}",
        f"{raster.width}x{raster.height}" if raster else "",
        report.model,
        f"{report.runtime} {report.dtype}".strip(),
        f"tiles {report.tiles.total} ({report.tiles.cached} cached)" if report.tiles.total else "",
        f"{seconds:.2f} s",
    ]
    log.info("%s", " ".join(filter(None, words)))


def main(descriptor: str, broker_pid: int) -> None:
    parent.die_with(broker_pid)  # elsewhere than on Linux the end of the channel ends us, unless a kernel holds the GIL
    descriptors.raise_limit()
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the broker decides
    faulthandler.enable()  # to stderr, which the broker writes to its log
    level = os.environ.get("SAMOVAR_LOG", "INFO").upper()
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    pool = SegmentPool(1, time.monotonic)
    channel = Channel(open_end(descriptor), pool)
    inbox = Inbox(channel)
    home = discovery.home()
    checkpoints.sweep(home / checkpoints.FOLDER)
    checkpoints.sweep(home, Path(runtimes.TRIALS_FILE).stem + ".[0-9]*")  # of a worker that was killed as it wrote
    engine = Engine(
        operation.discover(), card.discover(), trials=home / runtimes.TRIALS_FILE, checkpoints=home / checkpoints.FOLDER
    )
    channel.send(Ready(engine.device))
    Worker(channel, inbox, pool, engine).serve()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
