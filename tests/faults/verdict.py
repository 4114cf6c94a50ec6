"""Whether what became of the jobs is what may become of them.

1. No picture comes back wrong, whatever happens.
2. An attempt that does not end in its picture ends in a named error, in words, and with a fault that explains it: one
   that may cause this error, at a time when the attempt was under way, and not at another client.
3. After the broker was killed, a client that was connected is told within `TOLD_SECONDS`.
4. In the end every job is done.

So a client is *unharmed* by the death of the worker (its job is tried again), by whatever happens to other clients, by
the clock, by a disk that is full or read-only while it is connected, and by standing still for less than its lease.
The death of the broker harms all that are connected or connecting: they are told so in one sentence, and the next run
starts another daemon.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from injuries import NO_START, UNAVAILABLE, Fault

TOLD_SECONDS = 2.0
LAST_WORDS = 0.5
"""Seconds after the end of a fault in which its effects are still on their way to the journal."""


@dataclass
class Attempt:
    """sent, end : monotonic, None if it did not get so far; how : "done", "unavailable", or a RemoteError's code"""

    client: str
    job: int
    attempt: int
    begin: float
    sent: float | None = None
    end: float | None = None
    how: str = ""
    right: bool | None = None
    words: str = ""

    @classmethod
    def all_of(cls, client: str, journal: Sequence[dict[str, Any]]) -> list[Attempt]:
        found: dict[str, Attempt] = {}
        for each in journal:
            if each["event"] == "begin":
                found[each["id"]] = cls(client, each["job"], each["attempt"], each["at"])
            elif each["event"] == "sent":
                found[each["id"]].sent = each["at"]
            else:
                attempt = found[each["id"]]
                attempt.end, attempt.how = each["at"], each["how"]
                attempt.right, attempt.words = each["right"], each["words"]
        return list(found.values())

    def __str__(self) -> str:
        return f"job {self.client}-{self.job}-{self.attempt}"


@dataclass
class Verdict:
    seed: int
    seconds: float
    attempts: list[Attempt]
    faults: list[Fault]
    problems: list[str]


def judge(attempts: Sequence[Attempt], faults: Sequence[Fault]) -> list[str]:
    """What is not as it must be, in sentences."""
    problems = []
    for each in attempts:
        if each.how == "done":
            if not each.right:
                problems.append(f"{each}: the picture is wrong")
        elif each.end is None:
            if not any(fault.victim == each.client and fault.kind == "client killed" for fault in faults):
                problems.append(f"{each}: it has no end")
        elif not each.words:
            problems.append(f"{each}: {each.how}, without a word")
        else:
            problems += _unexplained(each, faults)
    begun = {(each.client, each.job) for each in attempts}
    done = {(each.client, each.job) for each in attempts if each.how == "done"}
    problems += [f"job {client}-{job} was never done" for client, job in sorted(begun - done)]
    return list(dict.fromkeys(problems))


def _unexplained(attempt: Attempt, faults: Sequence[Fault]) -> list[str]:
    assert attempt.end is not None
    able = [each for each in faults if _may_explain(each, attempt)]
    if attempt.how == "worker-crashed" and len(able) < 2 and not any("descriptors" in each.kind for each in able):
        able = []  # the first death costs a retry and nothing else
    if not able:
        return [f"{attempt}: {attempt.how} after {attempt.end - attempt.begin:.1f} s for no reason: {attempt.words}"]
    if attempt.how == UNAVAILABLE and attempt.sent is not None:
        last = max(each.end for each in able)
        if attempt.end - last > TOLD_SECONDS:
            return [f"{attempt}: told {attempt.end - last:.1f} s after {able[-1].kind}: {attempt.words}"]
    return []


def _may_explain(fault: Fault, attempt: Attempt) -> bool:
    assert attempt.end is not None
    if fault.victim and fault.victim != attempt.client:
        return False
    how = NO_START if attempt.how == UNAVAILABLE and attempt.sent is None and NO_START in fault.excuses else attempt.how
    return how in fault.excuses and fault.begin <= attempt.end and attempt.begin - LAST_WORDS <= fault.end


@contextlib.contextmanager
def limits(environment: dict[str, str]) -> Iterator[None]:
    """This process with another environment."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
