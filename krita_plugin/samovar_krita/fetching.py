"""A model that is not here yet: the question whether to fetch it, and the fetching.

The daemon fetches. What was broken off, by Cancel or by Krita's end, goes on from there the next time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .qt import QtWidgets
from .samovar_link import words
from .samovar_link.errors import remote_error
from .samovar_link.messages import Message, ModelInfo, Pull, Pulled, Pulling, Refused, StopPull
from .session import OFF, READY, Session


def ask(model: ModelInfo, parent: Any, agreed: Callable[[], None]) -> Any:
    """Put the question; Krita stays usable. Returns the box, which has to be kept."""
    box = QtWidgets.QMessageBox(parent)
    box.setWindowTitle("Samovar")
    box.setIcon(QtWidgets.QMessageBox.Icon.Question)
    box.setText(words.question(model))
    yes = box.addButton("Fetch and run", QtWidgets.QMessageBox.ButtonRole.AcceptRole)
    box.addButton(QtWidgets.QMessageBox.StandardButton.Cancel)
    box.setDefaultButton(yes)
    box.finished.connect(lambda *_: agreed() if box.clickedButton() is yes else None)
    box.open()
    return box


class Fetching:
    """Stands where a `Job` would: `fraction` and `stage` are for the progress bar.

    progressed : called when one of them changed
    ended : called once, with (sentence, succeeded)
    """

    live = keepable = False

    def __init__(
        self, session: Session, model: ModelInfo, *, progressed: Callable[[], None],
        ended: Callable[[str, bool], None],
    ) -> None:  # fmt: skip
        self.fraction, self.stage = 0.0, "fetching"
        self._session, self._model = session, model
        self._progressed, self._ended = progressed, ended
        self._asked = self._over = False

    def begin(self) -> None:
        """As soon as there is a connection."""
        self._session.open(start=True)
        self.session_changed()

    def cancel(self) -> None:
        """End it. What came so far is kept."""
        if self._asked:
            self._session.send(StopPull(self._model.id))
        self._end("Cancelled; what came so far is kept.", False)

    def session_changed(self) -> None:
        """The connection came or went."""
        if self._session.state == OFF and self._session.reason:
            self._end(self._session.reason, False)
        elif self._session.state == READY and not self._asked and not self._over:
            self._asked = True
            self._session.send(Pull(self._model.id))

    def take(self, message: Message, frames: list[memoryview]) -> None:
        """A message from the daemon; what is about something else is left alone."""
        if isinstance(message, Refused) and message.kind == "Pull":
            self._end(str(remote_error(message.code, message.message, message.hint)), False)
        elif isinstance(message, Pulling) and message.model == self._model.id:
            self.fraction = words.share(message)
            self.stage = words.amount(message)
            self._progressed()
        elif isinstance(message, Pulled) and message.model == self._model.id and not message.stopped:
            self._end(f"{self._model.title} is here.", True)

    def _end(self, sentence: str, succeeded: bool) -> None:
        if not self._over:
            self._over = True
            self._ended(sentence, succeeded)
