"""The other side of the link for tests: a real libzmq ROUTER, and a stand-in daemon on one, in a thread."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import zmq

from samovar_link import codec
from samovar_link.messages import Done, Hello, Message, Ping, Pong, Run, Welcome

TOKEN = "open sesame"
Handler = Callable[[Message, list[zmq.Frame]], list[tuple[Message, list[object]]]]


def answer(message: Message, frames: list[zmq.Frame]) -> list[tuple[Message, list[object]]]:
    """What a daemon says whose only operation gives back what it got."""
    if isinstance(message, Hello):
        return [(Welcome(version="stand-in"), [])]
    if isinstance(message, Ping):
        return [(Pong(message.nonce), [])]
    if isinstance(message, Run):
        return [(Done(job=message.job, images=message.images), list(frames))]
    return []


class Router:
    """A ROUTER that asks for TOKEN and gives every message to `handler`. Everything of it lives in one thread."""

    def __init__(self, endpoint: str, handler: Handler = answer, options: dict[int, int] | None = None) -> None:
        self.endpoint = endpoint
        self.handler = handler
        self.heard: list[Message] = []
        self._options = options or {}
        self._up = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, name="router")

    def __enter__(self) -> Router:
        self._thread.start()
        assert self._up.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()

    def _live(self) -> None:
        context = zmq.Context()
        router, door = context.socket(zmq.ROUTER), context.socket(zmq.REP)
        door.bind("inproc://zeromq.zap.01")
        router.plain_server = True
        router.linger = door.linger = 0
        for option, value in self._options.items():
            router.setsockopt(option, value)
        router.bind(self.endpoint)
        self.endpoint = router.last_endpoint.decode()
        self._up.set()
        poller = zmq.Poller()
        poller.register(router, zmq.POLLIN)
        poller.register(door, zmq.POLLIN)
        while not self._stop.is_set():
            for socket, _ in poller.poll(20):
                if socket is door:
                    _let_in(door)
                else:
                    self._serve(router)
        context.destroy(linger=0)

    def _serve(self, router: zmq.Socket) -> None:  # type: ignore[type-arg]
        identity, header, *frames = router.recv_multipart(copy=False)
        message = codec.decode(header.bytes)
        self.heard.append(message)
        for reply, pixels in self.handler(message, frames):
            router.send_multipart([identity, codec.encode(reply), *pixels], copy=False)


def _let_in(door: zmq.Socket) -> None:  # type: ignore[type-arg]
    version, request, *_, username, password = door.recv_multipart()
    good = (username, password) == (b"samovar", TOKEN.encode())
    door.send_multipart([version, request, b"200" if good else b"400", b"OK" if good else b"no", b"", b""])


@contextlib.contextmanager
def plain_router(path: Path | None = None, **options: int) -> Iterator[tuple[zmq.Socket, str]]:  # type: ignore[type-arg]
    """A bare ROUTER (NULL mechanism) and its endpoint; options are names of zmq constants."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    router.rcvtimeo = router.sndtimeo = 10_000
    for name, value in options.items():
        router.setsockopt(getattr(zmq, name), value)
    router.bind(f"ipc://{path}" if path else "tcp://127.0.0.1:*")
    try:
        yield router, router.last_endpoint.decode()
    finally:
        context.destroy(linger=0)
