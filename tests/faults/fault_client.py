"""A client process of the fault tests: asks for one job after the other and writes down what became of each.

    python fault_client.py JOURNAL EXPECTED NAME SEED FIRST COUNT

The journal is one JSON object a line, with the system's monotonic clock, which all processes share:

    {"event": "begin", "job": 3, "attempt": 0, "id": …}    then the daemon is looked for, and started if there is none
    {"event": "sent", …}                                    it is connected, the job is on its way
    {"event": "end", …, "how": "done" | "unavailable" | code of a RemoteError, "right": …, "words": …}

It does what a plug-in does: when the daemon went away that is one sentence, and the next run starts another. A job that
was begun by a process of the same name and has no end is taken up, if its result is kept, else sent again.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent)]

from fault_requests import REQUESTS, digest, read_expected  # noqa: E402

from samovar_link import Client, UnknownJob, connect_or_start  # noqa: E402
from samovar_link.errors import DaemonUnavailable, RemoteError  # noqa: E402
from samovar_link.messages import Done  # noqa: E402

PAUSE_SECONDS = 0.5
"""A user takes longer to press the button again."""


class Journal:
    def __init__(self, path: Path) -> None:
        self.before = read(path)
        self._file = path.open("a")

    def write(self, event: str, **fields: Any) -> None:
        self._file.write(json.dumps({"event": event, "at": time.monotonic(), **fields}) + "\n")
        self._file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """Whole lines only: its writer may have been killed in the middle of one."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


class Work:
    def __init__(self, journal: Journal, expected: dict[int, str], name: str, seed: int) -> None:
        self._journal = journal
        self._expected = expected
        self._name = name
        self._seed = seed
        self._client: Client | None = None

    def carry_out(self, job: int) -> None:
        """Until it is done, however often it has to be asked for: none of the faults lasts."""
        request = random.Random(f"{self._seed} {self._name} {job}").choice(REQUESTS)
        before = [each for each in self._journal.before if each["job"] == job]
        begun = [each for each in before if each["event"] == "begin"]
        under_way = bool(before) and before[-1]["event"] != "end"
        left = begun[-1]["id"] if under_way and request.keep_result else None
        for attempt in itertools.count(len(begun)):
            id = f"{self._name}-{job}-{attempt}"
            about = {"job": job, "attempt": attempt, "id": id, "request": request.number}
            self._journal.write("begin", **about)
            how, right, words = "done", None, ""
            try:
                if self._client is None:
                    self._client = connect_or_start("faults", "1", [sys.executable, "-m", "samovar"])
                self._journal.write("sent", **about)
                images = None
                if left is not None:
                    images = self._taken_up(left)
                if images is None:
                    done, images = self._client.run(request.run(id), [request.pixels()])
                    how = "done" if isinstance(done, Done) else "cancelled"
                right = digest(images) == self._expected[request.number]
            except DaemonUnavailable as error:
                how, words, self._client = "unavailable", str(error), None
            except RemoteError as error:
                how, words = error.code, str(error)
            left = None
            self._journal.write("end", **about, how=how, right=right, words=words)
            if how == "done":
                return
            self._pause()

    def _pause(self) -> None:
        """Hear meanwhile, as a plug-in does, if the daemon goes away: the next run is not to find out."""
        end = time.monotonic() + PAUSE_SECONDS
        while time.monotonic() < end:
            try:
                if self._client is not None:
                    self._client.pump()
            except DaemonUnavailable:
                self._client = None
            time.sleep(0.05)

    def _taken_up(self, id: str) -> list[memoryview] | None:
        assert self._client is not None
        try:
            return self._client.attach(id)[1]
        except UnknownJob:  # the daemon was killed as well
            return None


def main(journal: str, expected: str, name: str, seed: str, first: str, count: str) -> None:
    work = Work(Journal(Path(journal)), read_expected(Path(expected)), name, int(seed))
    for job in range(int(first), int(first) + int(count)):
        work.carry_out(job)


if __name__ == "__main__":
    main(*sys.argv[1:])
