"""The ends of jobs, kept for a client that lost its connection: only of those that asked for it (`Run.keep_result`).

Whether a client got what was sent to it cannot be known, so all are kept alike: for a time, in a number of bytes, and
in number, because each result is two open files of the worker. The oldest go first. What is larger than the whole shelf
is not kept at all.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from samovar.broker.job import Job
from samovar.broker.outbox import release
from samovar.broker.port import Bounds
from samovar.segment import Block
from samovar_link.messages import Done, Failed, JobInfo

log = logging.getLogger(__name__)


@dataclass
class Kept:
    """client : who may let go of it: the last one that it was sent to; job : of which it is the end"""

    answer: Done | Failed
    blocks: Sequence[Block]
    client: bytes
    until: float
    job: Job

    @property
    def size_bytes(self) -> int:
        return sum(block.memory_bytes for block in self.blocks)


class Shelf:
    """By job id, oldest first. bounds : its `kept_...`; times are on the broker's clock"""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __contains__(self, job: str) -> bool:
        return job in self._kept

    def put(self, answer: Done | Failed, blocks: Sequence[Block], job: Job, now: float) -> None:
        """Keep it, with holds of its own on the blocks."""
        if sum(block.memory_bytes for block in blocks) > self._bounds.kept_bytes:
            log.info("job %s is not kept: it is larger than all that may be", answer.job)
            return
        shared = [block.share() for block in blocks]
        self._kept[answer.job] = Kept(answer, shared, job.client, now + self._bounds.kept_seconds, job)
        while self._is_over_full():
            self._let_go(next(iter(self._kept)), "newer results need the room")

    def infos(self, now: float, lapsed: Callable[[bytes], bool]) -> list[JobInfo]:
        """What is kept of work that was done. lapsed : whether a client is gone"""
        return [
            JobInfo(
                each.job.id, each.job.run.operation, "kept", "", str(each.job.run.parameters.get("model", "")), 1.0,
                now - each.job.received, lapsed(each.client),
            )
            for each in self._kept.values()
            if isinstance(each.answer, Done)
        ]  # fmt: skip

    def get(self, job: str, client: bytes) -> tuple[Done | Failed, Sequence[Block]] | None:
        """The end of a job for another client to have, with holds of its own on the blocks; None if it is not here."""
        kept = self._kept.get(job)
        if kept is None:
            return None
        kept.client = client
        return kept.answer, [block.share() for block in kept.blocks]

    def drop(self, job: str, client: bytes) -> None:
        """A client has what it wants. Nothing happens if it is not its job."""
        kept = self._kept.get(job)
        if kept is not None and kept.client == client:
            self._let_go(job, "its client has it")

    def expire(self, now: float) -> None:
        """Let go of what lay too long."""
        for job in [job for job, kept in self._kept.items() if kept.until <= now]:
            self._let_go(job, "nobody came for it")

    def close(self) -> None:
        for kept in self._kept.values():
            release(kept.blocks)
        self._kept.clear()

    def _is_over_full(self) -> bool:
        size_bytes = sum(kept.size_bytes for kept in self._kept.values())
        return size_bytes > self._bounds.kept_bytes or len(self._kept) > self._bounds.kept_results

    def _let_go(self, job: str, why: str) -> None:
        log.info("job %s is kept no longer: %s", job, why)
        release(self._kept.pop(job).blocks)
