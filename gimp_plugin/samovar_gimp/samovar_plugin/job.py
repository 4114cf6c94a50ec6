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
from typing import Any, Union

from samovar_link import (
    Client,
    DaemonStarter,
    DaemonUnavailable,
    Done,
    Progress,
    Run,
    connect,
    daemon_command,
    words,
)  # fmt: skip
from samovar_link.errors import remote_error
from samovar_link.messages import Cancelled, ModelInfo, Pull, Pulled, Pulling, Refused, StopPull

from . import offer
from .meter import TURN_SECONDS, Meter, Stopped

Ended = tuple[Union[Done, Cancelled], list[memoryview]]


def reach(version: str, meter: Meter) -> Client:
    """Connect to the daemon, started if there is none.

    version : this plug-in's, for the daemon's log
    """
    meter.say("reaching Samovar")
    try:
        client = connect("gimp", version)
    except DaemonUnavailable:
        with contextlib.closing(DaemonStarter(daemon_command(offer.FOLDER))) as starter:
            while not starter.poll():
                meter.turn()
                time.sleep(TURN_SECONDS)
        client = connect("gimp", version)
    assert client.welcome is not None
    offer.learn(client.welcome)
    return client


def fetch(client: Client, model: ModelInfo, meter: Meter) -> None:
    """Have the daemon fetch a model.

    Raises RemoteError if it cannot, Stopped if the user wants no more of it; what came until then is kept.
    """
    client.send(Pull(model.id))
    try:
        while True:
            meter.turn()
            with contextlib.suppress(TimeoutError):
                message, _ = client.receive(TURN_SECONDS)
                if isinstance(message, Refused) and message.kind == "Pull":
                    raise remote_error(message.code, message.message, message.hint)
                if isinstance(message, Pulling):
                    meter.show(Progress("", words.share(message), f"fetching {words.amount(message)}"))
                if isinstance(message, Pulled):
                    return
    except Stopped:
        client.send(StopPull(model.id))
        client.pump()
        raise


def work(
    client: Client, run: Run, frames: Sequence[bytes], meter: Meter,
    progressed: Callable[[Progress, list[memoryview]], None],
) -> tuple[Done, list[memoryview]] | None:  # fmt: skip
    """Send the job and wait for its end; None if somebody cancelled it in the daemon.

    Raises RemoteError if it failed, Stopped if the user cancelled. That, and whatever `progressed` raises, cancels the
    job.
    """

    def wait(*ears: Any) -> Ended:
        return client.run(run, frames, *ears)

    return _listen(wait, meter, progressed)


def take_up(
    client: Client, job: str, meter: Meter, progressed: Callable[[Progress, list[memoryview]], None]
) -> tuple[Done, list[memoryview]] | None:
    """Wait for a job that the daemon has already, as `work` does."""

    def wait(*ears: Any) -> Ended:
        return client.attach(job, *ears)

    return _listen(wait, meter, progressed)


def _listen(
    wait: Callable[..., Ended], meter: Meter, progressed: Callable[[Progress, list[memoryview]], None]
) -> tuple[Done, list[memoryview]] | None:
    """Have a thread wait for the end of a job, and an ear for the user meanwhile."""
    heard: SimpleQueue[tuple[Progress, list[memoryview]]] = SimpleQueue()
    unwanted = Event()
    with ThreadPoolExecutor(1) as thread:  # which alone has the client from here on
        ended = thread.submit(wait, lambda *said: heard.put(said), unwanted.is_set, meter.is_content)
        try:
            while not ended.done():
                meter.turn()
                with contextlib.suppress(Empty):
                    progress, images = heard.get(timeout=TURN_SECONDS)
                    meter.show(progress)
                    progressed(progress, images)
        finally:
            unwanted.set()
    message, images = ended.result()
    return (message, images) if isinstance(message, Done) else None
