"""A job as the broker sees it, and the pixels that came with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from samovar.segment import Block
from samovar_link.messages import BATCH, Run


class Frame(Protocol):
    """A received frame: memory of libzmq that lives as long as this object."""

    @property
    def buffer(self) -> memoryview: ...
    def __len__(self) -> int: ...


class Pixels:
    """The pixel frames of one job: first as they were received, then, once the job's turn has come, in segments.

    In segments they stay until the job is over, so that a second worker can take them up after the first one died.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = list(frames)
        self.blocks: list[Block] | None = None
        self.moving = False
        self._released = False

    @property
    def received_bytes(self) -> int:
        """In memory of libzmq."""
        return sum(map(len, self.frames))

    @property
    def sizes(self) -> list[int]:
        return [len(frame) for frame in self.frames]

    @property
    def size_bytes(self) -> int:
        return sum(self.sizes)

    def moved(self) -> None:
        """The copy is made: the received frames are no longer needed."""
        self.moving = False
        self.frames = []
        if self._released:
            self.release()

    def release(self) -> None:
        """The job is over. While a copy is under way the memory stays until it ends."""
        self._released = True
        if self.moving:
            return
        self.frames = []
        for block in self.blocks or ():
            block.release()
        self.blocks = None


@dataclass
class Job:
    """One `Run` between its receipt and its end. Times are on the broker's clock.

    stage : what its last progress called it
    worker_ready : when the worker could begin
    orphaned : since when it goes on without its client, see `Run.keep_result`
    enough : the worker was told that it is good enough
    abandoned : when its client had its answer while the worker was not yet done with it
    """

    run: Run
    client: bytes
    pixels: Pixels
    received: float
    assigned: float = 0.0
    worker_ready: float = 0.0
    fraction: float = 0.0
    stage: str = ""
    attempts: int = 0
    enough: bool = False
    orphaned: float | None = None
    abandoned: float | None = None
    retries: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.run.job

    @property
    def is_batch(self) -> bool:
        """Whether it makes room for others, also while it runs."""
        return self.run.priority == BATCH


Clock = Callable[[], float]
