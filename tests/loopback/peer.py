"""A client made of libzmq, so that the daemon is tested against the reference implementation of ZMTP, not only
against our own."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import zmq

from samovar.keys import KeyPair
from samovar_link import codec
from samovar_link.discovery import ConnectionFile
from samovar_link.messages import (
    Cancelled,
    Done,
    Failed,
    Hello,
    Message,
    Ping,
    Pong,
    Progress,
    Raster,
    Refused,
    Run,
    Value,
)

PATIENCE_SECONDS = 20.0
_PING_SECONDS = 1.0


@dataclass(frozen=True)
class Remote:
    """How to come in from another machine: where, the server's public key, and a pair of one's own."""

    endpoint: str
    server_key: str
    own: KeyPair


class Peer:
    """One connection. Says Hello unless told not to."""

    def __init__(
        self, connection: ConnectionFile | Remote, *, endpoint: int = 0, token: str | None = None, hello: bool = True
    ) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        if isinstance(connection, Remote):
            self.socket.curve_serverkey = connection.server_key.encode()
            self.socket.curve_publickey = connection.own.public.encode()
            self.socket.curve_secretkey = connection.own.secret.encode()
            self.socket.connect(connection.endpoint)
        else:
            self.socket.plain_username = b"samovar"
            self.socket.plain_password = (connection.token if token is None else token).encode()
            self.socket.connect(connection.endpoints[endpoint])
        if hello:
            self.send(Hello(client="peer", version="1"))
            self.welcome = self.expect()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close(linger=0)
        self.context.term()

    def send(self, message: Message, *frames: bytes) -> None:
        self.send_raw(codec.encode(message), *frames)

    def send_raw(self, *frames: bytes) -> None:
        self._spoke = time.monotonic()
        self.socket.send_multipart(frames)

    def receive(self, patience_seconds: float = PATIENCE_SECONDS) -> tuple[Message, list[bytes]] | None:
        """The next message, or None if none came."""
        if not self.socket.poll(round(patience_seconds * 1000)):
            return None
        header, *frames = self.socket.recv_multipart()
        return codec.decode(header), frames

    def expect(self, patience_seconds: float = PATIENCE_SECONDS) -> Any:
        """The next message, which must come."""
        received = self.receive(patience_seconds)
        assert received is not None, "no answer"
        return received[0]

    def wait(self, patience_seconds: float = PATIENCE_SECONDS) -> tuple[Message, list[bytes]]:
        """The next message but `Pong`, which must come; keeps this client's jobs alive meanwhile."""
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            if time.monotonic() - self._spoke > _PING_SECONDS:
                self.send(Ping())
            received = self.receive(_PING_SECONDS)
            if received is not None and not isinstance(received[0], Pong):
                return received
        raise AssertionError("no answer")

    def outcome(self, job: str, patience_seconds: float = PATIENCE_SECONDS) -> tuple[Any, list[bytes], list[Progress]]:
        """What became of a job: the last answer, its pixels, and the progress before it."""
        progress = []
        while True:
            message, frames = self.wait(patience_seconds)
            if isinstance(message, Progress):
                assert message.job == job
                progress.append(message)
            elif isinstance(message, (Done, Failed, Cancelled)) and message.job == job or isinstance(message, Refused):
                return message, frames, progress

    def run(self, request: Run, *frames: bytes) -> tuple[Any, list[bytes], list[Progress]]:
        self.send(request, *frames)
        return self.outcome(request.job)


def identity(raster: Raster, **options: Any) -> Run:
    """A run of `identity`. seconds : how long it takes; others : fields of `Run`."""
    parameters: dict[str, Value] = {}
    if "seconds" in options:
        parameters["seconds"] = options.pop("seconds")
    options = {"job": secrets.token_hex(16), "images": {"image": raster}, **options}
    return Run(operation="identity", parameters=parameters, **options)


SMALL = Raster(2, 3, 1)
SMALL_PIXELS = b"abcdef"


def small(**options: Any) -> Run:
    """A run of `identity` on 3x2 gray pixels."""
    return identity(SMALL, **options)


def wait_for_progress(peer: Peer) -> Progress:
    message = peer.expect()
    assert isinstance(message, Progress), message
    return message
