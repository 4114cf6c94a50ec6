"""The ZMTP core: any bytes at any stage, cut up in any way, and true conversations with something wrong in them.

Whatever comes, there are events or a ProtocolError, the same ones however the bytes were cut, and what is held stays
within the limits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from target import Choices, Finding, Target

from samovar_link.errors import ProtocolError
from samovar_link.zmtp import Dealer, Event, Handshaken, Heartbeat, Limits

RECORDED = Path(__file__).parents[1] / "unit" / "data" / "router_plain.bin"
LIMITS = Limits(frame_bytes=1 << 20, message_bytes=1 << 21, message_frames=64)
MOST_UNSENT = 1 << 20
PASSWORD = "x"


def greeting(mechanism: bytes, version: bytes = b"\x03\x01") -> bytes:
    return b"\xff" + bytes(8) + b"\x7f" + version + mechanism.ljust(20, b"\0") + bytes(32)


def command(name: bytes, data: bytes = b"") -> bytes:
    body = bytes([len(name)]) + name + data
    return bytes([4, len(body)]) + body if len(body) < 256 else struct.pack(">BQ", 6, len(body)) + body


READY = command(b"READY", b"\x0bSocket-Type\0\0\0\x06ROUTER\x08Identity\0\0\0\0")
NULL, PLAIN = greeting(b"NULL"), greeting(b"PLAIN")
STAGES = (
    (None, b""), (None, NULL), (None, NULL + READY), (PASSWORD, b""), (PASSWORD, PLAIN),
    (PASSWORD, PLAIN + command(b"WELCOME")), (PASSWORD, PLAIN + command(b"WELCOME") + READY),
)  # fmt: skip
"""(password, what the peer said before)."""


class Ear:
    """A dealer that is fed, and what came of it, in a form that can be compared."""

    def __init__(self, password: str | None, said: bytes, limits: Limits = LIMITS) -> None:
        self.heard: list[object] = []
        self.error: ProtocolError | None = None
        self._limits = limits
        self._dealer = Dealer(now=0.0, password=password, limits=limits, heartbeat=Heartbeat(1.0, 3.0))
        self._now = 0.0
        self.feed(said)

    def feed(self, data: bytes) -> None:
        """One piece, as a socket hands it over."""
        while data and self.error is None:
            try:
                buffer = self._dealer.receive_buffer()
                if not buffer.nbytes:
                    raise Finding("nowhere to put the next byte")
                count = min(buffer.nbytes, len(data))
                buffer[:count] = data[:count]
                data = data[count:]
                self._note(self._dealer.received(count, self._now))
            except ProtocolError as error:
                self.error = error

    def _note(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, Handshaken):
                self.heard.append(dict(event.metadata))
                continue
            frames = [bytes(frame) for frame in event.frames]
            if not frames or len(frames) > self._limits.message_frames:
                raise Finding(f"a message of {len(frames)} frames")
            if sum(map(len, frames)) > self._limits.message_bytes:
                raise Finding("a message beyond its limit")
            self.heard.append(frames)

    def answer(self) -> bytes:
        """What it says in return, written in one go; it may also send messages and keep time."""
        said = b""
        while buffers := self._dealer.outgoing():
            part = b"".join(buffers)
            self._dealer.sent(len(part))
            said += part
        return said

    def pass_time(self, seconds: float) -> None:
        self._now += seconds
        try:
            self._dealer.tick(self._now)
        except ProtocolError as error:
            self.error = self.error or error

    def say(self, frames: list[bytes]) -> None:
        if self._dealer.ready and self.error is None:
            self._dealer.send(frames)

    def outcome(self) -> tuple[object, ...]:
        self.pass_time(0.0)  # an error may wait behind messages
        unsent = sum(view.nbytes for view in self._dealer._out)
        if unsent > MOST_UNSENT:
            raise Finding(f"{unsent} bytes wait to be sent to a peer that does not read")
        return self.heard, type(self.error), str(self.error)


def any_bytes(data: bytes) -> None:
    """The first byte says how far the handshake got and what the limits are, the second how the rest is cut."""
    choices = Choices(data)
    number, cut = choices.number(), choices.number()
    (password, before), limits = STAGES[number % 16 % len(STAGES)], LIMITS if number < 128 else Limits()
    said = choices.rest()
    whole = Ear(password, before, limits)
    whole.feed(said)
    _compare(whole, Ear(password, before, limits), said, cut)


def _compare(whole: Ear, cut_up: Ear, said: bytes, cut: int) -> None:
    """cut : bytes of each piece, 0 for pieces that grow; of long input they are longer"""
    at, size = 0, max(cut, len(said) // 32) or 1
    while at < len(said):
        cut_up.feed(said[at : at + size])
        at, size = at + size, size if cut else size + 1
    if whole.outcome() != cut_up.outcome():
        raise Finding(f"in one piece {whole.outcome()!r}, in pieces {cut_up.outcome()!r}")
    if whole.answer() != cut_up.answer():
        raise Finding("the answer depends on how the bytes were cut")


def conversation(data: bytes) -> None:
    """What a router really said, with edits, while we talk and time passes."""
    choices = Choices(data)
    said = recorded()
    for _ in range(choices.number() % 4):
        at = choices.number(2) % len(said)
        said = said[:at] + _edit(choices) + said[at + choices.number() % 16 :]
    if not choices.chance(2):
        whole, cut = Ear(PASSWORD, b""), choices.number()
        whole.feed(said)
        _compare(whole, Ear(PASSWORD, b""), said, cut)
        return
    talking = Ear(PASSWORD, b"")
    while choices.left and said:
        size = choices.number() * 8 + 1
        talking.feed(said[:size])
        said = said[size:]
        talking.say([bytes(choices.pick((0, 1, 255, 256, 20_000))) for _ in range(choices.number() % 3 + 1)])
        talking.pass_time(choices.number() / 64)
        if choices.chance(2):
            talking.answer()


def _edit(choices: Choices) -> bytes:
    """Bytes to put in: a command, a header that announces much, or whatever."""
    kind = choices.number() % 5
    if kind == 0:
        return choices.take(choices.number() % 8)
    if kind == 1:
        name = choices.pick((b"PING", b"PONG", b"ERROR", b"READY", b"WELCOME", b"SUBSCRIBE", b""))
        return command(name, choices.take(choices.number() % 24))
    if kind == 2:
        return struct.pack(
            ">BQ", choices.pick((2, 3, 6, 7)), choices.pick((0, 1, 255, 1 << 14, 1 << 20, 1 << 40, (1 << 64) - 1))
        )
    if kind == 3:
        return b"\x01\x00" * choices.number()  # frames of which none is the last
    return command(b"PING", b"\0\0") * choices.number()


_RECORDED: list[bytes] = []


def recorded() -> bytes:
    if not _RECORDED:
        _RECORDED.append(RECORDED.read_bytes())
    return _RECORDED[0]


def seeds() -> dict[str, bytes]:
    ready, plain_ready = b"\x02\x00", b"\x06\x00"
    many = b"".join(b"\0\0\0\0\0" for _ in range(13_000))
    return {
        "nothing": b"",
        "http": b"\0\0HTTP/1.1 400 Bad Request\r\n\r\n",
        "greeting": b"\0\x01" + NULL,
        "old version": b"\0\0" + greeting(b"NULL", b"\x01\x00"),
        "curve": b"\0\0" + greeting(b"CURVE"),
        "handshake": b"\3\0" + STAGES[-1][1],
        "refusal": b"\4\0" + command(b"ERROR", b"\x03400"),
        "refusal as libzmq": b"\4\0\x04\x09^RROR\x03400",
        "many properties": b"\1\0" + command(b"READY", many),
        "messages": plain_ready + b"\x00\x01a\x01\x01b\x00\x00",
        "large frame": ready + struct.pack(">BQ", 2, 20_000) + bytes(20_000),
        "announced, not sent": ready + struct.pack(">BQ", 2, 1 << 20),
        "half a gigabyte announced": b"\x82\x00" + struct.pack(">BQ", 2, 1 << 29),
        "sixteen gigabytes announced": b"\x82\x00" + struct.pack(">BQ", 2, 1 << 34) + bytes(100),
        "too large": ready + struct.pack(">BQ", 2, (1 << 64) - 1),
        "frames without end": ready + b"\x01\x00" * 100,
        "pings": ready + command(b"PING", b"\0\0context") * 20,
        "flood of pings": ready + command(b"PING", b"\0\0" + bytes(200)) * 20_000,
        "flood of long pings": ready + command(b"PING", bytes(60_000)) * 60,
        "flood of messages": ready + b"\x00\x00" * 5_000,
        "command between frames": ready + b"\x01\x01a" + command(b"NEWER", b"x") + b"\x00\x01b",
        "reserved flags": ready + b"\x08\x00",
    }


def edits() -> dict[str, bytes]:
    return {
        "as recorded": b"\0\x07",
        "bytes in": b"\x01\x00\x50\x00\x03abc\x02\x09",
        "ping in": b"\x01\x01\x00\x01\x00\x03\0\0x\x00\x05" + bytes(range(60)),
        "size in": b"\x02\x00\x80\x02\x00\x05\x09\x01\x10\x04\x20\x02\x03" + bytes(range(40)),
    }


WORDS = (b"\xff" + bytes(8) + b"\x7f\x03\x00", b"NULL", b"PLAIN", b"\x05READY", b"\x07WELCOME", b"\x05ERROR",
         b"\x04PING", b"\x04PONG", b"^RROR", b"\x0bSocket-Type", b"\0\0\0\x06ROUTER", b"\x02" + bytes(6),
         b"\x06" + bytes(7))  # fmt: skip
TARGETS = (
    Target("zmtp", any_bytes, seeds, words=WORDS, most_bytes=256),
    Target("zmtp_conversation", conversation, edits, words=WORDS, most_bytes=128),
)
