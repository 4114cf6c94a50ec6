"""The progress bar: on stderr, and only if somebody looks at it. How long it will take is what the worker says: the
bar itself would count the time in the queue as work."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from samovar_link.messages import Progress

_STEPS = 1000


class Bar:
    """Takes a job's progress; shows it if there is something to show it on."""

    def __init__(self, label: str, shown: Any | None) -> None:
        self._label = label
        self._shown = shown

    def stage(self, name: str) -> None:
        if self._shown is not None:
            self._shown.label = f"{self._label} {name}".rstrip()
            self._shown.render_progress()

    def update(self, progress: Progress, frames: list[memoryview]) -> None:
        if self._shown is not None:
            self._shown.label = f"{self._label} {progress.stage}".rstrip()
            self._shown.current_item = progress.eta_seconds
            self._shown.update(max(0, int(progress.fraction * _STEPS) - self._shown.pos))
            self._shown.render_progress()


@contextmanager
def bar(label: str, *, enabled: bool) -> Iterator[Bar]:
    """A bar for one job, gone from the screen afterwards."""
    if not (enabled and sys.stderr.isatty()):
        yield Bar(label, None)
        return
    with click.progressbar(
        length=_STEPS, label=label, file=sys.stderr, width=24, show_eta=False, item_show_func=left
    ) as shown:
        yield Bar(label, shown)


def left(seconds: float | None) -> str | None:
    """What is left, rounded to what can be known."""
    if seconds is None:
        return None
    return f"{duration(max(1.0, seconds))} left"


def duration(seconds: float) -> str:
    """In the two largest units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
