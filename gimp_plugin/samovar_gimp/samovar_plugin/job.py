"""One job with the daemon, with an ear for the user all the time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence

from samovar_link import (
    Cancel,
    Cancelled,
    Client,
    DaemonStarter,
    DaemonUnavailable,
    Done,
    Failed,
    Progress,
    Refused,
    Run,
    connect,
    daemon_command,
)  # fmt: skip
from samovar_link.errors import remote_error

from . import offer
from .meter import TURN_SECONDS, Meter

_CANCEL_SECONDS = 0.5


def reach(version: str, meter: Meter) -> Client:
    """Connect to the daemon, started if there is none.

    version : this plug-in's, for the daemon's log
    """
    meter.say("reaching Samovar")
    try:
        return connect("gimp", version)
    except DaemonUnavailable:
        starter = DaemonStarter(daemon_command(offer.FOLDER))
    with contextlib.closing(starter):
        while not starter.poll():
            meter.turn()
            time.sleep(TURN_SECONDS)
    return connect("gimp", version)


def work(
    client: Client, run: Run, frames: Sequence[bytes], meter: Meter,
    progressed: Callable[[Progress, list[memoryview]], None],
) -> tuple[Done, list[memoryview]] | None:  # fmt: skip
    """Send the job and wait for its end; None if somebody cancelled it in the daemon.

    Raises RemoteError if it failed, Stopped if the user cancelled. That, and whatever `progressed` raises, cancels the
    job.
    """
    client.send(run, frames)
    ended = False
    try:
        while True:
            meter.turn()
            try:
                message, images = client.receive(TURN_SECONDS)
            except TimeoutError:
                continue
            if isinstance(message, Refused) and message.kind == "Run":
                ended = True
                raise remote_error(message.code, message.message, message.hint)
            if getattr(message, "job", None) != run.job:
                continue
            ended = isinstance(message, (Done, Cancelled, Failed))
            if isinstance(message, Failed):
                raise remote_error(message.code, message.message, message.hint)
            if isinstance(message, Done):
                return message, images
            if isinstance(message, Cancelled):
                return None
            if isinstance(message, Progress):
                meter.show(message)
                progressed(message, images)
    finally:
        if not ended:
            _cancel(client, run.job)


def _cancel(client: Client, job: str) -> None:
    """Get a Cancel out before the connection is closed, also when the end of a large frame is still before it."""
    end = time.monotonic() + _CANCEL_SECONDS
    with contextlib.suppress(DaemonUnavailable):
        client.send(Cancel(job))
        while client.wants_write and time.monotonic() < end:
            client.pump()
