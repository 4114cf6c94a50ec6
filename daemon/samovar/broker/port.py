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

    @property
    def log_hint(self) -> str:
        """Where who was told of a defect may read more."""
        return f"the log says more: {self.log_path}" if self.log_path else ""


LOCAL, REMOTE = b"l", b"r"
"""What the names of clients begin with, by the socket they come through; so two of the same number do not clash."""


@dataclass(frozen=True)
class Bounds:
    """What may wait, how long the worker may be idle before it ends, how long it may take to drop a cancelled job
    (a tile of a large network takes seconds on a slow machine), what is kept for clients that went away, and how long a
    job goes on without one. Then, against those that mean no good or are broken:

    max_header_bytes : of frame 0 of what a client says
    max_connections, max_strangers : in all, and of those that have not yet said anything
    stranger_bytes, stranger_seconds : that one of these may send, and stay; handshake_seconds : until it is let in
    unread_bytes : results that may wait to be read by one client, before it is computed for no longer
    unread_seconds : until who says nothing and leaves results unread is hung up on
    half_bytes, half_seconds : of messages that have begun to come, until who says nothing is hung up on; beyond
        `max_bytes`, after `silent_seconds`
    max_questions : of one client for which an answer of the worker is awaited
    """

    max_jobs: int = 1024
    max_bytes: int = 8 << 30
    idle_seconds: float = 600.0
    stubborn_seconds: float = 30.0
    kept_bytes: int = 1 << 30
    kept_results: int = 128
    kept_seconds: float = 600.0
    orphan_seconds: float = 3600.0

    max_header_bytes: int = 16 << 10
    max_connections: int = 512
    max_strangers: int = 64
    stranger_bytes: int = 256 << 10
    stranger_seconds: float = 10.0
    handshake_seconds: float = 5.0
    unread_bytes: int = 1 << 30
    unread_seconds: float = 30.0
    half_bytes: int = 1 << 30
    half_seconds: float = 60.0
    silent_seconds: float = 3.0
    max_questions: int = 16


def is_remote(client: bytes) -> bool:
    """Whether a client talks to us from another machine; `door` gives out these names."""
    return client.startswith(REMOTE)
