"""Rows `cancel` and `ping`: how the daemon answers while its worker computes."""

from __future__ import annotations

import os
import random
import secrets
import statistics
import subprocess
import sys
import time

from samovar_link import Client
from samovar_link.messages import Cancel, Cancelled, Done, Failed, Message, Ping, Pong, Progress, Raster, Run

from . import daemon
from .dirty import MODEL, SCALE
from .picture import frame, photograph, with_alpha
from .plan import Plan
from .row import Figure, Row, milliseconds, percentile

CANCEL_TARGET_MS = 100.0
PING_TARGET_MS = 5.0
PING_PAUSE_SECONDS = 0.02
TILES = 8
"""Timed to know how long one takes."""
ATTEMPTS = 20
"""To cancel a job before it is done."""
PATIENCE_SECONDS = 120.0
WAKE_UPS = 4
"""Of a ping: libzmq's thread, the broker, libzmq's thread, the client."""
ECHO = "import os\nwhile byte := os.read(0, 1): os.write(1, byte)"


def measure(plan: Plan) -> list[Row]:
    chance = random.Random(1)
    with daemon.running(plan.home) as own, own.connect() as client, own.connect() as other, Bare() as bare:
        work = Work(client, plan.sizes.response)
        work.start()
        tile = work.tile_seconds()
        plan.say(f"ping: {plan.sizes.pings} times while a tile takes {tile * 1e3:.0f} ms")
        pings, bares = [], []
        for nonce in range(1, plan.sizes.pings + 1):
            pings.append(_ping(other, work, nonce, chance))
            time.sleep(chance.uniform(0, PING_PAUSE_SECONDS))
            bares.append(bare.wake_up())
        plan.say(f"cancel: {plan.sizes.cancels} jobs")
        cancels = [work.cancel(chance.uniform(0, tile)) for _ in range(plan.sizes.cancels)]
    answered, free = ([each[index] for each in cancels] for index in (0, 1))
    target = max(CANCEL_TARGET_MS, tile * 1e3)
    side = plan.sizes.response
    return [
        Row(
            "cancel", f"from request to answer, during {MODEL} on {side}², p99 of {len(cancels)}",
            (
                Figure("until it is answered", percentile(answered, 99) * 1e3, "ms", target, at_least=False),
                Figure("until another job is done", percentile(free, 99) * 1e3, "ms"),
                Figure("one tile (median)", tile * 1e3, "ms"),
            ),
            detail={"answered": milliseconds(answered), "free": milliseconds(free)},
        ),
        Row(
            "ping", f"answer while the worker computes, p99 of {len(pings)}",
            (
                Figure("ping", percentile(pings, 99) * 1e3, "ms", PING_TARGET_MS, at_least=False),
                Figure("ping, median", statistics.median(pings) * 1e3, "ms"),
                Figure(f"{WAKE_UPS} bare wake-ups, the system's share", percentile(bares, 99) * 1e3, "ms"),
            ),
            detail={"ping": milliseconds(pings), "bare": milliseconds(bares)},
        ),
    ]  # fmt: skip


class Bare:
    """Another process that only sends a byte back: what it costs here, now, to wake up as often as a ping does."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", ECHO]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        self.wake_up()

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def wake_up(self) -> float:
        """Seconds for WAKE_UPS of them, one after the other."""
        began = time.perf_counter()
        for _ in range(WAKE_UPS // 2):
            os.write(self._to, b"x")
            os.read(self._from, 1)
        return time.perf_counter() - began


class Work:
    """A long job, and another one after it, so that the worker always has something to compute.

    Each has a picture of its own, so that no tile can be had without computing it.
    """

    def __init__(self, client: Client, side: int) -> None:
        self._client = client
        self._side = side
        self._turn = 0
        self._job = ""

    def start(self) -> None:
        """Begin a job and wait for its first tile."""
        self._turn += 1
        self._job = secrets.token_hex(16)
        picture = with_alpha(photograph(self._side, self._turn))
        self._client.send(daemon.upscaling(self._job, picture, MODEL, SCALE), [frame(picture)])
        while self._next().fraction == 0:
            pass

    def tile_seconds(self) -> float:
        """The median time between two reports of progress."""
        times: list[float] = []
        began = time.perf_counter()
        while len(times) < TILES:
            if self._next().fraction == 1:
                self.start()
            times.append(time.perf_counter() - began)
            began = time.perf_counter()
        return statistics.median(times[1:])

    def go_on(self) -> None:
        """Take what came, and begin anew if the job is done."""
        for message, _ in self._client.pump(0):
            if isinstance(message, Done) and message.job == self._job:
                self.start()

    def cancel(self, wait_seconds: float) -> tuple[float, float]:
        """Cancel a running job: seconds until the answer, and until a job of one pixel behind it is done."""
        for _ in range(ATTEMPTS):
            self.start()
            time.sleep(wait_seconds)
            behind = Run(secrets.token_hex(16), "identity", images={"image": Raster(1, 1, 4)})
            began = time.perf_counter()
            self._client.send(Cancel(self._job))
            self._client.send(behind, [bytes(4)])
            answers: dict[str, tuple[Message, float]] = {}
            while len(answers) < 2:
                message, _ = self._client.receive(PATIENCE_SECONDS)
                if isinstance(message, (Cancelled, Done, Failed)):
                    answers[message.job] = message, time.perf_counter() - began
            if isinstance(answers[self._job][0], Cancelled):  # otherwise it was done before
                return answers[self._job][1], answers[behind.job][1]
        raise RuntimeError(f"{MODEL} on {self._side}² is done before it can be cancelled; take a larger picture")

    def _next(self) -> Progress:
        while True:
            message, _ = self._client.receive(PATIENCE_SECONDS)
            if isinstance(message, Failed) and message.job == self._job:
                raise RuntimeError(message.message)
            if isinstance(message, Done) and message.job == self._job:
                return Progress(self._job, 1.0)
            if isinstance(message, Progress) and message.job == self._job:
                return message


def _ping(client: Client, work: Work, nonce: int, chance: random.Random) -> float:
    """Seconds until the answer, at a moment left to chance."""
    time.sleep(chance.uniform(0, PING_PAUSE_SECONDS))
    work.go_on()
    began = time.perf_counter()
    client.send(Ping(nonce))
    while True:
        message, _ = client.receive(PATIENCE_SECONDS)
        if isinstance(message, Pong) and message.nonce == nonce:
            return time.perf_counter() - began
