"""What the dispatcher asks of the world, and what it has to know about it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from samovar.broker.job import Pixels
from samovar.segment import Block
from samovar_link.messages import Message, Run, Unload, Warm


class Delivery(enum.Enum):
    """What became of a message: on its way; no such peer; the peer does not read and its buffer is full."""

    SENT = 0
    GONE = 1
    FULL = 2


class Send(Protocol):
    """Hand a message to the network. On FULL the blocks stay with the caller, else they are released in time."""

    def __call__(self, client: bytes, message: Message, blocks: Sequence[Block] = ()) -> Delivery: ...


class Worker(Protocol):
    """The one worker, whether it runs or not. Its events come back through the dispatcher's `worker_*` methods.

    state : "none", "starting", "idle" or "busy"; busy is also who was asked something and has not answered yet
    start : unless it runs; raises InternalError
    run : start if need be, and do a job; it may still be at work on what it was asked
    ask : have something done between jobs; it must run
    retire : end it, then call `gone`, once its memory is the system's again
    """

    @property
    def state(self) -> str: ...
    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def run(self, run: Run, pixels: Pixels) -> None: ...
    def ask(self, question: Warm | Unload) -> None: ...
    def cancel(self, job: str) -> None: ...
    def enough(self, job: str) -> None: ...
    def kill(self) -> None: ...
    def retire(self, gone: Callable[[], None] = ...) -> None: ...


class Errand(Protocol):
    """A process that is under way; nothing happens to one that is over.

    stop : end it before its time, kindly; pause, resume : have it stand still, and go on
    """

    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Errands(Protocol):
    """What takes long and needs no worker, done by the program `samovar` in a process of its own."""

    def start(
        self, words: Sequence[str], said: Callable[[dict[str, Any]], None], ended: Callable[[str], None]
    ) -> Errand:
        """Run `samovar WORDS`.

        said : takes each JSON object that it prints; ended : once, "" or the last it wrote to stderr if it failed
        """


@dataclass(frozen=True)
class Identity:
    """Who this daemon is."""

    version: str
    pid: int
    endpoints: tuple[str, ...] = ()
    log_path: str = ""


@dataclass(frozen=True)
class Bounds:
    """What may wait, how long the worker may be idle before it ends, how long it may take to drop a cancelled job
    (a tile of a large network takes seconds on a slow machine), what is kept for clients that went away, and how long a
    job goes on without one."""

    max_jobs: int = 1024
    max_bytes: int = 8 << 30
    idle_seconds: float = 600.0
    stubborn_seconds: float = 30.0
    kept_bytes: int = 1 << 30
    kept_results: int = 128
    kept_seconds: float = 600.0
    orphan_seconds: float = 3600.0
