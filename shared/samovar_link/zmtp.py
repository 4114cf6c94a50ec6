"""ZMTP 3 for one DEALER that connects: bytes in, messages out, and the other way round.

Source: ZeroMQ RFC 23 (ZMTP 3.0), RFC 24 (PLAIN), and of RFC 37 (ZMTP 3.1) the commands PING and PONG.

Rules for whoever edits this file:
1. No socket, no clock, no thread. Bytes and the time are passed in; buffers and events are handed out.
2. Whatever the peer sends, the only exception is `ProtocolError`. After it the connection is of no further use.
3. Every step consumes input or returns: no input can make it loop, and none makes it hold more memory than `Limits`,
   nor lets what is to be sent grow when the peer does not read.
4. Pixels are copied by nobody here. A large frame is received straight into the buffer that its reader gets, and sent
   straight from the buffer that its sender gave. Only frames of up to `SMALL_FRAME` bytes are copied.
5. We greet as 3.0. libzmq 4.3 then still sends PINGs when told to, and answers ours, because it takes both for
   commands of any version 3; the loopback tests hold that down. Unknown commands are skipped, as 3.1 demands.
6. Commands are taken between the frames of a message too: libzmq's heartbeat does not wait for the last frame.

How it is used:

    dealer = Dealer(password=token, now=now)
    count = socket.sendmsg(dealer.outgoing());  dealer.sent(count, now)
    count = socket.recv_into(dealer.receive_buffer());  events = dealer.received(count, now)
    dealer.tick(now)                # now and then: deadlines and heartbeats
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from .buffers import Blocks
from .errors import ProtocolError

SMALL_FRAME = 16 << 10
"""Frames up to this size travel through the shared buffer, larger ones have their own."""

_BUFFER_BYTES = 64 << 10
_MORE, _LONG, _COMMAND = 1, 2, 4
_GREETING_BYTES = 64
_MAX_COMMAND_BYTES = 64 << 10
_MAX_UNSENT = 256  # buffers, before a PING is not answered: what is on its way shows the peer that we live
_MAX_CONTEXT_BYTES = 16  # of a PING, says RFC 37
_MAX_BUFFERS = 64  # of one sendmsg; POSIX promises 16, every system we know takes 1024

Buffer = Union[bytes, bytearray, memoryview]


@dataclass(frozen=True)
class Limits:
    """What a peer may ask us to hold, and how long it may take to say who it is."""

    frame_bytes: int = 1 << 34
    message_bytes: int = 1 << 34
    message_frames: int = 4096
    handshake_seconds: float = 5.0


@dataclass(frozen=True)
class Heartbeat:
    """Send a PING when nothing came for `interval_seconds`; give up when still nothing came `timeout_seconds` later."""

    interval_seconds: float
    timeout_seconds: float


@dataclass(frozen=True)
class Handshaken:
    """The peer accepted us; messages may be sent now. `metadata` is what it said of itself."""

    metadata: dict[str, bytes]


@dataclass(frozen=True)
class MessageReceived:
    """One whole message. The frames belong to whoever takes them."""

    frames: list[memoryview]


Event = Union[Handshaken, MessageReceived]


class HandshakeRefused(ProtocolError):
    """The peer understood us and said no: the token is wrong."""


class Dealer:
    """The state of one connection.

    With a `password` it uses PLAIN, else NULL. `now` is any clock that never goes back, in seconds.
    """

    def __init__(
        self, *, now: float, password: str | None = None, username: str = "samovar",
        limits: Limits = Limits(), heartbeat: Heartbeat | None = None,
    ) -> None:  # fmt: skip
        self.ready = False
        self._limits = limits
        self._heartbeat = heartbeat
        self._credentials = None if password is None else (username.encode(), password.encode())
        self._expected = "greeting"
        self._deadline = now + limits.handshake_seconds
        self._heard = now
        self._pinged: float | None = None
        self._broken: ProtocolError | None = None  # raised when the messages that came before it are delivered

        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._start = self._end = 0  # the bytes in between are not parsed yet
        self._blocks = Blocks()
        self._body: memoryview | None = None  # of the large frame that is coming in; then the buffer above is empty
        self._body_flags = 0
        self._body_filled = 0
        self._frames: list[memoryview] = []  # of the message that is coming in
        self._message_bytes = 0

        self._out: deque[memoryview] = deque()
        self._queue(_greeting(b"NULL" if self._credentials is None else b"PLAIN"))

    # --- going out --------------------------------------------------------------------------------------------------

    @property
    def wants_write(self) -> bool:
        return bool(self._out)

    def send(self, frames: Sequence[Buffer]) -> None:
        """Queue one message. Large frames are sent from where they are: leave them alone until they are gone."""
        if not self.ready:
            raise RuntimeError("a message cannot be sent before the handshake is over")
        views = [_bytes_view(frame) for frame in frames]  # all of them first: a bad one must not leave half a message
        head = bytearray()
        for index, view in enumerate(views):
            head += _frame_header(_MORE if index + 1 < len(views) else 0, view.nbytes)
            if view.nbytes <= SMALL_FRAME:
                head += view
            else:
                self._queue(head)
                self._queue(view)
                head = bytearray()
        if head:
            self._queue(head)

    def outgoing(self, most_bytes: int = 1 << 62) -> list[memoryview]:
        """What to write next, in order, for `sendmsg`; empty when there is nothing. `sent` says how far it got."""
        buffers: list[memoryview] = []
        for view in self._out:
            if most_bytes <= 0 or len(buffers) == _MAX_BUFFERS:
                break
            buffers.append(view[:most_bytes])
            most_bytes -= view.nbytes
        return buffers

    def sent(self, count: int) -> None:
        """The first `count` bytes of `outgoing` are written."""
        while count:
            view = self._out[0]
            if count < view.nbytes:
                self._out[0] = view[count:]
                return
            count -= view.nbytes
            self._out.popleft()

    def _queue(self, data: Buffer) -> None:
        self._out.append(memoryview(data))

    def _queue_command(self, name: bytes, data: bytes) -> None:
        body = bytes([len(name)]) + name + data
        self._queue(_frame_header(_COMMAND, len(body)) + body)

    # --- coming in --------------------------------------------------------------------------------------------------

    def receive_buffer(self) -> memoryview:
        """Where the next bytes go: never empty. Ask again after each `received`. Raises what that put off."""
        if self._broken is not None:
            raise self._broken
        if self._body is not None:
            return self._body[self._body_filled :]
        return self._buffer[self._end :]

    def received(self, count: int, now: float) -> list[Event]:
        """`count` bytes were written to the start of `receive_buffer`. Returns what they complete.

        Where a ProtocolError has messages before it, these are returned, and `receive_buffer` and `tick` raise it then.
        """
        if not count:
            return []
        self._heard, self._pinged = now, None
        events: list[Event] = []
        if self._body is not None:
            self._body_filled += count
            if self._body_filled == self._body.nbytes:
                body, self._body = self._body, None
                self._take_frame(self._body_flags, body, events)
            return events
        self._end += count
        try:
            while self._parse_one(events):
                pass
        except ProtocolError as error:
            if not events:
                raise
            self._broken, self._start, self._end = error, 0, 0
            return events
        rest = self._end - self._start
        if self._start:
            self._buffer[:rest] = self._buffer[self._start : self._end]
            self._start, self._end = 0, rest
        return events

    def tick(self, now: float) -> None:
        """See to deadlines and heartbeats. Raises ProtocolError: the peer took too long, or what `received` put off."""
        if self._broken is not None:
            raise self._broken
        self._blocks.tick(now)
        if not self.ready:
            if now > self._deadline:
                raise ProtocolError(f"no answer to the handshake ({self._expected}) in time")
        elif self._heartbeat is not None:
            if self._pinged is not None:
                if now - self._pinged > self._heartbeat.timeout_seconds:
                    raise ProtocolError(f"the peer is silent for {now - self._heard:.1f} s")
            elif now - self._heard >= self._heartbeat.interval_seconds:
                self._pinged = now
                self._queue_command(b"PING", struct.pack(">H", 0))  # 0: the peer need not time us out

    def close(self) -> None:
        """Let go of all memory, the pixels that were to be sent too."""
        self._out.clear()
        self._body, self._frames = None, []
        self._blocks = Blocks()

    # --- parsing ----------------------------------------------------------------------------------------------------

    def _parse_one(self, events: list[Event]) -> bool:
        """Take the greeting or one frame from the buffer. False when more bytes are needed."""
        if self._expected == "greeting":
            return self._parse_greeting()
        data = self._buffer[self._start : self._end]
        if not data:
            return False
        flags = data[0]
        if flags & ~(_MORE | _LONG | _COMMAND) or flags & (_MORE | _COMMAND) == _MORE | _COMMAND:
            raise ProtocolError(f"frame flags {flags:#04x}")
        header_bytes = 9 if flags & _LONG else 2
        if data.nbytes < header_bytes:
            return False
        size = int.from_bytes(data[1:header_bytes], "big")
        self._check_size(flags, size)
        end = header_bytes + size
        if data.nbytes >= end:
            self._start += end
            self._take_frame(flags, memoryview(bytes(data[header_bytes:end])), events)
            return True
        if size > SMALL_FRAME:
            self._begin_large_frame(flags, size, data[header_bytes:])
        return False

    def _parse_greeting(self) -> bool:
        data = bytes(self._buffer[self._start : self._end][:_GREETING_BYTES])
        if data[0] != 0xFF or (len(data) > 9 and not data[9] & 1):
            raise ProtocolError("the peer does not speak ZeroMQ")
        if len(data) > 10 and data[10] < 3:
            raise ProtocolError(f"the peer speaks version {data[10]} of ZeroMQ's protocol, 3 is needed")
        if len(data) < _GREETING_BYTES:
            return False
        self._start += _GREETING_BYTES
        ours, theirs = b"NULL" if self._credentials is None else b"PLAIN", data[12:32].rstrip(b"\0")
        if ours != theirs:
            raise ProtocolError(f"the peer wants the mechanism {theirs[:20]!r}, we have {ours!r}")
        if self._credentials is None:
            self._expected = "READY"
            self._queue_command(b"READY", _METADATA)
        else:
            self._expected = "WELCOME"
            self._queue_command(b"HELLO", b"".join(bytes([len(part)]) + part for part in self._credentials))
        return True

    def _check_size(self, flags: int, size: int) -> None:
        if flags & _COMMAND:
            if size > _MAX_COMMAND_BYTES:
                raise ProtocolError(f"command of {size} bytes, at most {_MAX_COMMAND_BYTES} allowed")
            return
        if not self.ready:
            raise ProtocolError(f"a message where {self._expected} was expected")
        if size > self._limits.frame_bytes:
            raise ProtocolError(f"frame of {size} bytes, at most {self._limits.frame_bytes} allowed")
        if self._message_bytes + size > self._limits.message_bytes:
            raise ProtocolError(f"message of more than {self._limits.message_bytes} bytes")
        if len(self._frames) >= self._limits.message_frames:
            raise ProtocolError(f"message of more than {self._limits.message_frames} frames")

    def _begin_large_frame(self, flags: int, size: int, beginning: memoryview) -> None:
        try:
            self._body = self._blocks.take(size, self._heard)
        except (MemoryError, OSError, OverflowError, ValueError) as error:
            raise ProtocolError(f"no memory for a frame of {size} bytes") from error
        self._body[: beginning.nbytes] = beginning
        self._body_flags, self._body_filled = flags, beginning.nbytes
        self._start = self._end = 0

    def _take_frame(self, flags: int, body: memoryview, events: list[Event]) -> None:
        if flags & _COMMAND:
            self._take_command(bytes(body), events)
            return
        self._frames.append(body)
        self._message_bytes += body.nbytes
        if not flags & _MORE:
            events.append(MessageReceived(self._frames))
            self._frames, self._message_bytes = [], 0

    def _take_command(self, body: bytes, events: list[Event]) -> None:
        if not self.ready and body.startswith(_ERRORS):
            reason = _reason(body.partition(b"RROR")[2])
            raise HandshakeRefused(f"the peer refused the handshake: {reason}")
        if not body or len(body) < 1 + body[0]:
            raise ProtocolError("a command without a name")
        name, data = body[1 : 1 + body[0]], body[1 + body[0] :]
        if self.ready:
            if name == b"PING":
                if len(data) > 2 + _MAX_CONTEXT_BYTES:
                    raise ProtocolError(f"PING of {len(data)} bytes, at most {2 + _MAX_CONTEXT_BYTES} allowed")
                if len(self._out) < _MAX_UNSENT:
                    self._queue_command(b"PONG", data[2:])
            elif name == b"ERROR":
                raise ProtocolError(f"the peer reports an error: {_reason(data)}")
        elif name != self._expected.encode():
            raise ProtocolError(f"command {name[:20]!r} where {self._expected} was expected")
        elif name == b"WELCOME":
            self._expected = "READY"
            self._queue_command(b"INITIATE", _METADATA)
        else:
            metadata = _parse_metadata(data)
            if metadata.get("socket-type") not in _PEER_TYPES:
                raise ProtocolError(f"the peer is of type {metadata.get('socket-type')!r}, not ROUTER")
            self.ready, self._expected = True, "nothing"
            events.append(Handshaken(metadata))


def _greeting(mechanism: bytes) -> bytes:
    signature = b"\xff" + bytes(8) + b"\x7f"
    return signature + b"\x03\x00" + mechanism.ljust(20, b"\0") + b"\0" + bytes(31)


def _frame_header(flags: int, size: int) -> bytes:
    return bytes((flags, size)) if size < 256 else struct.pack(">BQ", flags | _LONG, size)


def _property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


_METADATA = _property(b"Socket-Type", b"DEALER") + _property(b"Identity", b"")
_ERRORS = (b"\x05ERROR", b"^RROR")
"""libzmq's PLAIN server (4.3.5) means the first and sends the second: C reads "\\x5ERROR" as "\\x5E" and "RROR"."""

_PEER_TYPES = (b"ROUTER", b"DEALER", b"REP")
"""What RFC 28 lets a DEALER talk to."""


def _parse_metadata(data: bytes) -> dict[str, bytes]:
    """Property names are case-insensitive: lower case here."""
    metadata = {}
    while data:
        name_end = 1 + data[0]
        if len(data) < name_end + 4:
            raise ProtocolError("metadata is cut off")
        value_end = name_end + 4 + int.from_bytes(data[name_end : name_end + 4], "big")
        if len(data) < value_end:
            raise ProtocolError("metadata is cut off")
        metadata[data[1:name_end].decode("latin-1").lower()] = data[name_end + 4 : value_end]
        data = data[value_end:]
    return metadata


def _reason(data: bytes) -> str:
    return data[1 : 1 + data[0]].decode("latin-1") if data else ""


def _bytes_view(frame: Buffer) -> memoryview:
    view = memoryview(frame)
    return view.cast("B") if view.nbytes else memoryview(b"")  # an empty view of some shape cannot be cast
