"""Trainings: long, in a process of their own, and behind every job.

1. One at a time: a second one would take the processor from the first.
2. It stands still while there are jobs, stopped where it is, and goes on when there was none for a moment: whoever
   waits for a picture does not wait for it.
3. It goes on without who asked for it. Whoever takes it up may end it; then it puts aside what it has learned.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from samovar.broker.intake import check_training_id
from samovar.broker.job import Clock
from samovar.broker.lease import Client, Leases
from samovar.broker.port import Errand, Errands
from samovar_link.errors import BadRequest, Busy, RemoteError
from samovar_link.messages import Cancelled, Done, Failed, JobInfo, Message, Progress, Refused, Report

log = logging.getLogger(__name__)

QUIET_SECONDS = 1.0
"""Without a job, after which it goes on."""


@dataclass
class _Training:
    """followers : clients that are told; what, model : as its process calls it and what comes of it; found : how good
    it became, as JSON"""

    job: str
    began: float
    followers: list[bytes]
    what: str = "train"
    model: str = ""
    errand: Errand | None = None
    fraction: float = 0.0
    stage: str = ""
    left: float | None = None
    found: str = ""
    ending: bool = False


class Trainings:
    def __init__(self, errands: Errands, send: Callable[[bytes, Message], None], leases: Leases, clock: Clock) -> None:
        self._errands, self._send, self._leases, self._clock = errands, send, leases, clock
        self._training: _Training | None = None
        self._resting = False
        self._quiet_since = clock()

    @property
    def resting(self) -> bool:
        """Whether one waits for jobs to be over."""
        return self._training is not None and self._resting

    # --- from clients -----------------------------------------------------------------------------------------------

    def train(self, client: Client, job: str) -> None:
        try:
            check_training_id(job)
            if self._training is not None and self._training.job != job:
                raise Busy("another training is under way", "wait for it, or end it: samovar jobs tells its name")
        except RemoteError as error:
            self._send(client.id, Refused("Train", error.code, error.message, error.hint))
            return
        if not self.follow(client, job):
            self._begin(job, client)

    def follow(self, client: Client, job: str) -> bool:
        """Tell a client of a training from now on. Returns whether it is under way."""
        found = self._training
        if found is None or found.job != job:
            return False
        if client.id not in found.followers:
            found.followers.append(client.id)
        self._send(client.id, self._progress(found))
        return True

    def cancel(self, client: Client, job: str) -> bool:
        """End a training that the client follows. Returns whether it is one."""
        found = self._training
        if found is None or found.job != job:
            return False
        if client.id in found.followers and not found.ending and found.errand is not None:
            log.info("training %s cancelled by a client", job)
            found.ending = True
            found.errand.stop()
        return True

    def infos(self, now: float) -> tuple[JobInfo, ...]:
        found = self._training
        if found is None:
            return ()
        names = [owner.name for owner in map(self._leases.get, found.followers) if owner is not None]
        state = "resting" if self._resting else "running"
        return (JobInfo(
            found.job, found.what, state, ", ".join(names), found.model, fraction=found.fraction,
            age_seconds=now - found.began, orphan=not names,
        ),)  # fmt: skip

    # --- its process ------------------------------------------------------------------------------------------------

    def _begin(self, job: str, client: Client) -> None:
        log.info("training %s begins", job)
        found = self._training = _Training(job, self._clock(), [client.id])
        found.errand = self._errands.start(
            ["train", "carry-out", job], lambda fields: self._said(found, fields), lambda why: self._ended(found, why)
        )
        if self._resting and self._training is found:
            found.errand.pause()
        self._tell(found, self._progress(found))

    def _said(self, found: _Training, fields: dict[str, Any]) -> None:
        if "fraction" in fields:
            found.fraction = max(found.fraction, float(fields["fraction"]))
            found.stage, found.left = str(fields["stage"]), float(fields["left"])
            self._tell(found, self._progress(found))
        elif "what" in fields:
            found.what, found.model = str(fields["what"]), str(fields["model"])
        elif "note" in fields:
            log.info("training %s: %s", found.job, fields["note"])
            self._tell(found, Progress(found.job, found.fraction, str(fields["note"])))
        elif "found" in fields:
            found.found = json.dumps(fields["found"])

    def _ended(self, found: _Training, reason: str) -> None:
        self._training = None
        log.info("training %s is over%s", found.job, f": {reason}" if reason else "")
        if found.ending:
            self._tell(found, Cancelled(found.job))
        elif reason:
            self._tell(found, Failed(found.job, BadRequest.code, reason))
        else:
            self._tell(found, Done(found.job, report=Report(notes=(found.found,))))

    def _progress(self, found: _Training) -> Progress:
        return Progress(found.job, found.fraction, found.stage, found.left)

    def _tell(self, found: _Training, message: Message) -> None:
        for client in found.followers:
            self._send(client, message)

    # --- beside jobs ------------------------------------------------------------------------------------------------

    def make_way(self) -> None:
        """For a job, at once."""
        if not self._resting and self._training is not None and self._training.errand is not None:
            self._training.errand.pause()
        self._resting, self._quiet_since = True, self._clock()

    def tick(self, now: float, jobs: bool) -> None:
        """What is due because time passed. jobs : whether there are any"""
        if self._training is not None:
            here = [client for client in self._training.followers if not self._leases.lapsed(client, now)]
            self._training.followers[:] = here
        if jobs:
            self.make_way()
        elif self._resting and now - self._quiet_since >= QUIET_SECONDS:
            self._resting = False
            if self._training is not None and self._training.errand is not None:
                self._training.errand.resume()
