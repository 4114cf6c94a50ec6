"""What is done to daemons and clients. Each fault has a beginning and an end, and says whom it may hurt and how.

A fault excuses the errors that it may cause, of jobs that were under way between its beginning and its end, and no
others. The times are the system's monotonic clock.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ground import COMMAND, Ground, is_alive

from samovar import lock
from samovar_link.discovery import ConnectionFile
from samovar_link.errors import DaemonUnavailable

UNAVAILABLE = "unavailable"
NO_START = "no start"
"""Unavailable, to who was not connected yet."""
LAPSED = (UNAVAILABLE, "remote")
FOR_EVER = float("inf")
RESERVE_SECONDS = 1.5
"""Of a lease: a heartbeat is due every second, and this machine may be slow."""


@dataclass
class Fault:
    """kind : its name; victim : name of a client, or "" for the daemon; excuses : what may be said because of it;
    children : who must go with the broker that was killed; undo : to be called at its end"""

    kind: str
    begin: float
    end: float
    excuses: tuple[str, ...] = ()
    victim: str = ""
    children: list[psutil.Process] = field(default_factory=list)
    undo: Callable[[], None] = lambda: None


Injury = Callable[[Ground, random.Random], "Fault | None"]


def kill_worker(ground: Ground, chance: random.Random) -> Fault | None:
    """Costs the job under it one retry. Under a second one it fails."""
    workers = ground.workers()
    if not workers:
        return None
    begin = time.monotonic()
    with contextlib.suppress(psutil.NoSuchProcess):
        chance.choice(workers).kill()
    return Fault("worker killed", begin, begin + 1.0, ("worker-crashed",))


def kill_broker(ground: Ground, chance: random.Random) -> Fault | None:
    """The one that serves, or one of those that start. Whoever is connected or connecting is told in one sentence."""
    brokers = ground.brokers()
    if not brokers:
        return None
    with contextlib.suppress(OSError, DaemonUnavailable):
        serving = ConnectionFile.read(ground.connection_file).pid
        brokers = [each for each in brokers if each.pid == serving] or brokers
    children = []
    begin = time.monotonic()
    broker = chance.choice(brokers)
    with contextlib.suppress(psutil.NoSuchProcess):
        children += broker.children(recursive=True)
        broker.kill()
    return Fault("broker killed", begin, time.monotonic(), (UNAVAILABLE,), children=children)


def leave_stale_file(ground: Ground, chance: random.Random) -> Fault | None:
    """The file of a daemon that is no more, with the number of a process that lives and an address where nobody is."""
    fault = kill_broker(ground, chance)
    if fault is None:
        return None
    gone = ConnectionFile(1, "0" * 64, (f"ipc://{ground.home}/run/nobody.sock", "tcp://127.0.0.1:1"), version="0.0.1")
    with contextlib.suppress(lock.Taken, OSError), lock.held(ground.home / lock.NAME):
        gone.write(ground.connection_file)
    fault.kind = "stale connection file"
    fault.end = time.monotonic()
    return fault


def race(ground: Ground, chance: random.Random) -> Fault | None:
    """Several daemons start at once, one time of two because there is none. One of them stays."""
    fault = kill_broker(ground, chance) if chance.random() < 0.5 else None
    begin = time.monotonic()
    racers = [
        subprocess.Popen([*COMMAND, "serve", "--detach"], env=ground.environment, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]  # fmt: skip

    def collect() -> None:
        for each in racers:
            each.wait(30)

    if fault is None:
        fault = Fault("daemons race", begin, time.monotonic())
    fault.kind, fault.undo = "daemons race", collect
    return fault


def fill_disk(ground: Ground, chance: random.Random) -> Fault | None:
    """A daemon that runs must not mind; one that starts says so."""
    if not ground.mounted:
        return None
    ballast, begin = ground.home / "models" / "ballast", time.monotonic()
    with contextlib.suppress(OSError):
        ballast.parent.mkdir(exist_ok=True)
        with ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 12))

    def undo() -> None:
        ballast.unlink(missing_ok=True)

    return _window("disk full", begin, chance, (NO_START,), undo)


def make_read_only(ground: Ground, chance: random.Random) -> Fault | None:
    """The same: nothing can be written any more, log files that are open excepted."""
    if not ground.mounted:
        return None
    home, begin = str(ground.home), time.monotonic()
    for options in (["--bind", home, home], ["-o", "remount,bind,ro", home]):
        subprocess.run(["mount", *options], check=True, capture_output=True)

    def undo() -> None:
        subprocess.run(["umount", "-l", home], check=True, capture_output=True)

    return _window("disk read-only", begin, chance, (NO_START,), undo)


def shift_clock(ground: Ground, chance: random.Random) -> Fault | None:
    """By hours to days, forwards or back. Nobody must mind at all."""
    (ground.switches / "clock").write_text(str(chance.choice([-86400.0, -3600.0, 3600.0, 30 * 86400.0])))
    return Fault("clock jumps", now := time.monotonic(), now)


def take_shared_memory(ground: Ground, chance: random.Random) -> Fault | None:
    """Jobs that need new segments fail and say so; the next ones are done."""
    switch, begin = ground.switches / "no-shared-memory", time.monotonic()
    switch.touch()
    return _window("no shared memory", begin, chance, ("out-of-memory",), lambda: switch.unlink(missing_ok=True))


def take_descriptors(ground: Ground, chance: random.Random) -> Fault | None:
    """Neither files nor connections can be opened any more, by the broker or by the worker.

    Under a broker without descriptors libzmq 4.3.5 aborts when somebody connects to its ipc socket: it does not expect
    EMFILE there. So its death is excused; it has as many as the system gives it (`samovar/descriptors.py`).
    """
    of_broker = chance.random() < 0.5
    processes = ground.brokers() if of_broker else ground.workers()
    if not processes:
        return None
    pid, begin = processes[0].pid, time.monotonic()
    try:
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        if (lowest := lowest_free(pid)) == 0:  # it is just ending
            return None
        most = lowest + chance.randrange(3)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(most, before[1]), before[1]))
    except OSError:  # it has just ended
        return None

    def undo() -> None:
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    excuses = (UNAVAILABLE if of_broker else NO_START, "out-of-memory", "internal", "worker-crashed")
    return _window("no descriptors", begin, chance, excuses, undo)


def lowest_free(pid: int) -> int:
    """The number of the file that the process opens next: with that for its limit it opens none. Raises OSError."""
    used = {int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in itertools.count() if number not in used)


def _window(
    kind: str, begin: float, chance: random.Random, excuses: tuple[str, ...], undo: Callable[[], None]
) -> Fault:
    """begin : before anything was done, for its effect may be there before this is called"""
    return Fault(kind, begin, time.monotonic() + chance.uniform(0.5, 2.5), excuses, undo=undo)


# --- clients ----------------------------------------------------------------------------------------------------------


def kill_client(name: str, process: psutil.Process) -> Fault:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
    return Fault("client killed", now := time.monotonic(), now, victim=name)


def stop_client(name: str, process: psutil.Process, seconds: float, lease_seconds: float) -> Fault:
    """It stands still. For less than its lease nothing may come of that; for longer its job may have been ended."""
    begin = time.monotonic()
    with contextlib.suppress(psutil.NoSuchProcess):
        process.suspend()

    def undo() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            if is_alive(process):
                os.kill(process.pid, signal.SIGCONT)

    short = seconds < lease_seconds - RESERVE_SECONDS
    kind = "client stops for a moment" if short else "client stops"
    return Fault(kind, begin, begin + seconds, () if short else LAPSED, victim=name, undo=undo)


DAEMON_FAULTS: dict[str, Injury] = {
    "kill_worker": kill_worker,
    "kill_broker": kill_broker,
    "leave_stale_file": leave_stale_file,
    "race": race,
    "fill_disk": fill_disk,
    "make_read_only": make_read_only,
    "shift_clock": shift_clock,
    "take_shared_memory": take_shared_memory,
    "take_descriptors": take_descriptors,
}
CLIENT_FAULTS = ("kill", "stop_short", "stop_long", "stop_for_ever")

OFTEN = {
    "kill_worker": 2.0, "kill_broker": 1.0, "leave_stale_file": 0.5, "race": 1.0, "fill_disk": 1.5,
    "make_read_only": 1.5, "shift_clock": 1.5, "take_shared_memory": 1.5, "take_descriptors": 2.0,
    "kill": 5.0, "stop_short": 5.0, "stop_long": 2.0, "stop_for_ever": 1.0,
}  # fmt: skip
"""How often each comes, beside the others. After a death torch is imported anew; the most is to happen in between."""

_DISK = {"disk full", "disk read-only"}
ALONE = {
    "fill_disk": _DISK, "make_read_only": _DISK, "take_shared_memory": {"no shared memory"},
    "take_descriptors": {"no descriptors"},
}  # fmt: skip
"""While what cannot be begun."""
