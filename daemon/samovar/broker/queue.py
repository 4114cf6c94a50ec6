"""Jobs that wait: interactive ones before batch ones, and clients in turn within each, oldest job of a client first."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from samovar.broker.job import Job
from samovar_link.messages import BATCH, PRIORITIES


class JobQueue:
    """has_to_wait : whether nothing of a client is to be run just now"""

    def __init__(self, has_to_wait: Callable[[bytes], bool] = lambda client: False) -> None:
        self._has_to_wait = has_to_wait
        self._lines: dict[str, OrderedDict[bytes, deque[Job]]] = {priority: OrderedDict() for priority in PRIORITIES}
        self._first: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._first) + sum(len(jobs) for line in self._lines.values() for jobs in line.values())

    def push(self, job: Job) -> None:
        self._lines[job.run.priority].setdefault(job.client, deque()).append(job)

    def push_first(self, job: Job) -> None:
        """Back at the head: its worker died, it has waited once already."""
        self._first.appendleft(job)

    def pop(self, *, ahead: bool = False) -> Job | None:
        """The next job to run. Its client goes to the end of the line.

        ahead : only one that goes ahead of a batch job
        """
        if self._first and not (ahead and self._first[0].is_batch):
            return self._first.popleft()
        for priority, line in self._lines.items():
            if ahead and priority == BATCH:
                continue
            for client, jobs in line.items():
                if self._has_to_wait(client):
                    continue
                job = jobs.popleft()
                del line[client]
                if jobs:
                    line[client] = jobs
                return job
        return None

    def remove(self, job: Job) -> bool:
        """Take a job out; False if it does not wait."""
        if job in self._first:
            self._first.remove(job)
            return True
        line = self._lines[job.run.priority]
        jobs = line.get(job.client)
        if jobs is None or job not in jobs:
            return False
        jobs.remove(job)
        if not jobs:
            del line[job.client]
        return True

    def reassign(self, job: Job, client: bytes) -> None:
        """Another client's job from now on: if it waits in line, then at the end of the new one's."""
        waits = job not in self._first and self.remove(job)
        job.client = client
        if waits:
            self.push(job)
