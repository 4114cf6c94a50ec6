"""A dispatcher on a stage: what it sends is collected, its worker is a list, its clock stands still until told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from samovar.broker.dispatcher import Dispatcher
from samovar.broker.intake import Offer
from samovar.broker.job import Pixels
from samovar.broker.port import Bounds, Delivery, Identity
from samovar.card import Catalogue, ModelCard
from samovar.channel import Held, Ready, Spent
from samovar.operation import Registry, operation, param
from samovar_link import codec
from samovar_link.errors import InternalError
from samovar_link.messages import (
    Cancelled,
    Done,
    Failed,
    Hello,
    Limits,
    Message,
    Ping,
    Pong,
    Raster,
    Refused,
    Run,
    Unload,
    Unloaded,
    Warm,
    Warmed,
)  # fmt: skip

A, B = b"a", b"b"


@dataclass(frozen=True)
class Params:
    factor: int = param(1, title="Factor", help="how much larger", minimum=1, maximum=8)


@operation("grow", title="Grow", params=Params, output_size=lambda w, h, params: (w * params.factor, h * params.factor))
def grow(image: object, params: Params, job: object) -> object:
    """Make it larger."""
    return image


class Frame:
    """A received frame of zeros."""

    def __init__(self, size: int) -> None:
        self.buffer = memoryview(bytes(size))

    def __len__(self) -> int:
        return len(self.buffer)


@dataclass
class FakeBlock:
    """released : how often; a share is released for itself"""

    memory_bytes: int = 1
    released: int = 0
    shares: list[FakeBlock] = field(default_factory=list)

    def share(self) -> FakeBlock:
        self.shares.append(FakeBlock(self.memory_bytes))
        return self.shares[-1]

    def release(self) -> None:
        self.released += 1


@dataclass
class FakeWorker:
    state: str = "none"
    pid: int = 0
    runs: list[str] = field(default_factory=list)
    pixels: list[Pixels] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)
    enoughs: list[str] = field(default_factory=list)
    asked: list[Warm | Unload] = field(default_factory=list)
    gone: Callable[[], None] | None = None
    broken: bool = False
    retired: int = 0
    kills: int = 0

    def start(self) -> None:
        if self.broken:
            raise InternalError("the worker cannot be started")
        if self.state == "none":
            self.state = "starting"

    def ask(self, question: Warm | Unload) -> None:
        self.asked.append(question)
        if self.state == "idle":
            self.state = "busy"

    def run(self, run: Run, pixels: Pixels) -> None:
        self.state = "busy"
        self.runs.append(run.job)
        self.pixels.append(pixels)

    def cancel(self, job: str) -> None:
        self.cancels.append(job)

    def enough(self, job: str) -> None:
        self.enoughs.append(job)

    def kill(self) -> None:
        self.kills += 1

    def retire(self, gone: Callable[[], None] = lambda: None) -> None:
        self.retired += 1
        self.state = "none"
        self.gone = gone


@dataclass
class FakeErrand:
    """One that was started; `say` and `end` play what it does."""

    words: list[str]
    say: Callable[[dict[str, Any]], None]
    end: Callable[[str], None]
    stopped: int = 0
    stands_still: bool = False

    def stop(self) -> None:
        self.stopped += 1

    def pause(self) -> None:
        self.stands_still = True

    def resume(self) -> None:
        self.stands_still = False


@dataclass
class FakeErrands:
    started: list[FakeErrand] = field(default_factory=list)

    def start(
        self, words: Sequence[str], said: Callable[[dict[str, Any]], None], ended: Callable[[str], None]
    ) -> FakeErrand:
        self.started.append(FakeErrand(list(words), said, ended))
        return self.started[-1]


class Stage:
    """A dispatcher with everything around it faked."""

    def __init__(
        self, limits: Limits | None = None, bounds: Bounds | None = None, *models: ModelCard, offer: Offer | None = None
    ) -> None:
        self.now = 100.0
        self.sent: list[tuple[bytes, Message]] = []
        self.outcome: dict[bytes, Delivery] = {}
        self.stopped = 0
        self.worker = FakeWorker()
        self.errands = FakeErrands()
        offer = offer or Offer(Registry([grow]), Catalogue(models), limits or Limits())
        identity = Identity("1.0", 42, ("ipc:///x",), "/log")
        self.dispatcher = Dispatcher(
            offer, identity, self.send, self.worker, self.errands, lambda: self.now, self.stop, bounds
        )
        for client in (A, B):
            self.say(client, Hello(client=client.decode()))
        self.sent.clear()

    def stop(self) -> None:
        self.stopped += 1

    def send(self, client: bytes, message: Message, blocks: Sequence[FakeBlock] = ()) -> Delivery:  # type: ignore[override]
        outcome = self.outcome.get(client, Delivery.SENT)
        if outcome is Delivery.SENT:
            self.sent.append((client, message))
        if outcome is not Delivery.FULL:
            for block in blocks:
                block.release()
        return outcome

    def say(self, client: bytes, message: Message, *sizes: int) -> None:
        self.dispatcher.receive(client, codec.encode(message), [Frame(size) for size in sizes])

    def run(self, client: bytes, job: str, **options: object) -> None:
        self.say(client, Run(job, "grow", images={"image": Raster(2, 2, 1)}, **options), 4)  # type: ignore[arg-type]

    def work(self, message: Message | Ready | Held | Spent, *blocks: FakeBlock) -> None:
        if isinstance(message, (Ready, Done, Failed, Cancelled, Warmed, Refused, Unloaded)):
            self.worker.state = "idle"
        self.dispatcher.worker_said(message, blocks)  # type: ignore[arg-type]

    def die(self, reason: str = "SIGSEGV") -> None:
        self.worker.state = "none"
        self.dispatcher.worker_gone(reason)

    def after(self, seconds: float, *present: bytes) -> None:
        """Let time pass; who is present pings."""
        self.now += seconds
        for client in present:
            self.dispatcher.receive(client, codec.encode(Ping()), [])
        self.dispatcher.tick()
        self.sent = [item for item in self.sent if not isinstance(item[1], Pong)]

    def take(self) -> list[tuple[bytes, Message]]:
        sent, self.sent = self.sent, []
        return sent
