"""Who gets which answer: the broker without its sockets.

Takes client messages, worker events and ticks of the clock; sends through a function that is passed in. No I/O, no
threads, no waiting, so that every rule here is tested in microseconds.

1. A job is in `_jobs` from its acceptance to its one last answer (`Done`, `Failed` or `Cancelled`).
2. One job at a time is with the worker, and on top of a batch job an interactive one, for which it pauses at the end of
   its tile (`_running`, the one at work last). Each may be abandoned, that is, answered already; what the worker still
   says about it is dropped.
3. Progress never goes backwards, not even when a job starts again on a fresh worker.
4. Who said nothing for a lease's time, or cannot be reached, loses its jobs; but one with `keep_result` goes on as an
   orphan, and its end lies on the shelf for who attaches to it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Union

from samovar.broker.intake import Offer, check_job_id
from samovar.broker.job import Clock, Frame, Job, Pixels
from samovar.broker.lease import Client, Leases
from samovar.broker.library import Library
from samovar.broker.outbox import Outbox, release
from samovar.broker.port import Bounds, Errands, Identity, Send, Worker
from samovar.broker.queue import JobQueue
from samovar.broker.reception import Reception
from samovar.broker.shelf import Shelf
from samovar.broker.trainings import Trainings
from samovar.broker.warmth import Warmth
from samovar.channel import Held, Ready, Said, Spent
from samovar.segment import Block
from samovar_link.errors import BadRequest, Busy, RemoteError, UnknownJob, WorkerCrashed
from samovar_link.messages import (
    Attach,
    Cancel,
    Cancelled,
    Done,
    Enough,
    Failed,
    JobInfo,
    Message,
    Progress,
    Pull,
    Refused,
    Run,
    Status,
    StatusReport,
    Stop,
    Stopping,
    StopPull,
    Train,
    Unload,
    Unloaded,
    Warm,
    Warmed,
)  # fmt: skip

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 2


Answer = Union[Done, Failed, Cancelled]


class Dispatcher:
    def __init__(
        self, offer: Offer, identity: Identity, send: Send, worker: Worker, errands: Errands, clock: Clock,
        stop: Callable[[], None], bounds: Bounds | None = None,
    ) -> None:  # fmt: skip
        self._offer = offer
        self._identity = identity
        self._worker = worker
        self._clock = clock
        self._stop = stop
        self._bounds = bounds or Bounds()
        self._leases = Leases(offer.limits.lease_seconds)
        self._outbox = Outbox(send, lambda client: self._leases.unreachable(client, clock()))
        self._send = self._outbox.send
        self._queue = JobQueue(self._outbox.waits_for)
        self._shelf = Shelf(self._bounds)
        self._warmth = Warmth(
            offer, worker, self._send, lambda client: self._leases.lapsed(client, clock()), self._bounds.max_questions
        )
        self._library = Library(offer, identity, errands, self._send, self._leases)
        self._trainings = Trainings(errands, self._send, self._leases, clock)
        self._jobs: dict[str, Job] = {}
        self._running: list[Job] = []
        self._device = ""
        self._spent = False
        self._started = clock()
        self._idle_since = clock()
        handlers: dict[type[Message], Callable[..., None]] = {
            Run: self._accept, Cancel: self._cancel, Enough: self._enough, Attach: self._attach, Warm: self._warm,
            Unload: self._unload, Status: self._status, Stop: self._stop_asked,
            Pull: lambda client, message, frames: self._library.pull(client, message),
            StopPull: lambda client, message, frames: self._library.stop(client, message),
            Train: lambda client, message, frames: self._trainings.train(client, message.job),
        }  # fmt: skip
        self._reception = Reception(
            offer,
            identity,
            self._leases,
            self._send,
            clock,
            handlers,
            lambda job: job in self._jobs,
            self._fail_own,
            self._bounds.max_header_bytes,
        )

    @property
    def busy(self) -> bool:
        """Whether ticks are due often: somebody waits for something."""
        return bool(self._jobs or self._outbox or self._running or self._library.busy or self._trainings.resting)

    @property
    def waiting_bytes(self) -> int:
        """Pixels that came and are not in shared memory yet."""
        jobs = {**self._jobs, **{job.id: job for job in self._running}}
        return sum(job.pixels.received_bytes for job in jobs.values())

    # --- from clients -----------------------------------------------------------------------------------------------

    def receive(self, client: bytes, header: bytes | memoryview, frames: Sequence[Frame]) -> None:
        """One message of a client, as it came."""
        self._reception.receive(client, header, frames)

    def _fail_own(self, client: bytes, failed: Failed) -> bool:
        """End a job of a client. False if it has none of that name."""
        job = self._jobs.get(failed.job)
        if job is None or job.client != client:
            return False
        self._end(job, failed)
        return True

    def hung_up(self, client: bytes) -> None:
        """The connection of a client was ended from here: nothing more is computed for it."""
        self._leases.end(client)

    def _accept(self, client: Client, run: Run, frames: Sequence[Frame]) -> None:
        pixels = Pixels(frames)
        try:
            check_job_id(run.job)
            if run.job in self._jobs or run.job in self._shelf or self._at_work(run.job) is not None:
                raise BadRequest(f"job {run.job} exists already", "give every job an id of its own")
        except BadRequest as error:  # a Failed would end the job of that name
            self._send(client.id, Refused("Run", error.code, error.message, error.hint))
            return
        try:
            self._offer.check(run, pixels.sizes)
            self._check_room(client, pixels)
        except RemoteError as error:
            log.info("job %s refused: %s", run.job, error)
            self._send(client.id, Failed(run.job, error.code, error.message, error.hint))
            return
        job = Job(run, client.id, pixels, received=self._clock())
        self._jobs[run.job] = job
        self._trainings.make_way()
        self._queue.push(job)
        self._next()

    def _check_room(self, client: Client, pixels: Pixels) -> None:
        """Raises Busy. A client has half of the room at most, unless for its only job: another must still get in.

        Raises BadRequest for a job for which there is never room.
        """
        if pixels.size_bytes > self._bounds.max_bytes:
            raise BadRequest.field(
                "pixels of the job", f"{pixels.size_bytes >> 20} MiB", f"at most {self._bounds.max_bytes >> 20} MiB",
                "work on a selection or a smaller layer",
            )  # fmt: skip
        own = [job.pixels.size_bytes for job in self._jobs.values() if job.client == client.id]
        too_large = bool(own) and sum(own) + pixels.size_bytes > self._bounds.max_bytes // 2
        if len(own) >= self._offer.limits.max_jobs_per_client or too_large:
            raise Busy(f"{len(own)} jobs of this client with {sum(own) >> 20} MiB of pixels are waiting already",
                       "wait for some, or cancel them")  # fmt: skip
        waiting_bytes = sum(job.pixels.size_bytes for job in self._jobs.values())
        if len(self._jobs) >= self._bounds.max_jobs or waiting_bytes + pixels.size_bytes > self._bounds.max_bytes:
            raise Busy(f"{len(self._jobs)} jobs with {waiting_bytes >> 20} MiB of pixels are waiting already",
                       "try again when some are done")  # fmt: skip

    def _cancel(self, client: Client, message: Cancel, frames: Sequence[Frame]) -> None:
        job = self._jobs.get(message.job)
        if job is not None and job.client == client.id:
            log.info("job %s cancelled by its client", job.id)
            self._end(job, Cancelled(job.id))
        elif job is None and not self._trainings.cancel(client, message.job):
            self._shelf.drop(message.job, client.id)

    def _enough(self, client: Client, message: Enough, frames: Sequence[Frame]) -> None:
        job = self._at_work(message.job)
        if job is not None and job.abandoned is None and not job.enough:
            log.info("job %s is good enough, says a client", job.id)
            job.enough = True
            self._worker.enough(job.id)

    def _attach(self, client: Client, message: Attach, frames: Sequence[Frame]) -> None:
        job = self._jobs.get(message.job)
        if job is not None:
            if job.client != client.id:
                log.info("job %s goes to another connection", job.id)
                error = UnknownJob(f"job {job.id} was taken up by another connection")
                self._send(job.client, Failed(job.id, error.code, error.message))
                self._queue.reassign(job, client.id)
            job.orphaned = None
            self._send(client.id, Progress(job.id, job.fraction, job.stage))
        elif self._trainings.follow(client, message.job):
            pass
        elif (kept := self._shelf.get(message.job, client.id)) is not None:
            self._send(client.id, *kept)
        else:
            fact = f"job {message.job[:64]!r} is not here: it never came, or is over and not kept"
            self._send(client.id, Failed(message.job[:64], UnknownJob.code, fact, "run it again"))

    def _warm(self, client: Client, message: Warm, frames: Sequence[Frame]) -> None:
        self._trainings.make_way()
        self._warmth.warm(client, message)
        self._next()

    def _unload(self, client: Client, message: Unload, frames: Sequence[Frame]) -> None:
        self._warmth.unload(client, message, job_runs=bool(self._running))

    def _status(self, client: Client, message: Status, frames: Sequence[Frame]) -> None:
        now = self._clock()
        infos = []
        for job in self._jobs.values():
            owner = self._leases.get(job.client)
            infos.append(JobInfo(
                job.id, job.run.operation, "running" if job in self._running else "queued",
                f"{owner.name} {owner.version}".strip() if owner else "", str(job.run.parameters.get("model", "")),
                job.fraction, now - job.received, job.orphaned is not None,
            ))  # fmt: skip
        infos += self._shelf.infos(now, lambda client: self._leases.lapsed(client, now))
        self._send(client.id, StatusReport(
            self._identity.version, self._identity.pid, now - self._started, self._identity.endpoints,
            self._leases.present(now), self._worker.state, self._worker.pid, self._device, tuple(infos),
            self._warmth.held, self._trainings.infos(now),
        ))  # fmt: skip

    def _stop_asked(self, client: Client, message: Stop, frames: Sequence[Frame]) -> None:
        log.info("asked to stop by %s", client.name or "a client")
        self._stop()

    def say_goodbye(self) -> None:
        """The daemon ends: cancel every job, tell every client."""
        for job in list(self._jobs.values()):
            self._end(job, Cancelled(job.id))
        for client in self._leases:
            self._send(client.id, Stopping())
        self._shelf.close()

    # --- from the worker --------------------------------------------------------------------------------------------

    def worker_said(self, message: Said, blocks: Sequence[Block]) -> None:
        if isinstance(message, Ready):
            self._device = message.device
            self._worker_is_ready()
        elif isinstance(message, Held):
            self._warmth.held = message.models
        elif isinstance(message, Spent):
            self._spent = True
        elif isinstance(message, Unloaded):
            self._warmth.said(message)
        elif isinstance(message, (Warmed, Refused)):
            self._warmth.said(message)
            self._worker_is_ready()
        elif isinstance(message, (Progress, Done, Failed, Cancelled)):
            self._job_news(message, blocks)
        else:
            log.error("the worker said %s", type(message).__name__)

    def _worker_is_ready(self) -> None:
        """To begin with the job that came meanwhile, or for whatever else there is."""
        for job in self._running:
            job.worker_ready = self._clock()
        self._next()

    def _job_news(self, message: Progress | Answer, blocks: Sequence[Block]) -> None:
        job = self._at_work(message.job)
        if job is None:
            log.error("job %s: the worker spoke of it, but does not run it", message.job)
            release(blocks)
        elif isinstance(message, Progress):
            if job.abandoned is not None:
                release(blocks)
                return
            job.fraction, job.stage = max(job.fraction, message.fraction), message.stage
            self._send(job.client, dataclasses.replace(message, fraction=job.fraction), blocks)
        else:
            self._off_work(job)
            if isinstance(message, Done):
                message = self._complete(job, message)
            self._end(job, message, blocks)
            self._next()

    def _complete(self, job: Job, done: Done) -> Done:
        """Fill in the seconds that only the broker knows."""
        now = self._clock()
        start_seconds = max(0.0, job.worker_ready - job.assigned)
        spent = done.report.seconds
        seconds = dataclasses.replace(
            spent, queue=job.assigned - job.received + spent.queue, load=spent.load + start_seconds,
            transfer=max(0.0, now - job.assigned - start_seconds - spent.queue - spent.load - spent.compute),
            total=now - job.received,
        )  # fmt: skip
        return dataclasses.replace(
            done, report=dataclasses.replace(done.report, seconds=seconds, retries=job.retries + done.report.retries)
        )

    def worker_gone(self, reason: str) -> None:
        """The worker ended without being asked to."""
        self._spent = False
        self._warmth.worker_gone(reason, under_job=bool(self._running))
        if not self._running:
            log.warning("the worker ended while idle: %s", reason)
            return
        for job in list(self._running):
            self._worker_gone_under(job, reason)
        self._next()

    def _worker_gone_under(self, job: Job, reason: str) -> None:
        self._off_work(job)
        log.error("job %s: the worker died: %s", job.id, reason)
        if job.abandoned is not None:
            job.pixels.release()
        elif job.attempts < MAX_ATTEMPTS:
            job.retries += (f"the worker died ({reason}), the job started again on a fresh one",)
            self._queue.push_first(job)
        else:
            error = WorkerCrashed(
                f"the worker died under this job {job.attempts} times ({reason})", self._identity.log_hint
            )
            self._end(job, Failed(job.id, error.code, error.message, error.hint))

    # --- jobs -------------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        """Give the worker a job if it has none and one waits, or one to do ahead of its batch job; if none waits,
        something to warm."""
        if self._running and not (len(self._running) == 1 and self._running[0].is_batch):
            return
        if self._spent and not self._running:
            self._replace_worker()
        job = self._queue.pop(ahead=bool(self._running))
        if job is None:
            if not self._running:
                self._warmth.next()
            return
        self._running.append(job)
        job.assigned = self._clock()
        job.attempts += 1
        job.enough = False
        self._worker.run(job.run, job.pixels)

    def _replace_worker(self) -> None:
        """The next job gets a fresh one, and with it whatever went wrong is gone, as far as it was in that process."""
        log.warning("the worker is replaced, for what went wrong in it may go on")
        self._warmth.worker_gone("it was replaced", under_job=True)
        self._spent = False
        self._worker.retire()

    def _at_work(self, job: str) -> Job | None:
        """The job of that name that is with the worker."""
        return next((each for each in self._running if each.id == job), None)

    def _off_work(self, job: Job) -> None:
        """The worker is done with it, and goes on with the batch job below it, if any."""
        self._running.remove(job)
        self._idle_since = self._clock()
        for below in self._running:
            if below.abandoned is not None:
                below.abandoned = self._clock()  # it hears of it only now

    def _end(self, job: Job, answer: Answer, blocks: Sequence[Block] = ()) -> None:
        """The last answer of a job, unless it had one. The worker may still be at it."""
        if job.abandoned is not None:
            release(blocks)
        else:
            del self._jobs[job.id]
            if job.run.keep_result and not isinstance(answer, Cancelled):
                self._shelf.put(answer, blocks, job, self._clock())
            self._send(job.client, answer, blocks)
        if job in self._running:
            job.abandoned = self._clock()
            self._worker.cancel(job.id)
            return
        self._queue.remove(job)
        job.pixels.release()

    # --- the clock --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """What is due because time passed."""
        now = self._clock()
        for job in list(self._jobs.values()):
            if not self._leases.lapsed(job.client, now):
                job.orphaned = None
            elif not self._outlives_its_client(job, now):
                self._end_lapsed(job)
        for client in self._outbox.clients():
            if self._leases.lapsed(client, now):
                self._outbox.discard(client)
            elif self._outbox.retry(client):
                self._next()  # a job of it may wait for that
        self._shelf.expire(now)
        self._library.tick(now)
        self._trainings.tick(now, bool(self._jobs or self._running))
        self._retire_idle_worker(now)
        self._kill_stubborn_worker(now)

    def _outlives_its_client(self, job: Job, now: float) -> bool:
        """Whether it goes on without it."""
        if not job.run.keep_result:
            return False
        if job.orphaned is None:
            log.info("job %s goes on without its client", job.id)
            job.orphaned = now
        return now - job.orphaned < self._bounds.orphan_seconds

    def _end_lapsed(self, job: Job) -> None:
        """Whoever only stood still and wakes up again must not wait for this job for ever."""
        seconds = self._bounds.orphan_seconds if job.run.keep_result else self._offer.limits.lease_seconds
        log.warning("job %s cancelled: its client went silent", job.id)
        message = f"nothing was heard of this program for {seconds:g} s, so its job was ended"
        self._end(job, Failed(job.id, RemoteError.code, message, "run it again"))

    def _retire_idle_worker(self, now: float) -> None:
        idle = not self._running and not self._warmth.held and self._worker.state == "idle"
        if idle and now - self._idle_since >= self._bounds.idle_seconds:
            log.info("the worker was idle for %.0f s: ended", now - self._idle_since)
            self._worker.retire()

    def _kill_stubborn_worker(self, now: float) -> None:
        job = self._running[-1] if self._running else None
        if job is None or job.abandoned is None or now - job.abandoned < self._bounds.stubborn_seconds:
            return
        log.error("job %s: the worker did not stop within %.0f s: killed", job.id, now - job.abandoned)
        job.abandoned = now  # its end takes a moment, too
        self._worker.kill()
