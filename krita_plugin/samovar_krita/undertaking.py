"""What a job and a creation have in common: how far it is, and one sentence at the end."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Any

from .canvas import Unsuitable
from .samovar_link import RemoteError
from .samovar_link.messages import Report


class Undertaking:
    """`fraction` and `stage` are for the progress bar; while it runs, `stage` is the daemon's word.

    progressed : called when one of them changed
    ended : called once, with (sentence, succeeded)
    """

    live = keepable = False
    """Whether it improves; whether what shows can be kept."""

    def __init__(self, stage: str, progressed: Callable[[], None], ended: Callable[[str, bool], None]) -> None:
        self.fraction, self.stage = 0.0, stage
        self.placed: Any = None
        self._progressed, self._ended = progressed, ended
        self._report = Report()
        self._over = False
        self._began = time.monotonic()

    def _release(self) -> None:
        """Let go of everything: it is over."""
        raise NotImplementedError

    def _have_placed(self, node: Any) -> None:
        self.placed = node
        self._end(account(self._report, time.monotonic() - self._began), True)

    def _show(self, fraction: float, stage: str) -> None:
        self.fraction, self.stage = max(self.fraction, fraction), stage
        self._progressed()

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, (RemoteError, Unsuitable)):
            traceback.print_exception(type(error), error, error.__traceback__)
        self._end(str(error) or type(error).__name__, False)

    def _end(self, sentence: str, succeeded: bool) -> None:
        if not self._over:
            self._over = True
            self._release()
            self._ended(sentence, succeeded)


def account(report: Report, seconds: float) -> str:
    """One line about how the result came about."""
    words = f"Done in {seconds:.1f} s"
    if report.device:
        how = " ".join(part for part in (report.runtime, report.dtype) if part)
        words += f" on {report.device}" + (f" ({how})" if how else "")
    if report.tiles.total:
        words += f", {report.tiles.total} tile{'s' * (report.tiles.total > 1)}"
    if report.tiles.cached:
        words += f" ({report.tiles.cached} known already)"
    return ". ".join([words, *(each.rstrip(".") for each in (*report.notes, *report.retries))]) + "."
