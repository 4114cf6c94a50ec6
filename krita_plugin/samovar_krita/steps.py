"""Long work on the GUI thread in short pieces, so that the canvas never stands still.

The work is a generator that yields, after each piece of a millisecond or two, how far it is, 0 to 1; or `HELD` before
a piece that is Krita's own and cannot be cut up; or `REST` for Krita to catch up. No thread and no nested event loop:
Krita's layers belong to the GUI thread, and a nested loop upsets its layer tree. Krita itself runs one inside some of
its calls, so a turn may be interrupted by anything, also by the user.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from .qt import QtCore

TURN_SECONDS = 0.008
"""How long the work may hold the GUI thread at once."""

PAINT_MILLISECONDS = 25
"""So that the words that announce a `HELD` piece are on the screen before it begins, and for a `REST`."""

HELD = -1.0
"""Yielded before a call in which Krita holds the canvas for as long as it likes."""

REST = -2.0
"""Yielded where the canvas has something to redraw, or there is something to wait for."""

Work = Generator[float, None, Any]


class Steps(QtCore.QObject):
    """Runs one generator to its end.

    busy : a turn is under way, and with it possibly a call of Krita
    progressed : called after each turn with what was last yielded
    done : called with what the generator returned
    failed : called with the exception that ended it
    """

    def __init__(
        self, work: Work, *, progressed: Callable[[float], None], done: Callable[[Any], None],
        failed: Callable[[Exception], None],
    ) -> None:  # fmt: skip
        super().__init__()
        self.busy = False
        self._work = work
        self._progressed, self._done, self._failed = progressed, done, failed
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._turn)
        self._timer.start(0)

    def cancel(self) -> None:
        """Stop, unless busy; neither `done` nor `failed` follows. The generator's `finally` runs."""
        assert not self.busy
        self._timer.stop()
        self._work.close()

    def _turn(self) -> None:
        if self.busy:
            return
        self.busy = True
        self._timer.stop()
        then: Callable[[Any], None] = self._go_on
        try:
            value: Any = self._pieces()
        except StopIteration as stop:
            then, value = self._done, stop.value
        except Exception as error:  # whatever it is, it goes to the job, which tells the user
            then, value = self._failed, error
        self.busy = False
        then(value)

    def _pieces(self) -> float:
        end = time.perf_counter() + TURN_SECONDS
        fraction = next(self._work)
        while fraction >= 0.0 and time.perf_counter() < end:
            fraction = next(self._work)
        return fraction

    def _go_on(self, fraction: float) -> None:
        self._progressed(fraction)
        self._timer.start(PAINT_MILLISECONDS if fraction < 0.0 else 0)
