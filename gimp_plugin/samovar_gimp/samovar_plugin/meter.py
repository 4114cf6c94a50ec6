"""What the user sees of a job while it runs, and how they say that it is to end."""

from __future__ import annotations

from typing import Protocol

from gi.repository import Gimp

from samovar_link import Progress


class Stopped(Exception):
    """The user wants no more of the job."""


class Meter(Protocol):
    """Used as a context: it goes with the end of the block.

    outlives_cancel : whether this process lives on when the user cancels, and so can take back what it did to the image
    """

    outlives_cancel: bool

    def __enter__(self) -> Meter: ...

    def __exit__(self, *_: object) -> None: ...

    def say(self, what: str) -> None:
        """What is going on, while there is no number for it."""

    def show(self, progress: Progress) -> None:
        """How far the job is."""

    def turn(self) -> None:
        """Called again and again, never much more than TURN_SECONDS apart. Raises Stopped if the user cancelled."""

    def is_content(self) -> bool:
        """Whether the user wants to keep what there is. Asked from the thread that has the connection."""

    def agrees(self, question: str, button: str) -> bool:
        """Whether the user wants what the button says; False if there is nobody to ask."""


TURN_SECONDS = 0.03


class StatusBar:
    """GIMP's progress bar. Its Cancel kills this process outright, so it is for jobs that leave the image alone until
    they end; but it needs no screen."""

    outlives_cancel = False

    def __init__(self, title: str) -> None:
        self._title = title
        self._shown: tuple[str, int] = ("", 0)

    def __enter__(self) -> StatusBar:
        Gimp.progress_init(self._title)
        return self

    def __exit__(self, *_: object) -> None:
        Gimp.progress_end()

    def say(self, what: str) -> None:
        Gimp.progress_set_text(f"{self._title}: {what}" if what else self._title)

    def show(self, progress: Progress) -> None:
        """GIMP is told only what changes: each call goes to its own process and back."""
        shown = progress.stage, int(progress.fraction * 200)
        if shown[0] != self._shown[0]:
            self.say(progress.stage)
        if shown != self._shown:
            Gimp.progress_update(progress.fraction)
        self._shown = shown

    def turn(self) -> None:
        pass

    def is_content(self) -> bool:
        return False

    def agrees(self, question: str, button: str) -> bool:
        return False


def remaining(seconds: float | None) -> str:
    """How long it will still take, in words; "" if nobody knows or it is hardly worth a word."""
    if seconds is None or seconds < 1:
        return ""
    if seconds < 90:
        return f"about {seconds if seconds < 10 else seconds // 5 * 5:.0f} s left"
    return f"about {seconds / 60:.0f} min left"
