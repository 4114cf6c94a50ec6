"""Long work on the GUI thread in short pieces, so that the canvas never stands still.

The work is a generator that yields, after each small piece (a millisecond or two), how far it is. No thread and no
nested event loop: Krita's layers belong to the GUI thread, and a nested loop upsets its layer tree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from .qt import QtCore

TURN_SECONDS = 0.008
"""How long the work may hold the GUI thread at once."""

Work = Generator[float, None, Any]


class Steps(QtCore.QObject):
    """Runs one generator to its end.

    progressed : called after each turn with the fraction last yielded
    done : called with what the generator returned
    failed : called with the exception that ended it
    """

    def __init__(
        self, work: Work, *, progressed: Callable[[float], None], done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        super().__init__()
        self._work = work
        self._progressed, self._done, self._failed = progressed, done, failed
        self._timer = QtCore.QTimer(self)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._turn)
        self._timer.start()

    def cancel(self) -> None:
        """Stop; neither `done` nor `failed` follows. The generator's `finally` runs."""
        self._timer.stop()
        self._work.close()

    def _turn(self) -> None:
        end = time.perf_counter() + TURN_SECONDS
        try:
            fraction = next(self._work)
            while time.perf_counter() < end:
                fraction = next(self._work)
        except StopIteration as stop:
            self._finish(self._done, stop.value)
        except Exception as error:  # whatever it is, it goes to the job, which tells the user
            self._finish(self._failed, error)
        else:
            self._progressed(fraction)

    def _finish(self, callback: Callable[[Any], None], value: Any) -> None:
        self._timer.stop()
        callback(value)
