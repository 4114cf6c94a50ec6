"""The connection to a daemon on another machine: CURVE, made anew whenever it is lost.

Rules for whoever edits this file:
1. Every connection is a socket of its own: what was queued for one that is lost must not come before Hello on the next.
2. Nothing here waits; `poll` takes what is there, and does what is due.
3. A connection is `up` from its Welcome on. It is lost when libzmq says so, or when nothing came for `SILENT_SECONDS`.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

import zmq
from zmq.utils.monitor import recv_monitor_message

import samovar
from samovar.packing import ZSTD, Packer
from samovar_link import codec
from samovar_link.errors import BadRequest, ProtocolError
from samovar_link.messages import Hello, Message, Ping, Pong, Refused, Welcome

log = logging.getLogger(__name__)

Buffer = Union[bytes, memoryview]

PING_SECONDS = 1.0
SILENT_SECONDS = 8.0
HANDSHAKE_SECONDS = 5.0
PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0)
"""Before the next attempt, one after another; the last one again and again."""
_LARGEST_MESSAGE_BYTES = 1 << 35
_LINGER_MS = 300
_SILENT = "it does not answer"
_KEYS_DIFFER = "it does not know this machine's key, or has another key itself: compare `samovar keys` on both"
"""A daemon does not say which: it hangs up."""
_LOST = (
    zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)  # fmt: skip


@dataclass(frozen=True)
class Keys:
    """All of CURVE, as Z85: the other daemon's public key, and the pair of this one."""

    server: bytes
    public: bytes
    secret: bytes


class Link:
    """address : tcp://HOST:PORT

    welcome : what the other daemon said of itself, while the link is up
    trouble : why it is not up, in words
    """

    def __init__(self, address: str, keys: Keys) -> None:
        self.address, self._keys = address, keys
        self.host = address.removeprefix("tcp://").rpartition(":")[0]
        self.welcome: Welcome | None = None
        self.trouble = _SILENT
        self._reached = False
        self.packer = Packer()
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._attempts = 0
        self._next_attempt = self._began = self._heard = self._pinged = time.monotonic()
        self._sending: deque[tuple[zmq.MessageTracker, int, float]] = deque()

    @property
    def up(self) -> bool:
        return self.welcome is not None

    @property
    def packs(self) -> bool:
        """Whether the other one can unpack."""
        return self.welcome is not None and ZSTD in self.welcome.packings

    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What to poll for reading."""
        return [each for each in (self._socket, self._monitor) if each is not None]

    def send(self, message: Message, frames: Sequence[Buffer] = ()) -> bool:
        """Whether it went; not if the link was lost a moment ago. `frames` must not change while `sending`."""
        if self._socket is None:
            return False
        more = zmq.NOBLOCK | zmq.SNDMORE
        try:
            self._socket.send(codec.encode(message), more if frames else zmq.NOBLOCK)
            for number, frame in enumerate(frames, 1):
                flags = more if number < len(frames) else zmq.NOBLOCK
                tracker = self._socket.send(frame, flags, copy=False, track=True)
                assert tracker is not None
                self._sending.append((tracker, len(frame), time.monotonic()))
        except zmq.ZMQError as error:
            self._lose(f"it takes nothing any more ({error})")
            return False
        return True

    @property
    def sending(self) -> bool:
        """Whether frames are still read from."""
        return bool(self._sending)

    def poll(self) -> list[tuple[Message, list[zmq.Frame]]]:
        """What came, and what is due: attempts, pings. Look at `up` afterwards; a `Welcome` is among what came."""
        now = time.monotonic()
        if self._socket is None and now >= self._next_attempt:
            self._open(now)
        came = self._receive()
        self._hear_events()
        self._note_sent()
        now = time.monotonic()
        if self._socket is None:
            return came
        if self.up and now - self._heard > SILENT_SECONDS:
            self._lose("nothing came from it any more")
        elif not self.up and now - self._began > HANDSHAKE_SECONDS:
            self._lose(self._why_not)
        elif self.up and now - self._pinged > PING_SECONDS:
            self._pinged = now
            self.send(Ping(secrets.randbits(31)))
        return came

    def close(self) -> None:
        """What is on its way gets a moment to leave."""
        self._shut(_LINGER_MS)
        self._context.destroy(_LINGER_MS)

    # --- one connection -----------------------------------------------------------------------------------------------

    def _open(self, now: float) -> None:
        self._socket = socket = self._context.socket(zmq.DEALER)
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = (
            self._keys.server, self._keys.public, self._keys.secret,
        )  # fmt: skip
        socket.linger = 0
        socket.maxmsgsize = _LARGEST_MESSAGE_BYTES
        socket.handshake_ivl = round(HANDSHAKE_SECONDS * 1000)
        socket.heartbeat_ivl, socket.heartbeat_timeout = 2000, round(SILENT_SECONDS * 1000)
        self._monitor = socket.get_monitor_socket(_LOST | zmq.EVENT_CONNECTED)
        self._began = self._heard = now
        self._attempts += 1
        self._reached = False
        socket.connect(self.address)
        socket.send(codec.encode(Hello(client="samovar upstream", version=samovar.__version__)))

    def _receive(self) -> list[tuple[Message, list[zmq.Frame]]]:
        came: list[tuple[Message, list[zmq.Frame]]] = []
        while self._socket is not None:
            try:
                header, *frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            self._heard = time.monotonic()
            try:
                message = codec.decode(header.bytes)
            except (ProtocolError, BadRequest) as error:
                log.warning("%s sent what cannot be read: %s", self.host, error)
                continue
            if isinstance(message, Welcome):
                if not self.up:
                    log.info("linked to %s, Samovar %s", self.host, message.version)
                self.welcome, self._attempts = message, 0
            elif isinstance(message, Refused) and message.kind == "Hello":
                self._lose(message.message)
                break
            elif isinstance(message, Ping):
                self.send(Pong(message.nonce))
            if not isinstance(message, (Ping, Pong)):
                came.append((message, frames))
        return came

    def _hear_events(self) -> None:
        while self._monitor is not None and self._monitor.poll(0):
            event = zmq.Event(recv_monitor_message(self._monitor)["event"])
            if event == zmq.EVENT_CONNECTED:
                self._reached = True
            elif event & _LOST:
                self._lose("the connection was cut" if self.up else self._why_not)

    @property
    def _why_not(self) -> str:
        """Why there is no Welcome."""
        return _KEYS_DIFFER if self._reached else _SILENT

    def _note_sent(self) -> None:
        now = time.monotonic()
        for _ in range(len(self._sending)):
            tracker, size, began = self._sending.popleft()
            if tracker.done:
                self.packer.sent(size, now - began)
            else:
                self._sending.append((tracker, size, began))

    def _lose(self, why: str) -> None:
        if self.up:
            log.warning("the link to %s is lost: %s", self.host, why)
        elif why != self.trouble:
            log.warning("no link to %s: %s", self.host, why)
        self.trouble = why
        self._shut(0)
        self._next_attempt = time.monotonic() + PAUSES_SECONDS[min(self._attempts, len(PAUSES_SECONDS)) - 1]

    def _shut(self, linger_ms: int) -> None:
        self.welcome = None
        if self._socket is not None:
            self._socket.disable_monitor()
            self._socket.close(linger=linger_ms)
        if self._monitor is not None:
            self._monitor.close(linger=0)
        self._socket = self._monitor = None
