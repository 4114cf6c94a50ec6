"""Another daemon holds the lock of this home: who it is, whether it answers, and whether this one may take its place.

It may have been started this very moment, and the connection file may still be that of one that was killed before. So
it is believed to run when it answers, not because there is a file.

After an update the old daemon runs on. One of an older version that has nothing to do makes way for a newer one; one
that is at work does not, nor one whose protocol we do not speak.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TypeVar

import psutil

from samovar import __version__
from samovar.lock import NAME
from samovar_link import discovery
from samovar_link.client import Client
from samovar_link.discovery import ConnectionFile
from samovar_link.errors import DaemonUnavailable
from samovar_link.messages import PROTOCOL, Message, Status, StatusReport, Stop, Stopping, Welcome

STARTS_SECONDS = 5.0
_ANSWER_SECONDS = 1.0
_TO_CHANGE = "to change over, when its work is done: samovar stop && samovar serve --detach"

Answer = TypeVar("Answer", Welcome, StatusReport, Stopping)


class Other:
    """home : whose lock it holds"""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._deadline = time.monotonic() + STARTS_SECONDS

    def look(self) -> str | None:
        """What to tell the user: it runs. None if that is not certain yet, or it is about to end: try the lock again.

        Raises DaemonUnavailable if it neither answers nor ends.
        """
        file = None
        try:
            file = ConnectionFile.read(self._home / discovery.FILE_NAME)  # damaged ones are told at once
            if file.protocol == PROTOCOL:
                return self._meet(file)
            if psutil.pid_exists(file.pid):
                raise DaemonUnavailable(
                    f"the running Samovar {file.version} speaks protocol {file.protocol} (pid {file.pid}), this one, "
                    f"{__version__}, speaks {PROTOCOL}: update the older of the two; {_TO_CHANGE}"
                )
        except (FileNotFoundError, TimeoutError):
            pass
        if time.monotonic() < self._deadline:
            return None
        who = f"another Samovar (pid {file.pid})" if file else "another Samovar"
        raise DaemonUnavailable(f"{who} holds {self._home / NAME}, but does not answer; end it and try again")

    def _meet(self, file: ConnectionFile) -> str | None:
        try:
            client = Client(file, name="serve", version=__version__)
        except DaemonUnavailable:  # nobody is there: the file is older than the lock's holder
            return None
        with client:
            try:
                welcome = _answer(client, Welcome)
                words = f"already running: pid {welcome.pid}, {', '.join(file.endpoints)}"
                if not is_newer(__version__, welcome.version):
                    return words
                client.send(Status())
                report = _answer(client, StatusReport)
                if report.jobs or report.trainings:
                    return f"{words}; it is Samovar {welcome.version}, this is {__version__}; {_TO_CHANGE}"
                print(f"Samovar {welcome.version}, pid {welcome.pid}, makes way for {__version__}", flush=True)
                self._deadline = time.monotonic() + STARTS_SECONDS
                client.send(Stop())
                _answer(client, Stopping)
            except DaemonUnavailable:  # it ended, or is no daemon
                pass
        return None


def _answer(client: Client, kind: type[Answer]) -> Answer:
    """Raises TimeoutError, DaemonUnavailable."""
    end = time.monotonic() + _ANSWER_SECONDS
    while True:
        message: Message = client.receive(max(0.0, end - time.monotonic()))[0]
        if isinstance(message, kind):
            return message


def is_newer(version: str, than: str) -> bool:
    """Of versions like 0.10.2; what is not like that is neither newer nor older."""
    try:
        ours, theirs = (tuple(map(int, each.split("."))) for each in (version, than))
    except ValueError:
        return False
    return ours > theirs
