"""The model that a run would use, made ready while the user still looks at the dialog.

Driven by the dialog's own event loop. What goes wrong here goes without a word: the run meets it again and tells it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from gi.repository import GLib

from samovar_link import Client, DaemonStarter, DaemonUnavailable, connect, daemon_command
from samovar_link.messages import Value, Warm

from . import offer

SETTLED_SECONDS = 0.4
"""For so long nothing was changed: who drags a slider passes values that they do not mean."""

_TURN_MILLISECONDS = 50


class Warming:
    """A context around the dialog.

    version : this plug-in's, for the daemon's log
    parameters : as they are set at the moment
    """

    def __init__(self, version: str, operation: str, parameters: Callable[[], dict[str, Value]]) -> None:
        self._version, self._operation, self._parameters = version, operation, parameters
        self._starter: DaemonStarter | None = None
        self._client: Client | None = None
        self._source = 0
        self._asked: dict[str, Value] | None = None
        self._seen: dict[str, Value] | None = None
        self._seen_since = 0.0

    def __enter__(self) -> Warming:
        self._starter = DaemonStarter(daemon_command(offer.FOLDER))
        self._source = GLib.timeout_add(_TURN_MILLISECONDS, self._turn)
        return self

    def __exit__(self, *_: object) -> None:
        if self._source:
            GLib.source_remove(self._source)
        self._forget()

    def _turn(self, *_: object) -> bool:
        with contextlib.suppress(DaemonUnavailable):
            self._step()
            return True  # call again
        self._source = 0
        self._forget()
        return False

    def _step(self) -> None:
        if self._starter is not None:
            if self._starter.poll():
                self._starter = None
                self._client = connect("gimp", self._version)
        elif self._client is not None:
            self._client.pump(0.0)
            if (parameters := self._settled()) is not None and parameters != self._asked:
                self._asked = parameters
                self._client.send(Warm(self._operation, parameters))

    def _settled(self) -> dict[str, Value] | None:
        """The parameters, unless they were changed just now. Those the dialog opens with are meant."""
        parameters, now = self._parameters(), time.monotonic()
        if parameters != self._seen:
            self._seen, self._seen_since = parameters, now
        settled = self._asked is None or now - self._seen_since > SETTLED_SECONDS
        return parameters if settled else None

    def _forget(self) -> None:
        for part in (self._starter, self._client):
            if part is not None:
                part.close()
        self._starter = self._client = None
