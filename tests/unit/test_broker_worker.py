"""The worker's place in the broker, with stand-ins for the process: a few lines of Python that do one thing."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from samovar.broker.job import Pixels
from samovar.broker.mover import AT_ONCE_BYTES, Mover
from samovar.broker.worker import WorkerSlot
from samovar.channel import Ready, Said
from samovar.segment import Block, SegmentPool
from samovar_link.errors import InternalError
from samovar_link.messages import Cancelled, Failed, Run, Unload, Unloaded

pytestmark = pytest.mark.slow  # starting Python takes a while on a busy machine


class Frame:
    def __init__(self, size: int) -> None:
        self.buffer = memoryview(bytearray(size))

    def __len__(self) -> int:
        return len(self.buffer)


class Bench:
    """A slot whose events are collected."""

    def __init__(self, *command: str) -> None:
        self.pool = SegmentPool(0, time.monotonic)
        self.mover = Mover(self.pool, lambda: None)
        self.slot = WorkerSlot(self.pool, self.mover, command)
        self.messages: list[Said] = []
        self.ends: list[str] = []
        self.slot.said = self.said
        self.slot.gone = self.ends.append

    def said(self, message: Said, blocks: list[Block]) -> None:
        self.messages.append(message)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline
            if self.slot.current is not None:
                self.slot.current.read_log()
            self.slot.read()
            self.mover.deliver()
            time.sleep(0.002)

    def close(self) -> None:
        self.slot.close()
        self.mover.close()
        self.mover.deliver()
        self.pool.close()


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(code: str = "", *command: str) -> Bench:
        benches.append(Bench(*(command or (sys.executable, "-c", code))))
        return benches[-1]

    yield make
    for each in benches:
        each.close()


CHANNEL = (
    "import sys, socket; from samovar.channel import *; from samovar.segment import SegmentPool\n"
    "channel = Channel(socket.socket(fileno=int(sys.argv[1])), SegmentPool(1, lambda: 0.0))\n"
    "def wait():\n"
    "    while not (packets := channel.receive()): pass\n"
    "    return packets[0][0]\n"
)


def test_a_program_that_is_not_there_fails_the_job_after_the_call(bench: Callable[..., Bench]) -> None:
    stage = bench("", "/nowhere/python")
    stage.slot.run(Run("j", "x"), Pixels([]))
    assert stage.messages == [], "the dispatcher is in the middle of something"
    stage.slot.tick()
    (failed,) = stage.messages
    assert isinstance(failed, Failed) and failed.code == "internal" and "/nowhere/python" in failed.message
    assert stage.slot.state == "none"


def test_a_job_too_large_for_memory_fails_by_its_type(bench: Callable[..., Bench]) -> None:
    stage = bench("input()")

    def no_room(size_bytes: int) -> Block:
        raise MemoryError("no shared memory")

    stage.pool.take = no_room  # type: ignore[method-assign]
    stage.slot.run(Run("j", "x"), Pixels([Frame(10)]))
    stage.slot.tick()
    (failed,) = stage.messages
    assert isinstance(failed, Failed) and failed.code == "out-of-memory"


@pytest.mark.parametrize("size", [10, AT_ONCE_BYTES + 1])
def test_a_job_that_cannot_be_handed_over_fails_by_its_type(
    bench: Callable[..., Bench], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pixels are in shared memory, and the descriptor for the worker is one too many."""
    stage = bench("input()")

    def refuse(descriptor: int) -> int:
        raise OSError(24, "Too many open files")

    stage.slot.start()
    monkeypatch.setattr("os.dup", refuse)
    stage.slot.run(Run("j", "x"), Pixels([Frame(size)]))
    stage.until(lambda: stage.slot.tick() or stage.messages)
    (failed,) = stage.messages
    assert isinstance(failed, Failed) and failed.code == "out-of-memory" and "Too many open files" in failed.message


def test_a_worker_of_another_version_is_not_started(
    bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "__init__.py").write_text('"""Samovar"""\n\n__version__ = "99.0.0"\n')
    monkeypatch.setattr("samovar.broker.worker._PACKAGE", tmp_path / "__init__.py")
    stage = bench("input()")
    with pytest.raises(InternalError, match="updated to 99.0.0 while"):
        stage.slot.start()
    stage.slot.run(Run("j", "x"), Pixels([]))
    stage.slot.tick()
    (failed,) = stage.messages
    assert isinstance(failed, Failed) and "samovar stop && samovar serve" in failed.hint
    (tmp_path / "__init__.py").unlink()
    stage.slot.start()
    assert stage.slot.state == "starting"


def test_the_end_of_a_worker_is_told_with_its_exit_code(bench: Callable[..., Bench]) -> None:
    stage = bench("raise SystemExit(3)")
    stage.slot.run(Run("j", "x"), Pixels([]))
    assert stage.slot.state == "starting"
    stage.until(lambda: stage.ends)
    assert stage.ends == ["exit code 3"] and stage.slot.state == "none" and stage.slot.pid == 0


def test_a_worker_that_sends_nonsense_is_ended(bench: Callable[..., Bench]) -> None:
    code = CHANNEL + "import msgpack, struct\nbody = msgpack.packb([b'nonsense', []])\n"
    stage = bench(code + "channel._socket.sendall(struct.pack('<I', len(body)) + body); wait()")
    stage.slot.run(Run("j", "x"), Pixels([]))
    stage.until(lambda: stage.ends)
    assert stage.messages == [] and stage.slot.state == "none"


def test_what_a_worker_writes_to_stderr_goes_to_the_log_at_its_level(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stage = bench("import os; os.write(2, b'INFO job 7 done\\nSegmentation fault\\nERROR half a li'); os._exit(1)")
    stage.slot.run(Run("j", "x"), Pixels([]))
    stage.until(lambda: stage.ends)
    lines = [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "samovar.worker"]
    assert lines == [("INFO", "job 7 done"), ("WARNING", "Segmentation fault"), ("ERROR", "half a li")]


@pytest.mark.parametrize("size", [10, AT_ONCE_BYTES + 1])
def test_a_job_goes_through_whatever_its_size(bench: Callable[..., Bench], size: int) -> None:
    stage = bench(CHANNEL + "channel.send(Ready('x')); run = wait(); channel.send(Cancelled(run.job)); wait()"
                  .replace("Cancelled", "__import__('samovar_link.messages').messages.Cancelled"))  # fmt: skip
    stage.slot.run(Run("j", "x"), Pixels([Frame(size)]))
    stage.until(lambda: Cancelled("j") in stage.messages)
    assert stage.messages == [Ready("x"), Cancelled("j")] and stage.slot.state == "idle"


def test_a_job_cancelled_while_its_pixels_are_copied_never_reaches_the_worker(bench: Callable[..., Bench]) -> None:
    stage = bench(CHANNEL + "wait()")
    pixels = Pixels([Frame(AT_ONCE_BYTES + 1)])
    stage.slot.run(Run("j", "x"), pixels)
    assert pixels.moving
    stage.slot.cancel("j")
    stage.until(lambda: stage.messages)
    assert stage.messages == [Cancelled("j")]


def test_a_retired_worker_ends_by_itself(bench: Callable[..., Bench]) -> None:
    stage = bench(CHANNEL + "try:\n    while True: wait()\nexcept EOFError: pass")
    stage.slot.run(Run("j", "x"), Pixels([]))
    assert stage.slot.current is not None
    process = stage.slot.current.process
    stage.slot.retire()
    assert stage.slot.state == "none" and stage.slot.pid == 0
    assert process.wait(5) == 0
    stage.slot.tick()
    assert stage.ends == []


def test_a_retired_worker_is_reported_gone_when_it_has_ended(bench: Callable[..., Bench]) -> None:
    stage = bench(CHANNEL + "try:\n    while True: wait()\nexcept EOFError: pass")
    stage.slot.start()
    assert stage.slot.current is not None
    process = stage.slot.current.process
    gone: list[int | None] = []
    stage.slot.retire(lambda: gone.append(process.returncode))
    assert gone == [] and stage.slot.leaving
    assert process.wait(5) == 0
    stage.slot.tick()
    assert gone == [0] and not stage.slot.leaving
    stage.slot.retire(lambda: gone.append(None))
    assert gone == [0, None], "there is none"


def test_a_worker_is_busy_until_it_has_answered(bench: Callable[..., Bench]) -> None:
    answer = "__import__('samovar_link.messages').messages.Unloaded()"
    stage = bench(CHANNEL + f"channel.send(Ready('x')); wait(); channel.send({answer}); wait()")
    stage.slot.start()
    stage.until(lambda: stage.slot.state == "idle")
    stage.slot.ask(Unload())
    assert stage.slot.state == "busy"
    stage.until(lambda: stage.slot.state == "idle")
    assert stage.messages == [Ready("x"), Unloaded()]


def test_a_worker_that_answers_what_nobody_asked_is_idle_all_the_same(bench: Callable[..., Bench]) -> None:
    answer = "__import__('samovar_link.messages').messages.Unloaded()"
    stage = bench(CHANNEL + f"channel.send({answer}); channel.send(Ready('x')); wait(); channel.send({answer}); wait()")
    stage.slot.start()
    stage.until(lambda: len(stage.messages) == 2)
    assert stage.slot.state == "idle"
    stage.slot.ask(Unload())
    assert stage.slot.state == "busy"
    stage.until(lambda: stage.slot.state == "idle")


def test_a_program_that_is_not_there_cannot_be_started(bench: Callable[..., Bench]) -> None:
    with pytest.raises(InternalError, match="/nowhere/python"):
        bench("", "/nowhere/python").slot.start()
