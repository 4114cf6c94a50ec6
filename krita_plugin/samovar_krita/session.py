"""The connection to the daemon, driven by Krita's event loop: socket notifiers and a timer, no thread, no blocking.

    off -> connecting -> ready            a daemon runs
    off -> connecting -> starting -> connecting -> ready     none runs and the user asked for work
    anything -> off                       with one sentence in `reason`

The notifiers move pixels as fast as the socket takes them. The timer keeps the heartbeat (the daemon ends the jobs of a
client that falls silent), and carries on alone where notifiers fire only once per event.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .qt import QtCore
from .samovar_link import Client, DaemonStarter, DaemonUnavailable, daemon_command, discovery
from .samovar_link.messages import Message, Stopping, Welcome

OFF, STARTING, CONNECTING, READY = "off", "starting", "connecting", "ready"

TURN_SECONDS = 0.008
"""How long one turn may hold the GUI thread."""

CONNECT_SECONDS = 1.5
"""A daemon that greets later than this is as good as none."""

_BUSY_MILLISECONDS = 20
_START_MILLISECONDS = 50
_IDLE_MILLISECONDS = 250


class Session(QtCore.QObject):
    """One connection at most, made anew when asked.

    version : of the plug-in, told to the daemon
    changed : called after each change of `state`
    arrived : called with each message and its frames
    """

    def __init__(
        self, version: str, changed: Callable[[], None], arrived: Callable[[Message, list[memoryview]], None]
    ) -> None:
        super().__init__()
        self.state = OFF
        self.reason = ""
        self._version = version
        self._changed, self._arrived = changed, arrived
        self._client: Client | None = None
        self._starter: DaemonStarter | None = None
        self._may_start = False
        self._asked = False
        self._deadline = 0.0
        self._descriptor = -1
        self._notifiers: list[Any] = []
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self._turn)

    @property
    def welcome(self) -> Welcome | None:
        return self._client.welcome if self._client is not None else None

    def open(self, *, start: bool) -> None:
        """Connect if not connected; start a daemon if there is none and `start` says so.

        Without `start` it is no news that no daemon runs: `reason` stays empty then.
        """
        if self.state == OFF:
            self._may_start = self._asked = start
            self._connect()
        elif self.state == CONNECTING:
            self._may_start = self._asked = self._asked or start

    def send(self, message: Message, frames: Sequence[memoryview] = ()) -> None:
        """Queue a message; only when ready. The frames must not change afterwards."""
        assert self._client is not None
        self._client.send(message, frames)
        self._watch()

    def close(self) -> None:
        """End the connection. The daemon goes on."""
        self._end("")

    # --- states -----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._deadline = time.monotonic() + CONNECT_SECONDS
        try:
            self._client = Client(discovery.find()[1], name="krita", version=self._version)
        except DaemonUnavailable as error:
            self._unavailable(str(error))
        else:
            self._enter(CONNECTING)

    def _unavailable(self, sentence: str) -> None:
        self._drop()
        if self.state != READY and self._may_start:
            self._may_start = False
            self._starter = DaemonStarter(daemon_command(Path(__file__).parent))
            self._enter(STARTING)
        else:
            self._end(sentence)

    def _end(self, sentence: str) -> None:
        self._drop()
        self._timer.stop()
        self.reason = sentence if self._asked else ""
        self._enter(OFF)

    def _enter(self, state: str) -> None:
        self.state = state
        self._watch()
        self._changed()

    def _drop(self) -> None:
        for part in (self._client, self._starter):
            if part is not None:
                part.close()
        self._client = self._starter = None

    # --- turns ------------------------------------------------------------------------------------------------------

    def _turn(self, *_: object) -> None:
        try:
            if self._starter is not None:
                self._turn_starter(self._starter)
            elif self._client is not None:
                self._turn_client(self._client)
        except DaemonUnavailable as error:
            self._unavailable(str(error))
        except Exception as error:  # a defect here must not become Krita's error dialog four times a second
            traceback.print_exc()
            self._end(f"Samovar's plug-in failed ({type(error).__name__}: {error}).")
        self._watch()

    def _turn_starter(self, starter: DaemonStarter) -> None:
        if starter.poll():
            self._drop()
            self._connect()

    def _turn_client(self, client: Client) -> None:
        for message, frames in client.pump(TURN_SECONDS):
            if isinstance(message, Stopping):
                raise DaemonUnavailable("Samovar was stopped.")
            if isinstance(message, Welcome):
                self._asked = True  # from now on its end is news
                self._enter(READY)
            else:
                self._arrived(message, frames)
        if client.welcome is None and time.monotonic() > self._deadline:
            raise DaemonUnavailable("Samovar does not answer; restart it with: samovar stop && samovar serve --detach")

    def _watch(self) -> None:
        """Listen to the socket there is now, and set the pace of the timer."""
        client = self._client
        descriptor = -1 if client is None else client.fileno()
        if descriptor != self._descriptor:
            for notifier in self._notifiers:
                notifier.setEnabled(False)
                notifier.deleteLater()
            self._descriptor, self._notifiers = descriptor, []
            if descriptor >= 0:
                kinds = QtCore.QSocketNotifier.Type
                self._notifiers = [QtCore.QSocketNotifier(descriptor, k, self) for k in (kinds.Read, kinds.Write)]
                for notifier in self._notifiers:
                    notifier.activated.connect(self._turn)
        writing = client is not None and client.wants_write
        if self._notifiers:
            # Before the greeting the timer is enough, and an unconnected socket may count as writable all the time.
            self._notifiers[1].setEnabled(writing and self.state == READY)
        pace = {OFF: 0, STARTING: _START_MILLISECONDS, CONNECTING: _BUSY_MILLISECONDS, READY: _IDLE_MILLISECONDS}
        milliseconds = _BUSY_MILLISECONDS if writing else pace[self.state]
        if milliseconds and (milliseconds != self._timer.interval() or not self._timer.isActive()):
            self._timer.start(milliseconds)
