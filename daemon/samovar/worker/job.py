"""What an operation sees of the job it runs in, and the one way to stop it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from samovar_link.messages import Progress, Raster, Report, Run

ETA_AFTER_SECONDS = 0.5
ETA_AFTER_FRACTION = 0.02


class JobCancelled(BaseException):
    """The user asked to stop. A BaseException, so that no library's `except Exception` eats it."""


@dataclass(frozen=True)
class Result:
    """What a job made: rasters by role, the memory they lie in (`Raster.frame` indexes it), and how it came about.

    The memory came from `Job.allocate`. Of the report's seconds an engine knows `load` and `compute` only.
    """

    images: dict[str, Raster]
    frames: list[memoryview]
    report: Report


class Job:
    """One run of one operation.

    report : takes each `Progress` and the pixels that come with it
    cancelled : asked before each step; true means stop
    allocate : writable memory of so many bytes for a result, shared with the broker so that pixels are not copied
    clock : seconds that never go back
    enough : whether the user is content with what there is
    """

    def __init__(
        self,
        run: Run,
        report: Callable[[Progress, Sequence[memoryview]], None],
        cancelled: Callable[[], bool],
        allocate: Callable[[int], memoryview],
        clock: Callable[[], float] = time.monotonic,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        self.run = run
        self.enough = enough
        self.allocate = allocate
        self.paused_seconds = 0.0
        self._report = report
        self._cancelled = cancelled
        self._clock = clock
        self._began = clock()
        self._fraction = 0.0
        self._stage = ""

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Around what another job does meanwhile."""
        began = self._clock()
        try:
            yield
        finally:
            self.paused_seconds += self._clock() - began

    def check(self) -> None:
        """Raises JobCancelled if the user asked to stop."""
        if self._cancelled():
            raise JobCancelled

    def progress(self, fraction: float, stage: str = "") -> None:
        """Report how far the job is, 0..1, never backwards, and stop here if the user asked to."""
        self.check()
        self._fraction, self._stage = max(self._fraction, min(fraction, 1.0)), stage
        self._report(Progress(self.run.job, self._fraction, stage, self._eta_seconds()), ())

    def show(self, part: Raster, whole: Raster, pixels: memoryview) -> None:
        """Send a finished part of the result, for looking at. `pixels` came from `allocate` and are given away."""
        images = {"image": replace(part, frame=0)}
        self._report(Progress(self.run.job, self._fraction, self._stage, self._eta_seconds(), images, whole), (pixels,))

    def _eta_seconds(self) -> float | None:
        """What is left if all goes on as it went so far; None as long as that says little."""
        passed = self._clock() - self._began - self.paused_seconds
        if passed < ETA_AFTER_SECONDS or self._fraction < ETA_AFTER_FRACTION:
            return None
        return passed * (1 - self._fraction) / self._fraction
