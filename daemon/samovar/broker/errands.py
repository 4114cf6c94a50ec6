"""Runs the program `samovar` for what takes long and needs no worker: fetching a model, looking at a file.

Each has a thread that reads what it prints; the loop is woken and passes it on.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from samovar import parent, surroundings

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "samovar")
_END_SECONDS = 8.0
"""A training puts aside what it has learned, at the end of its step."""

Said = Callable[[dict[str, Any]], None]
Ended = Callable[[str], None]


class Errand:
    """See `port.Errand`. process : None for what could not be started"""

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process

    def stop(self) -> None:
        self.resume()  # who stands still hears nothing
        if self._process is not None:
            self._process.terminate()

    def pause(self) -> None:
        self._signalled(psutil.Process.suspend)

    def resume(self) -> None:
        self._signalled(psutil.Process.resume)

    def _signalled(self, signal: Callable[[psutil.Process], None]) -> None:
        if self._process is not None and self._process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                signal(psutil.Process(self._process.pid))


class Errands:
    """wake : called from threads when there is something to `deliver` on the loop's thread"""

    def __init__(self, wake: Callable[[], None], command: Sequence[str] = COMMAND) -> None:
        self._wake = wake
        self._command = command
        self._news: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._running: dict[subprocess.Popen[str], threading.Thread] = {}

    def start(self, words: Sequence[str], said: Said, ended: Ended) -> Errand:
        """See `port.Errands`. What cannot be started has ended."""
        try:
            process = subprocess.Popen(
                [*self._command, *words], text=True, encoding="utf-8", errors="replace", start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                cwd=surroundings.FOLDER, env=surroundings.environment(**{parent.VARIABLE: str(os.getpid())}),
            )  # fmt: skip
        except OSError as error:
            reason = f"{self._command[0]} cannot be started: {error.strerror}"
            self._tell(lambda: ended(reason))
            return Errand(None)
        thread = threading.Thread(target=self._listen, args=(process, said, ended), name="errand", daemon=True)
        self._running[process] = thread
        thread.start()
        return Errand(process)

    def deliver(self) -> None:
        """Pass on what was said since. On the loop's thread."""
        while not self._news.empty():
            self._news.get()()

    def close(self) -> None:
        """End all. Nobody is told."""
        for process in self._running:
            Errand(process).stop()
        for process, thread in self._running.items():
            thread.join(_END_SECONDS)
            if thread.is_alive():
                process.kill()
                thread.join()

    def _tell(self, news: Callable[[], None]) -> None:
        self._news.put(news)
        self._wake()

    def _listen(self, process: subprocess.Popen[str], said: Said, ended: Ended) -> None:
        assert process.stdout is not None and process.stderr is not None
        with process:
            errors: list[str] = []
            # Both at once: who writes much to the one must not wait for us to read the other.
            beside = threading.Thread(target=lambda: errors.extend(process.stderr or ()), name="errand", daemon=True)
            beside.start()
            for line in process.stdout:
                with contextlib.suppress(ValueError):
                    fields = json.loads(line)
                    if isinstance(fields, dict):
                        self._tell(lambda fields=fields: said(fields))  # type: ignore[misc]
            beside.join()
            status = process.wait()
        reason = ""
        if status:
            words = "".join(errors).strip().splitlines()
            reason = words[-1].removeprefix("samovar: ") if words else f"it ended with exit status {status}"
        self._tell(lambda: self._over(process, ended, reason))

    def _over(self, process: subprocess.Popen[str], ended: Ended, reason: str) -> None:
        self._running.pop(process).join()
        ended(reason)
