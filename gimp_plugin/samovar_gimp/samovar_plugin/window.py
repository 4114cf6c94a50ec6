"""A window of our own for the progress of a job. Import this only where there is a screen.

GIMP's status bar offers a Cancel that kills the plug-in, and then nobody could take finished parts out of the image
again. This one is heard, and GIMP offers no other as long as nobody calls `Gimp.progress_init`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("GimpUi", "3.0")
from gi.repository import GimpUi, GLib, Gtk  # noqa: E402

from samovar_link import Progress  # noqa: E402

from .meter import Stopped, remaining  # noqa: E402

HIDDEN_SECONDS = 0.4
"""What takes no longer shows no window, which would only flash."""

_WIDTH, _BORDER, _SPACING = 360, 12, 6
_TEXT_SIZE = 760, 480
_COPY = 1
"""The answer of the button of that name."""

_TURN_MILLISECONDS = 200


class Window:
    """A bar, a line of text and Cancel. The user may go on in GIMP's own windows meanwhile.

    live : what shows meanwhile can be kept as it is, by a button
    """

    outlives_cancel = True

    def __init__(self, title: str, live: bool = False) -> None:
        GimpUi.init("samovar")
        self._stopped = self._content = False
        self._due: float | None = time.monotonic() + HIDDEN_SECONDS
        self._bar = Gtk.ProgressBar()
        self._text = Gtk.Label(xalign=0.0)
        self._dialog = Gtk.Dialog(title=f"Samovar: {title}", resizable=False)
        if live:
            self._dialog.add_button("_Use This", Gtk.ResponseType.OK)
            self._dialog.set_response_sensitive(Gtk.ResponseType.OK, False)
        self._dialog.add_button("_Cancel", Gtk.ResponseType.CANCEL)
        self._dialog.connect("response", self._answered)  # Escape and the window's own button end here too
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
        if progress.images and not self._content:  # there is something to keep
            self._dialog.set_response_sensitive(Gtk.ResponseType.OK, True)

    def turn(self) -> None:
        if self._due is not None and time.monotonic() > self._due:
            self._due = None
            self._dialog.present()
        handle_events()
        if self._stopped:
            raise Stopped

    def agrees(self, question: str, button: str) -> bool:
        box = Gtk.MessageDialog(text=question, message_type=Gtk.MessageType.QUESTION, title="Samovar")
        box.add_button("_Cancel", Gtk.ResponseType.CANCEL)
        box.add_button(button, Gtk.ResponseType.OK)
        box.set_default_response(Gtk.ResponseType.OK)
        GimpUi.window_set_transient(box)
        answer = box.run()
        box.destroy()
        handle_events()
        return bool(answer == Gtk.ResponseType.OK)

    def is_content(self) -> bool:
        return self._content

    def _answered(self, _dialog: object, response: int) -> None:
        if response == Gtk.ResponseType.OK:
            self._content = True
            self._dialog.set_response_sensitive(Gtk.ResponseType.OK, False)
        else:
            self._stopped = True


def show_text(title: str, waiting: str, poll: Callable[[], str | None]) -> None:
    """A window with a text, until the user closes it.

    waiting : shown until there is the text; poll : the text, None as long as there is none
    """
    GimpUi.init("samovar")
    view = Gtk.TextView(editable=False, monospace=True)
    view.get_buffer().set_text(waiting, -1)
    scrolled = Gtk.ScrolledWindow()
    scrolled.set_size_request(*_TEXT_SIZE)
    scrolled.add(view)
    dialog = Gtk.Dialog(title=title, resizable=True)
    dialog.add_button("C_opy", _COPY)
    dialog.add_button("_Close", Gtk.ResponseType.CLOSE)
    dialog.set_response_sensitive(_COPY, False)
    dialog.get_content_area().pack_start(scrolled, True, True, 0)
    scrolled.show_all()
    GimpUi.window_set_transient(dialog)

    def turn(*_: object) -> bool:
        text = poll()
        if text is None:
            return True  # call again
        view.get_buffer().set_text(text, -1)
        dialog.set_response_sensitive(_COPY, True)
        return False

    source = GLib.timeout_add(_TURN_MILLISECONDS, turn)
    while dialog.run() == _COPY:
        Gtk.Clipboard.get_default(dialog.get_display()).set_text(poll() or "", -1)
        Gtk.Clipboard.get_default(dialog.get_display()).store()
    with contextlib.suppress(ValueError):
        GLib.source_remove(source)
    dialog.destroy()
    handle_events()


def choose_one(title: str, question: str, items: Sequence[str]) -> int | None:
    """Let the user choose one of a list; None if they thought better of it."""
    GimpUi.init("samovar")
    dialog = Gtk.Dialog(title=title, resizable=False)
    dialog.add_button("_Cancel", Gtk.ResponseType.CANCEL)
    dialog.add_button("_Take Up", Gtk.ResponseType.OK)
    dialog.set_default_response(Gtk.ResponseType.OK)
    box = Gtk.ComboBoxText()
    for each in items:
        box.append_text(each)
    box.set_active(0)
    area = dialog.get_content_area()
    area.set_border_width(_BORDER)
    area.set_spacing(_SPACING)
    for part in (Gtk.Label(label=question, xalign=0.0), box):
        area.pack_start(part, False, False, 0)
        part.show()
    GimpUi.window_set_transient(dialog)
    answer, chosen = dialog.run(), box.get_active()
    dialog.destroy()
    handle_events()
    return chosen if answer == Gtk.ResponseType.OK else None


def handle_events() -> None:
    """Let windows be drawn, answer and go: one that does not would look hung."""
    while GLib.MainContext.default().iteration(False):
        pass
