"""The client in an event loop, as Krita drives it: a descriptor, a timer, and nothing that blocks."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from router import TOKEN, Router

from samovar_link.client import Client
from samovar_link.discovery import ConnectionFile
from samovar_link.messages import Done, Message, Run, Welcome

pytestmark = pytest.mark.alone

TICK_SECONDS = 0.01
MEGABYTES = 64


class Loop:
    """A 10 ms tick beside a client.

    `stalls` holds by how much each tick came late, `turns` what each `pump` took of the processor: the first is what a
    painter feels, the second does not depend on what else the machine does.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.stalls: list[float] = []
        self.turns: list[float] = []
        self.received: list[tuple[Message, list[memoryview]]] = []

    def run_until(self, ended: Callable[[], bool], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        due = time.monotonic() + TICK_SECONDS
        while not ended():
            assert time.monotonic() < end
            with selectors.DefaultSelector() as selector:
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.client.wants_write else 0)
                selector.register(self.client.fileno(), events)
                ready = selector.select(max(0.0, due - time.monotonic()))
            if time.monotonic() >= due:
                self.stalls.append(time.monotonic() - due)
                due = time.monotonic() + TICK_SECONDS
            if ready:
                start = time.thread_time()
                self.received += self.client.pump(0.005)
                self.turns.append(time.thread_time() - start)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["ipc", "tcp"])
def test_a_tick_keeps_ticking_while_64_megabytes_go_both_ways(tmp_path: Path, scheme: str) -> None:
    endpoint = f"ipc://{tmp_path}/s" if scheme == "ipc" else "tcp://127.0.0.1:*"
    pixels = bytes(range(256)) * (MEGABYTES << 12)
    with Router(endpoint) as router:
        connection = ConnectionFile(pid=1, token=TOKEN, endpoints=("ipc:///nowhere", router.endpoint))
        with Client(connection, name="test", version="1") as client:
            loop = Loop(client)
            loop.run_until(lambda: client.welcome is not None)
            loop.stalls.clear()
            for job in ("a", "b", "c"):
                loop.received.clear()
                client.send(Run(job, "identity"), [pixels])
                loop.run_until(lambda: len(loop.received) == 1)
                message, frames = loop.received[0]
                assert message == Done(job)
                assert frames[0] == pixels
                del frames
    assert len(loop.stalls) >= 5
    worst = f"{scheme}: worst tick {max(loop.stalls) * 1000:.1f} ms late, worst turn {max(loop.turns) * 1000:.1f} ms"
    print(worst)
    assert max(loop.turns) < 0.03, worst
    assert sorted(loop.stalls)[len(loop.stalls) // 2] < 0.02, worst


def test_pump_returns_within_its_budget_in_the_middle_of_a_large_frame(tmp_path: Path) -> None:
    pixels = bytes(32 << 20)
    with Router(f"ipc://{tmp_path}/s") as router:
        connection = ConnectionFile(pid=1, token=TOKEN, endpoints=(router.endpoint,))
        with Client(connection, name="test", version="1") as client:
            assert isinstance(client.receive(5)[0], Welcome)
            client.send(Run("a", "identity"), [pixels])
            longest, calls, done = 0.0, 0, False
            while not done:
                start = time.thread_time()  # of this thread: others may have the cores meanwhile
                done = bool(client.pump(0.0))
                longest, calls = max(longest, time.thread_time() - start), calls + 1
    assert calls >= 32  # a megabyte at most in each
    assert longest < 0.01
