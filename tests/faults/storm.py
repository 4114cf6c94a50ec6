"""Clients that work while everything around them is broken, one thing a second, and what came of it.

Each client is a process of its own (`fault_client.py`); one that was killed, or stood still for good, is followed by
another that takes up what it left. At the end all faults are over, every job must end, and the daemon is stopped.
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from fault_client import read
from fault_requests import expected, write_expected
from ground import HERE, Ground, is_alive, shared_memory
from injuries import (
    ALONE,
    CLIENT_FAULTS,
    DAEMON_FAULTS,
    FOR_EVER,
    LAPSED,
    OFTEN,
    RESERVE_SECONDS,
    Fault,
    kill_client,
    stop_client,
)
from verdict import Attempt, Verdict, judge, limits

from samovar_link import connect_or_start
from samovar_link.messages import Limits

CHILDREN_SECONDS = 5.0
"""In which a worker must have followed its broker: at once, on a machine that does nothing else."""
CALM_SECONDS = 180.0
"""In which all jobs must have ended after the last fault."""
MORE_JOBS = 5
_TRIES = 5
_LEASE_SECONDS = Limits().lease_seconds


@dataclass
class Runner:
    """One client: its journal, the jobs it is to do, its process at the moment."""

    name: str
    journal: Path
    jobs: int
    process: subprocess.Popen[bytes] | None = None
    halted_until: float = 0.0

    def todo(self) -> int:
        """The first job without an end that is Done."""
        done = {each["job"] for each in read(self.journal) if each["event"] == "end" and each["how"] == "done"}
        begun = {each["job"] for each in read(self.journal)}
        return next((job for job in range(self.jobs) if job not in done and job >= max(begun, default=0)), self.jobs)


class Storm:
    """seconds : for which there are faults at least; jobs : of all clients together; every_seconds : between faults"""

    def __init__(
        self, ground: Ground, seed: int, clients: int, jobs: int, seconds: float, every_seconds: float = 1.0,
        tell: Callable[[str], None] = print,
    ) -> None:  # fmt: skip
        self._ground = ground
        self._seed = seed
        self._chance = random.Random(seed)
        self._jobs, self._seconds, self._every = jobs, seconds, every_seconds
        self._tell = tell
        self._expected = ground.switches / "expected.json"
        self._runners = [
            Runner(f"client{each}", ground.switches / f"client{each}.jsonl", jobs // clients + (each < jobs % clients))
            for each in range(clients)
        ]
        self.faults: list[Fault] = []
        self._open: list[Fault] = []
        self._raging = True
        self._orphans: list[str] = []

    def run(self, faults: Sequence[str] | None = None) -> Verdict:
        """faults : these, one after the other, and then any; None: any"""
        memory = shared_memory()
        self._reckon()
        began = time.monotonic()
        planned = list(faults or ())
        self._start_clients()
        while planned or time.monotonic() - began < self._seconds or self._ended() < self._jobs:
            if time.monotonic() - began > 4 * self._seconds + CALM_SECONDS:
                break
            self._break_one(planned)
            self._wait(self._every)
        self._calm()
        seconds = time.monotonic() - began
        attempts = self._attempts()
        problems = judge(attempts, self.faults) + self._orphans
        problems += [f"{each.name} did not end" for each in self._runners if each.process is not None]
        problems += self._end_daemon()
        problems += [f"/dev/shm/{name} remains" for name in shared_memory() - memory]
        return Verdict(self._seed, seconds, attempts, self.faults, problems)

    # --- before and after ---------------------------------------------------------------------------------------------

    def _reckon(self) -> None:
        with limits(self._ground.environment):
            client = connect_or_start("faults", "1", [sys.executable, "-m", "samovar"])
        with client:
            write_expected(self._expected, expected(client))

    def _calm(self) -> None:
        """No more faults; let all come to their ends."""
        self._raging = False
        for fault in self._open:
            fault.undo()
            fault.end = min(fault.end, time.monotonic())
        self._open.clear()
        for runner in self._runners:
            runner.halted_until = min(runner.halted_until, time.monotonic())
        end = time.monotonic() + CALM_SECONDS
        while any(each.process is not None for each in self._runners) and time.monotonic() < end:
            self._wait(0.2)

    def _end_daemon(self) -> list[str]:
        stopped = self._ground.samovar("stop")
        problems = [] if stopped.returncode == 0 else [f"samovar stop: {stopped.stdout}{stopped.stderr}"]
        end = time.monotonic() + CHILDREN_SECONDS
        while (remains := self._ground.remains()) and time.monotonic() < end:
            time.sleep(0.1)
        log = self._ground.log
        problems += [f"in the log: {each}" for each in ("could not be handled", "because of an error") if each in log]
        return problems + [f"it remains: {each}" for each in remains]

    def _attempts(self) -> list[Attempt]:
        return [each for runner in self._runners for each in Attempt.all_of(runner.name, read(runner.journal))]

    # --- clients ------------------------------------------------------------------------------------------------------

    def _start_clients(self) -> None:
        for runner in self._runners:
            self._start(runner)

    def _start(self, runner: Runner) -> None:
        first = runner.todo()
        if first >= runner.jobs:
            runner.process = None
            return
        errors = (self._ground.switches / f"{runner.name}.stderr").open("ab")
        with errors:
            runner.process = subprocess.Popen(
                [sys.executable, HERE / "fault_client.py", runner.journal, self._expected, runner.name, str(self._seed),
                 str(first), str(runner.jobs - first)],
                env=self._ground.environment, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            )  # fmt: skip

    def _tend(self) -> None:
        """Replace clients that ended before their time, and end those that will never go on."""
        for runner in self._runners:
            if runner.process is None:
                continue
            if runner.halted_until and time.monotonic() > runner.halted_until:
                runner.halted_until = 0.0
                self.faults.append(kill_client(runner.name, psutil.Process(runner.process.pid)))
            status = runner.process.poll()
            if status is not None:
                if status > 0:
                    self._orphans.append(f"{runner.name} ended with status {status}: {self._errors(runner)}")
                if self._raging and runner.todo() >= runner.jobs:
                    runner.jobs += MORE_JOBS  # it was quicker than the faults
                self._start(runner)

    def _errors(self, runner: Runner) -> str:
        return (self._ground.switches / f"{runner.name}.stderr").read_text()[-2000:]

    def _ended(self) -> int:
        return sum(runner.todo() for runner in self._runners)

    # --- faults -------------------------------------------------------------------------------------------------------

    def _break_one(self, planned: list[str]) -> None:
        """The next that is planned, else any; another one if there is no worker to kill, or the like."""
        for _ in range(_TRIES):
            wanted = planned.pop(0) if planned else None
            name = wanted or self._chance.choices(list(OFTEN), list(OFTEN.values()))[0]
            if self._break_something(name):
                return
            if wanted is not None:
                planned.append(wanted)

    def _break_something(self, name: str) -> bool:
        """Whether it could be done just now."""
        if name in CLIENT_FAULTS:
            fault = self._break_client(name)
        else:
            fault = None
            if not {each.kind for each in self._open} & ALONE.get(name, set()):
                fault = DAEMON_FAULTS[name](self._ground, self._chance)
        if fault is None:
            return False
        self.faults.append(fault)
        self._open.append(fault)
        self._tell(f"{fault.kind} {fault.victim}".rstrip())
        return True

    def _break_client(self, name: str) -> Fault | None:
        able = [each for each in self._runners if each.process is not None and not each.halted_until]
        able = [each for each in able if not any(fault.victim == each.name for fault in self._open)]
        if not able:
            return None
        runner = self._chance.choice(able)
        assert runner.process is not None
        process = psutil.Process(runner.process.pid)
        if name == "kill":
            return kill_client(runner.name, process)
        if name == "stop_for_ever":
            runner.halted_until = time.monotonic() + self._chance.uniform(5.0, 15.0)
            fault = stop_client(runner.name, process, FOR_EVER, _LEASE_SECONDS)
            fault.end = runner.halted_until
            fault.undo = lambda: None
            return fault
        seconds = self._chance.uniform(0.2, 1.2) if name == "stop_short" else self._chance.uniform(3.5, 6.0)
        return stop_client(runner.name, process, seconds, _LEASE_SECONDS)

    def _over(self, fault: Fault) -> None:
        """Its end as it came, which is later than it was to be where another fault took its time."""
        now = time.monotonic()
        if fault.kind == "client stops for a moment" and now - fault.begin > _LEASE_SECONDS - RESERVE_SECONDS:
            fault.kind, fault.excuses = "client stops", LAPSED
        if fault.excuses:
            fault.end = max(fault.end, now)

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = time.monotonic()
            for fault in [each for each in self._open if each.end <= now and not each.children]:
                fault.undo()
                self._over(fault)
                self._open.remove(fault)
            for fault in [each for each in self._open if each.children and each.end + CHILDREN_SECONDS <= now]:
                fault.undo()
                self._open.remove(fault)
                self._orphans += [
                    f"process {each.pid} outlived its broker" for each in fault.children if is_alive(each)
                ]
            self._tend()
            time.sleep(0.05)


def summary(verdict: Verdict) -> str:
    ends = Counter(each.how for each in verdict.attempts)
    jobs = {(each.client, each.job) for each in verdict.attempts if each.how == "done"}
    kinds = Counter(each.kind for each in verdict.faults)
    lines = [
        f"seed {verdict.seed}: {len(jobs)} jobs done in {verdict.seconds:.0f} s, {len(verdict.attempts)} attempts",
        "ends of attempts: " + ", ".join(f"{count} {how}" for how, count in ends.most_common()),
        f"{len(verdict.faults)} faults: " + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()),
        *verdict.problems,
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """`python -m tests.faults`."""
    import argparse

    from ground import ground

    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="at least so long")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--keep", type=Path, help="copy the daemons' log and the journals there")
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    began = time.monotonic()
    with ground() as where:
        storm = Storm(
            where, options.seed, options.clients, options.jobs, options.seconds,
            tell=lambda words: print(f"{time.monotonic() - began:7.1f} s  {words}", flush=True),
        )  # fmt: skip
        try:
            verdict = storm.run()
        finally:
            if options.keep is not None:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / "samovar.log").write_text(where.log)
                for path in where.switches.glob("client*"):
                    with contextlib.suppress(OSError):
                        (options.keep / path.name).write_bytes(path.read_bytes())
    print(summary(verdict))
    return 1 if verdict.problems else 0
