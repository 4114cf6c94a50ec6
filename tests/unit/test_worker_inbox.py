"""What the worker's reader thread keeps for its main thread."""

from __future__ import annotations

import queue

from samovar.channel import Said
from samovar.segment import Block
from samovar.worker.inbox import Inbox
from samovar_link.messages import Cancel, Run


class Line:
    """Stands in for the channel: gives what was put in, and never ends."""

    def __init__(self) -> None:
        self.said: queue.SimpleQueue[Said] = queue.SimpleQueue()

    def receive(self) -> list[tuple[Said, list[Block]]]:
        return [(self.said.get(), [])]


def test_a_job_that_ends_takes_nothing_from_the_next_one_of_its_name() -> None:
    line = Line()
    inbox = Inbox(line)  # type: ignore[arg-type]
    line.said.put(Run("again", "identity"))
    inbox.next(5)
    first = inbox.cancelled("again")
    line.said.put(Run("again", "identity"))
    inbox.next(5)
    inbox.forget("again", first)  # only now is the first one quite over
    second = inbox.cancelled("again")
    assert second is not first
    line.said.put(Cancel("again"))
    assert second.wait(5) and not first.is_set()
    inbox.forget("again", second)
