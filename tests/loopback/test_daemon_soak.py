"""Ten thousand small jobs: what the daemon and its worker hold at the end is what they held near the beginning."""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from peer import Peer, identity

from live_daemon import Daemon
from samovar_link.messages import Done, Progress, Raster, Run

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]

JOBS = 10_000
WARM_UP = 1_000
CLIENTS = 2
AT_ONCE = 8
"""Jobs of a client that are under way."""
UPSCALE_EVERY = 100
GROWTH = 1.05
RESERVE = {"mappings": 2 * CLIENTS * AT_ONCE, "descriptors of segments": 4 * CLIENTS * AT_ONCE}
"""Segments lie in reserve for a minute: as many as were ever in use at once, by jobs and by what is just being read."""


def requests(seed: int, count: int) -> Iterator[tuple[Run, bytes]]:
    chance = random.Random(seed)
    for number in range(count):
        raster = Raster(chance.randint(1, 12), chance.randint(1, 12), chance.choice([1, 3, 4]))
        run = identity(raster, job=f"{seed}-{number}")
        if number % UPSCALE_EVERY == 0:
            raster = Raster(16, 16, 3)
            run = Run(f"{seed}-{number}", "upscale", {"model": "waifu2x/upconv7-art"}, {"image": raster})
        yield run, chance.randbytes(raster.size_bytes)


def work_through(daemon: Daemon, seed: int, count: int, problems: list[object]) -> None:
    """Have `count` jobs done, some at once; every identity must come back as it went."""
    waiting: dict[str, tuple[Run, bytes]] = {}
    more = requests(seed, count)
    try:
        with Peer(daemon.connection, endpoint=seed % 2) as peer:
            while True:
                while len(waiting) < AT_ONCE and (request := next(more, None)) is not None:
                    waiting[request[0].job] = request
                    peer.send(request[0], request[1])
                if not waiting:
                    return
                message, frames = peer.wait()
                if isinstance(message, Done):
                    run, pixels = waiting.pop(message.job)
                    if run.operation == "identity" and frames != [pixels]:
                        problems.append(run)
                elif not isinstance(message, Progress):
                    problems.append(message)
    except BaseException as error:
        problems.append(error)


def all_through(daemon: Daemon, count: int, seed: int) -> None:
    problems: list[object] = []
    threads = [
        threading.Thread(target=work_through, args=(daemon, seed + number, count // CLIENTS, problems))
        for number in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def holdings(process: psutil.Process) -> dict[str, int]:
    """What a process has open, by kind. A segment that it made has two descriptors, one of the other's has one."""
    targets = [os.readlink(path) for path in Path(f"/proc/{process.pid}/fd").iterdir()]
    segments = sum("memfd:samovar" in target for target in targets)
    return {
        "descriptors of segments": segments,
        "mappings": Path(f"/proc/{process.pid}/maps").read_text().count("memfd:samovar"),
        "sockets": sum(target.startswith("socket:") for target in targets),
        "other files": len(targets) - segments,
        "threads": process.num_threads(),
    }


def test_ten_thousand_jobs_leave_nothing_behind(daemon: Daemon) -> None:
    all_through(daemon, WARM_UP, 0)
    broker, (worker,) = psutil.Process(daemon.pid), daemon.workers()
    before = {each: (each.memory_info().rss, holdings(each)) for each in (broker, worker)}
    all_through(daemon, JOBS - WARM_UP, CLIENTS)
    assert daemon.workers() == [worker], "it is the same worker, and nobody else"
    for process, (rss, held) in before.items():
        now, grown = holdings(process), process.memory_info().rss
        print(f"{process.pid}: {rss / 1e6:.1f} -> {grown / 1e6:.1f} MB, {held} -> {now}")
        assert grown <= rss * GROWTH, f"{process.cmdline()}: {rss / 1e6:.1f} -> {grown / 1e6:.1f} MB"
        for kind, most in held.items():
            if kind in RESERVE:
                most = RESERVE[kind]
            assert now[kind] <= most, f"{kind} of {process.cmdline()}: {held} -> {now}"
