"""What an operation sees of the job it runs in, and the one way to stop it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from samovar_link.messages import Progress, Raster, Report, Run


class JobCancelled(BaseException):
    """The user asked to stop. A BaseException, so that no library's `except Exception` eats it."""


@dataclass(frozen=True)
class Result:
    """What a job made: rasters by role, the memory they lie in (`Raster.frame` indexes it), and how it came about.

    The memory came from `Job.allocate`. Of the report's seconds the worker knows `load` and `compute` only.
    """

    images: dict[str, Raster]
    frames: list[memoryview]
    report: Report


class Job:
    """One run of one operation.

    report : takes each `Progress`
    cancelled : asked before each step; true means stop
    allocate : writable memory of so many bytes for a result, shared with the broker so that pixels are not copied
    """

    def __init__(
        self,
        run: Run,
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
        allocate: Callable[[int], memoryview],
    ) -> None:
        self.run = run
        self.allocate = allocate
        self._report = report
        self._cancelled = cancelled
        self._fraction = 0.0

    def check(self) -> None:
        """Raises JobCancelled if the user asked to stop."""
        if self._cancelled():
            raise JobCancelled

    def progress(self, fraction: float, stage: str = "") -> None:
        """Report how far the job is, 0..1, never backwards, and stop here if the user asked to."""
        self.check()
        self._fraction = max(self._fraction, min(fraction, 1.0))
        self._report(Progress(self.run.job, self._fraction, stage))
