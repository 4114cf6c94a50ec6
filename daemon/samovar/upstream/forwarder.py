"""What a worker does whose jobs are done elsewhere: hands them on, and hands back what comes of them.

Rules for whoever edits this file:
1. The other daemon is asked to keep results, so that a job whose link was lost is taken up again where it is. What was
   not kept there is sent again, once; the same request gives the same pixels.
2. Everything that came over the link is answered to the broker, or dropped because the job is over. Nothing waits
   longer than `PATIENCE_SECONDS` for a link: then one sentence says so.
3. The broker takes one message at a time and knows nothing of any of this.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import zmq

from samovar.channel import Channel, Held, Said
from samovar.packing import opened
from samovar.segment import Block, SegmentPool
from samovar.upstream.link import Link
from samovar.worker.memory import Memory
from samovar_link import codec
from samovar_link.errors import RemoteError, UnknownJob
from samovar_link.messages import (
    Attach,
    Cancel,
    Cancelled,
    Done,
    Enough,
    Failed,
    LoadedModel,
    Message,
    Progress,
    Raster,
    Refused,
    Run,
    Status,
    StatusReport,
    Unload,
    Unloaded,
    Warm,
    Warmed,
    Welcome,
)  # fmt: skip

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 20.0
"""Without a link, after which a job that was under way is given up; it lies there for who comes back in time."""
FIRST_PATIENCE_SECONDS = 6.0
"""The same for one that never had a link."""
STATUS_SECONDS = 5.0
WAITING = "waiting for the other machine"


@dataclass
class _Job:
    """blocks : its pixels; sent : whether it ever went out; again : whether it went out a second time; since : when it
    last had a link, or came"""

    run: Run
    blocks: list[Block]
    since: float
    sent: bool = False
    again: bool = False


class Forwarder:
    """channel : to the broker; link : to the other daemon; call `tick` often"""

    def __init__(self, channel: Channel, pool: SegmentPool, link: Link) -> None:
        self._channel, self._pool, self._link = channel, pool, link
        self._jobs: dict[str, _Job] = {}
        self._let_go: set[str] = set()
        """Jobs that are over here, and perhaps not there."""
        self._warming: Warm | None = None
        self._warming_since = 0.0
        self._unloading: list[Unload] = []
        self._leaving: list[Block] = []
        self._asked = 0.0
        self._held: tuple[LoadedModel, ...] = ()
        self._handlers: dict[type, Callable[..., None]] = {
            Progress: self._progress, Done: self._done, Failed: self._failed, Cancelled: self._cancelled,
            Welcome: self._linked, Refused: self._refused, Warmed: self._warmed, Unloaded: self._unloaded,
            StatusReport: self._status,
        }  # fmt: skip

    # --- from the broker --------------------------------------------------------------------------------------------

    def take(self, message: Said, blocks: list[Block]) -> None:
        """What the broker wants."""
        if isinstance(message, Run):
            job = self._jobs[message.job] = _Job(message, blocks, time.monotonic())
            self._let_go.discard(message.job)
            if self._link.up:
                self._send(job)
        elif isinstance(message, Cancel) and message.job in self._jobs:
            self._over(message.job)
            self._channel.send(Cancelled(message.job))
        elif isinstance(message, Enough):
            if self._link.up and message.job in self._jobs:
                self._link.send(message)
        elif isinstance(message, Warm):
            self._warming, self._warming_since = message, time.monotonic()
            if self._link.up:
                self._link.send(message)
        elif isinstance(message, Unload):
            self._unloading.append(message)
            self._link.send(message) if self._link.up else self._unloaded(Unloaded())

    def say_goodbye(self) -> None:
        """The broker ends this process: nobody waits for any of its jobs."""
        for job in list(self._jobs):
            self._over(job)

    # --- from the other daemon --------------------------------------------------------------------------------------

    def receive(self, message: Message, frames: Sequence[zmq.Frame]) -> None:
        if (handler := self._handlers.get(type(message))) is not None:
            handler(message, frames)

    def _linked(self, welcome: Welcome, frames: Sequence[zmq.Frame] = ()) -> None:
        self._let_go = {job for job in self._let_go if not self._link.send(Cancel(job))}
        if self._warming is not None:
            self._link.send(self._warming)
        for waiting in self._jobs.values():
            if waiting.sent:
                self._link.send(Attach(waiting.run.job))
            else:
                self._send(waiting)

    def _progress(self, progress: Progress, frames: Sequence[zmq.Frame]) -> None:
        if progress.job not in self._jobs:
            return
        try:
            images, blocks = self._local(progress.images, frames)
        except RemoteError as error:
            log.warning("job %s: a part is left out: %s", progress.job, error)
            images, blocks = {}, []
        self._channel.send(dataclasses.replace(progress, images=images), blocks)
        for block in blocks:
            block.release()

    def _done(self, done: Done, frames: Sequence[zmq.Frame]) -> None:
        if done.job not in self._jobs:
            return
        try:
            images, blocks = self._local(done.images, frames)
        except (RemoteError, MemoryError) as error:
            told = error if isinstance(error, RemoteError) else RemoteError(str(error), "work on a smaller part")
            self._fail(done.job, told)
            return
        report = dataclasses.replace(done.report, device=f"{done.report.device or 'a device'} at {self._link.host}")
        self._over(done.job)
        self._channel.send(dataclasses.replace(done, images=images, report=report), blocks)
        for block in blocks:
            block.release()
        self._ask_status()

    def _failed(self, failed: Failed, frames: Sequence[zmq.Frame]) -> None:
        job = self._jobs.get(failed.job)
        if job is None:
            return
        if failed.code == UnknownJob.code and not job.again:  # the other daemon was started anew meanwhile
            log.info("job %s is not there any more: sent again", failed.job)
            job.again = True
            self._send(job)
            return
        self._over(failed.job)
        self._channel.send(failed)

    def _cancelled(self, cancelled: Cancelled, frames: Sequence[zmq.Frame]) -> None:
        if cancelled.job in self._jobs:  # by somebody there, or because that daemon ends
            self._fail(cancelled.job, RemoteError(f"{self._link.host} ended the job", "run it again"))

    def _refused(self, refused: Refused, frames: Sequence[zmq.Frame]) -> None:
        if refused.kind == "Warm" and self._warming is not None:
            self._refuse_warm(refused)
        else:
            log.warning("%s refuses %s: %s", self._link.host, refused.kind, refused.message)

    def _warmed(self, warmed: Warmed, frames: Sequence[zmq.Frame]) -> None:
        if self._warming is not None:
            self._warming = None
            self._ask_status()
            self._channel.send(warmed)

    def _unloaded(self, unloaded: Unloaded, frames: Sequence[zmq.Frame] = ()) -> None:
        if self._unloading:
            self._unloading.pop(0)
            self._ask_status()
            self._channel.send(unloaded)

    def _status(self, report: StatusReport, frames: Sequence[zmq.Frame]) -> None:
        held = tuple(dataclasses.replace(each, device=f"{each.device} at {self._link.host}") for each in report.models)
        if held != self._held:
            self._held = held
            self._channel.send(Held(held))

    # --- the clock --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """What is due because time passed."""
        now = time.monotonic()
        if not self._link.sending:
            for block in self._leaving:
                block.release()
            self._leaving.clear()
        if self._link.up:
            for job in self._jobs.values():
                job.since = now
            if now - self._asked > STATUS_SECONDS:
                self._ask_status()
            return
        for name, job in list(self._jobs.items()):
            if now - job.since > (PATIENCE_SECONDS if job.sent else FIRST_PATIENCE_SECONDS):
                self._fail(name, self._unreachable())
            else:
                self._channel.send(Progress(name, 0.0, WAITING))
        if self._warming is not None and now - self._warming_since > FIRST_PATIENCE_SECONDS:
            self._refuse_warm(self._unreachable())
        while self._unloading:
            self._unloaded(Unloaded())

    # --- in common --------------------------------------------------------------------------------------------------

    def _send(self, job: _Job) -> None:
        """Its pixels packed where that pays."""
        run = dataclasses.replace(job.run, keep_result=True)
        frames = [block.view for block in job.blocks]
        if self._link.packs:
            images, frames = self._link.packer.closed(run.images, frames)
            run = dataclasses.replace(run, images=images, packs=self._link.packer.link_bytes_per_second)
        job.sent = self._link.send(run, frames) or job.sent

    def _local(self, images: dict[str, Raster], frames: Sequence[zmq.Frame]) -> tuple[dict[str, Raster], list[Block]]:
        """Pixels in shared memory, and rasters of them. Raises BadRequest if they are not what they are said to be,
        MemoryError."""
        codec.check_images(images, [len(frame) for frame in frames], codec.ANY_SIZE)
        memory = Memory(self._pool, ())
        try:
            told, views = opened(images, [memoryview(frame.buffer) for frame in frames], memory.allocate)
            return told, [memory.give_away(view) for view in views]
        finally:
            memory.release()

    def _over(self, name: str) -> None:
        """Let go of a job, here and there."""
        job = self._jobs.pop(name)
        self._leaving += job.blocks
        if not job.sent:
            return
        if self._link.up:
            self._link.send(Cancel(name))
        else:
            self._let_go.add(name)

    def _fail(self, name: str, error: RemoteError) -> None:
        self._over(name)
        log.warning("job %s: %s", name, error)
        self._channel.send(Failed(name, error.code, error.message, error.hint))

    def _refuse_warm(self, error: RemoteError | Refused) -> None:
        self._warming = None
        self._channel.send(Refused("Warm", error.code, error.message, error.hint))

    def _unreachable(self) -> RemoteError:
        return RemoteError(
            f"{self._link.host}, where this Samovar has its work done, cannot be reached: {self._link.trouble}",
            "see that Samovar runs there, or start this one without --upstream",
        )

    def _ask_status(self) -> None:
        self._asked = time.monotonic()
        if self._link.up:
            self._link.send(Status())
