"""The worker's reader thread, and what it keeps for the main one.

So a `Cancel` is seen while the main thread is in the middle of a job, and the process ends at once when the broker is
gone.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time

from samovar.channel import Channel, Said
from samovar.segment import Block
from samovar_link.messages import Cancel, Enough, Run, Stop, Unload, Warm

log = logging.getLogger(__name__)


class Inbox:
    """What the reader thread has for the main thread."""

    def __init__(self, channel: Channel) -> None:
        self.unloads: queue.SimpleQueue[Unload] = queue.SimpleQueue()
        """Taken between the tiles of a job, too."""
        self._channel = channel
        self._todo: queue.SimpleQueue[tuple[Run | Warm | Unload, list[Block]]] = queue.SimpleQueue()
        self._cancelled: dict[str, threading.Event] = {}  # of every job that came and is not over
        self._enough: dict[str, threading.Event] = {}
        self._came: dict[str, float] = {}
        threading.Thread(target=self._read, name="channel", daemon=True).start()

    def next(self, patience_seconds: float) -> tuple[Run | Warm | Unload, list[Block]]:
        """What to do next; an `Unload` only says that there are `unloads`. Raises queue.Empty."""
        return self._todo.get(timeout=patience_seconds)

    def next_run(self) -> tuple[Run, list[Block]] | None:
        """A job that goes ahead of the one at work, if one came: the broker sends none but such meanwhile."""
        if not self.has_more:
            return None
        message, blocks = self._todo.get()
        if isinstance(message, Run):
            return message, blocks
        if isinstance(message, Warm):
            self._todo.put((message, blocks))  # in its time, which is between jobs
        return None

    @property
    def has_more(self) -> bool:
        """Whether something waits for the main thread."""
        return not self._todo.empty()

    def cancelled(self, job: str) -> threading.Event:
        """Set once the job is to stop. To be taken when the job begins: another one may have its name after it."""
        return self._cancelled[job]

    def enough(self, job: str) -> threading.Event:
        """Set once the job is to end with what there is. To be taken when it begins, too."""
        return self._enough[job]

    def came(self, job: str) -> float:
        """When it did, by time.monotonic."""
        return self._came[job]

    def forget(self, job: str, event: threading.Event) -> None:
        """The job is over, and its client may have sent the next one of that name already."""
        if self._cancelled.get(job) is event:
            del self._cancelled[job], self._enough[job], self._came[job]

    def _read(self) -> None:
        try:
            while True:
                for message, blocks in self._channel.receive():
                    self._take(message, blocks)
        except EOFError:
            os._exit(0)  # nobody is left to compute for, and the main thread may be deep inside a kernel
        except BaseException:
            log.exception("the channel to the broker broke")
            os._exit(1)

    def _take(self, message: Said, blocks: list[Block]) -> None:
        if isinstance(message, Run):
            self._came[message.job] = time.monotonic()
            self._cancelled[message.job] = threading.Event()
            self._enough[message.job] = threading.Event()
            self._todo.put((message, blocks))
        elif isinstance(message, Cancel):
            if (event := self._cancelled.get(message.job)) is not None:
                event.set()
        elif isinstance(message, Enough):
            if (event := self._enough.get(message.job)) is not None:
                event.set()
        elif isinstance(message, Unload):
            self.unloads.put(message)
            self._todo.put((message, blocks))
        elif isinstance(message, Warm):
            self._todo.put((message, blocks))
        elif isinstance(message, Stop):
            os._exit(0)
