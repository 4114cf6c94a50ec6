"""One job with the daemon, with an ear for the user all the time.

While the job runs, the connection has a thread of its own. GIMP answers a plug-in's calls when it gets round to it, and
while it saves a file or runs a filter that takes longer than the daemon waits for a sign of life.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Event

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

_Heard = SimpleQueue[tuple[Progress, list[memoryview]]]


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
    heard: _Heard = SimpleQueue()
    unwanted = Event()
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(_converse, client, run, frames, heard, unwanted)
        try:
            while not ended.done():
                meter.turn()
                with contextlib.suppress(Empty):
                    progress, images = heard.get(timeout=TURN_SECONDS)
                    meter.show(progress)
                    progressed(progress, images)
        finally:
            unwanted.set()
    return ended.result()


def _converse(
    client: Client, run: Run, frames: Sequence[bytes], heard: _Heard, unwanted: Event
) -> tuple[Done, list[memoryview]] | None:
    """The job as the daemon hears of it. Runs in a thread of its own, which alone has the client."""
    client.send(run, frames)
    ended = False
    try:
        while not unwanted.is_set():
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
                heard.put((message, images))
        return None
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
