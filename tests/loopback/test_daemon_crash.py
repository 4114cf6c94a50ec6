"""The worker dies, at any moment and of anything: that costs the job at hand one retry, and nobody else a thing."""

from __future__ import annotations

import os
import random
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psutil
import pytest
from peer import SMALL_PIXELS, Peer, identity, small, wait_for_progress

from live_daemon import Daemon
from samovar_link.messages import Attach, Cancelled, Done, Failed, Message, Progress, Raster, Run, Unload, Unloaded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

CLIENTS = 4
JOBS = 50
KILLS = 8
AT_ONCE = 3
PATIENCE_SECONDS = 60.0
DEATH = re.compile(r"job (\S+): the worker died|the worker ended while idle")


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def worker_of(daemon: Daemon) -> psutil.Process | None:
    """The one that lives."""
    for process in daemon.workers():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.NoSuchProcess:
            pass
    return None


def upscale(job: str, side: int = 16) -> tuple[Run, bytes]:
    raster = Raster(side, side, 3)
    run = Run(job, "upscale", {"model": "waifu2x/upconv7-art"}, {"image": raster})
    return run, random.Random(side).randbytes(raster.size_bytes)


@dataclass
class Ledger:
    """Every last answer that came, by job; and what else happened."""

    answers: dict[str, list[tuple[Message, list[bytes]]]] = field(default_factory=dict)
    problems: list[object] = field(default_factory=list)

    def work_through(self, daemon: Daemon, number: int, requests: list[tuple[Run, bytes]]) -> None:
        """One client: its jobs, some at once, and a while longer for what must not come."""
        fractions: dict[str, float] = {}
        todo, waiting = list(requests), 0
        try:
            with Peer(daemon.connection, endpoint=number % 2) as peer:
                while todo or waiting:
                    while todo and waiting < AT_ONCE:
                        peer.send(*todo.pop())
                        waiting += 1
                    message, frames = peer.wait(PATIENCE_SECONDS)
                    if isinstance(message, Progress):
                        assert message.fraction >= fractions.get(message.job, 0.0)
                        fractions[message.job] = message.fraction
                        continue
                    assert isinstance(message, (Done, Failed, Cancelled)), message
                    self.answers.setdefault(message.job, []).append((message, frames))
                    waiting -= 1
                assert peer.receive(0.3) is None, "more came than was asked for"
        except BaseException as error:
            self.problems.append(error)


def requests_of(number: int) -> Iterator[tuple[Run, bytes]]:
    """Of a client: small and large ones, quick and slow ones, and one with a network."""
    chance = random.Random(number)
    for index in range(JOBS // CLIENTS + (number < JOBS % CLIENTS)):
        side = chance.choice([3, 100, 900])  # the large ones are copied on a thread
        raster = Raster(side, side + index, 4)
        run = identity(raster, seconds=chance.choice([0.0, 0.05, 0.2]), job=f"{number}-{index}")
        yield run, chance.randbytes(raster.size_bytes)
    yield upscale(f"{number}-network")


def test_fifty_jobs_of_four_clients_come_out_right_however_often_the_worker_is_killed(daemon: Daemon) -> None:
    ledger = Ledger()
    plan = {number: list(requests_of(number)) for number in range(CLIENTS)}
    with Peer(daemon.connection) as peer:
        run, pixels = upscale("reference")
        peer.send(run, pixels)
        expected = {"network": peer.outcome(run.job, PATIENCE_SECONDS)[1]}
    for requests in plan.values():
        expected |= {run.job: [pixels] for run, pixels in requests if run.operation == "identity"}
    threads = [threading.Thread(target=ledger.work_through, args=(daemon, *item)) for item in plan.items()]
    for thread in threads:
        thread.start()
    kills = kill_at_random_times(daemon, ledger, threads)
    for thread in threads:
        thread.join()

    assert ledger.problems == []
    assert len(expected) == JOBS + 1 and kills >= KILLS // 2
    retries = 0
    for run in (run for requests in plan.values() for run, _ in requests):
        ((done, frames),) = ledger.answers[run.job]
        assert isinstance(done, Done), done
        assert frames == expected[run.job.split("-")[1] if run.operation == "upscale" else run.job]
        assert len(done.report.retries) <= 1
        retries += len(done.report.retries)
    assert retries == len(re.findall(r"job \S+: the worker died", daemon.log))


def kill_at_random_times(daemon: Daemon, ledger: Ledger, threads: list[threading.Thread]) -> int:
    """Kill until the clients are done; never one job twice, as its second death would be its end. Returns how often."""
    chance = random.Random(5)
    kills = 0
    while kills < KILLS and any(thread.is_alive() for thread in threads):
        time.sleep(chance.uniform(0.0, 0.4))
        worker = worker_of(daemon)
        if worker is not None:
            worker.kill()
            kills += 1
            see_through(daemon, ledger, threads, kills)
    return kills


def see_through(daemon: Daemon, ledger: Ledger, threads: list[threading.Thread], deaths: int) -> None:
    """Wait for the news of a death, and for the end of the job that it hit."""
    wait_until(lambda: len(DEATH.findall(daemon.log)) >= deaths)
    victim = DEATH.findall(daemon.log)[-1]
    wait_until(lambda: victim in ("", *ledger.answers) or not any(thread.is_alive() for thread in threads))


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT, signal.SIGBUS])
def test_a_worker_that_dies_of_a_signal_costs_one_retry_and_other_clients_nothing(
    shared_daemon: Daemon, number: signal.Signals
) -> None:
    """SIGKILL is also what the system does to a process that takes too much memory."""
    with Peer(shared_daemon.connection) as victim, Peer(shared_daemon.connection) as other:
        job, waiting = small(seconds=0.5), [small() for _ in range(3)]
        victim.send(job, SMALL_PIXELS)
        for each in waiting:
            other.send(each, SMALL_PIXELS)
        wait_for_progress(victim)
        worker = worker_of(shared_daemon)
        assert worker is not None
        os.kill(worker.pid, number)
        done, frames, _ = victim.outcome(job.job)
        assert isinstance(done, Done) and frames == [SMALL_PIXELS]
        (retry,) = done.report.retries
        assert number.name in retry
        for each in waiting:
            done, frames, _ = other.outcome(each.job)
            assert isinstance(done, Done) and frames == [SMALL_PIXELS] and done.report.retries == ()


def test_a_network_that_is_shot_down_between_two_tiles_starts_again_and_gives_the_same_pixels(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        run, pixels = upscale("undisturbed", 300)
        peer.send(run, pixels)
        done, expected, progress = peer.outcome(run.job, PATIENCE_SECONDS)
        assert isinstance(done, Done) and done.report.tiles.total > 3
        peer.send(Unload())  # with all that it may remember
        assert isinstance(peer.wait()[0], Unloaded)
        run, pixels = upscale("shot", 300)
        peer.send(run, pixels)
        while not (isinstance(message := peer.wait()[0], Progress) and 0.2 < message.fraction < 1):
            pass
        worker = worker_of(daemon)
        assert worker is not None
        os.kill(worker.pid, signal.SIGSEGV)
        done, frames, progress = peer.outcome(run.job, PATIENCE_SECONDS)
    assert isinstance(done, Done) and len(done.report.retries) == 1 and frames == expected
    assert all(each.fraction >= message.fraction for each in progress), "it went backwards"
    wait_until(lambda: "Segmentation fault" in daemon.log)


def test_a_kept_result_survives_the_death_of_the_worker(daemon: Daemon) -> None:
    job = small(keep_result=True)
    with Peer(daemon.connection) as peer:
        assert isinstance(peer.run(job, SMALL_PIXELS)[0], Done)
        worker = worker_of(daemon)
        assert worker is not None
        worker.kill()
        wait_until(lambda: "the worker ended while idle" in daemon.log)
        peer.send(Attach(job.job))
        assert peer.outcome(job.job)[1] == [SMALL_PIXELS]
