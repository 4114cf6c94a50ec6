"""A window of our own for the progress of a job. Import this only where there is a screen.

GIMP's status bar offers a Cancel that kills the plug-in, and then nobody could take finished parts out of the image
again. This one is heard, and GIMP offers no other as long as nobody calls `Gimp.progress_init`.
"""

from __future__ import annotations

import time

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("GimpUi", "3.0")
from gi.repository import GimpUi, GLib, Gtk  # noqa: E402

from samovar_link import Progress  # noqa: E402

from .meter import Stopped, remaining  # noqa: E402

HIDDEN_SECONDS = 0.4
"""What takes no longer shows no window, which would only flash."""

_WIDTH, _BORDER, _SPACING = 360, 12, 6


class Window:
    """A bar, a line of text and Cancel. The user may go on in GIMP's own windows meanwhile."""

    outlives_cancel = True

    def __init__(self, title: str) -> None:
        GimpUi.init("samovar")
        self._stopped = False
        self._due: float | None = time.monotonic() + HIDDEN_SECONDS
        self._bar = Gtk.ProgressBar()
        self._text = Gtk.Label(xalign=0.0)
        self._dialog = Gtk.Dialog(title=f"Samovar: {title}", resizable=False)
        self._dialog.add_button("_Cancel", Gtk.ResponseType.CANCEL)
        self._dialog.connect("response", self._stop)  # Escape and the window's own button end here too
        box = self._dialog.get_content_area()
        box.set_border_width(_BORDER)
        box.set_spacing(_SPACING)
        self._bar.set_size_request(_WIDTH, -1)
        for part in (self._text, self._bar):
            box.pack_start(part, False, False, 0)
            part.show()
        GimpUi.window_set_transient(self._dialog)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        self._dialog.destroy()
        handle_events()

    def say(self, what: str) -> None:
        self._text.set_text(what[:1].upper() + what[1:])

    def show(self, progress: Progress) -> None:
        words = (progress.stage or "working", remaining(progress.eta_seconds))
        self.say(", ".join(filter(None, words)))
        self._bar.set_fraction(progress.fraction)

    def turn(self) -> None:
        if self._due is not None and time.monotonic() > self._due:
            self._due = None
            self._dialog.present()
        handle_events()
        if self._stopped:
            raise Stopped

    def _stop(self, *_: object) -> None:
        self._stopped = True


def handle_events() -> None:
    """Let windows be drawn, answer and go: one that does not would look hung."""
    while GLib.MainContext.default().iteration(False):
        pass
