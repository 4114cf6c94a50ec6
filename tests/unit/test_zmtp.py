"""The ZMTP core by itself: what it says, what it refuses, and when it loses patience."""

from __future__ import annotations

import struct

import pytest

from samovar_link.errors import ProtocolError
from samovar_link.zmtp import Dealer, Event, Handshaken, HandshakeRefused, Heartbeat, Limits, MessageReceived


def greeting(mechanism: bytes = b"NULL", version: bytes = b"\x03\x01") -> bytes:
    return b"\xff" + bytes(7) + b"\x01\x7f" + version + mechanism.ljust(20, b"\0") + bytes(32)


def command(name: bytes, data: bytes = b"") -> bytes:
    body = bytes([len(name)]) + name + data
    return bytes([4, len(body)]) + body


def ready(socket_type: bytes = b"ROUTER") -> bytes:
    return command(b"READY", b"\x0bSocket-Type" + struct.pack(">I", len(socket_type)) + socket_type)


def feed(dealer: Dealer, data: bytes, now: float = 0.0) -> list[Event]:
    events: list[Event] = []
    while data:
        buffer = dealer.receive_buffer()
        count = min(buffer.nbytes, len(data))
        buffer[:count] = data[:count]
        events += dealer.received(count, now)
        data = data[count:]
    return events


def written(dealer: Dealer, step: int = 1 << 30) -> bytes:
    data = b""
    while buffers := dealer.outgoing():
        part = b"".join(buffers)[:step]
        dealer.sent(len(part))
        data += part
    return data


def handshaken(**options: object) -> Dealer:
    dealer = Dealer(now=0.0, **options)  # type: ignore[arg-type]
    feed(dealer, greeting() + ready())
    written(dealer)
    return dealer


# --- handshake ------------------------------------------------------------------------------------------------------


def test_the_greeting_goes_out_at_once_and_is_64_bytes_of_version_3_0() -> None:
    said = written(Dealer(now=0.0, password="x"))
    assert len(said) == 64
    assert said[:12] == b"\xff" + bytes(8) + b"\x7f\x03\x00"
    assert said[12:33] == b"PLAIN".ljust(20, b"\0") + b"\0"


def test_null_says_ready_and_is_handshaken_by_ready() -> None:
    dealer = Dealer(now=0.0)
    written(dealer)
    assert feed(dealer, greeting()) == []
    assert written(dealer) == command(b"READY", b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0")
    assert feed(dealer, ready()) == [Handshaken({"socket-type": b"ROUTER"})]


def test_plain_sends_the_password_only_after_the_peers_greeting() -> None:
    dealer = Dealer(now=0.0, password="secret")
    assert b"secret" not in written(dealer)
    feed(dealer, greeting(b"PLAIN"))
    assert written(dealer) == command(b"HELLO", b"\x07samovar\x06secret")
    feed(dealer, command(b"WELCOME"))
    assert written(dealer).startswith(b"\x04\x2c\x08INITIATE\x0bSocket-Type")
    assert not dealer.ready
    feed(dealer, ready())
    assert dealer.ready


@pytest.mark.parametrize("error", [command(b"ERROR", b"\x03400"), b"\x04\x09^RROR\x03400"], ids=["right", "as libzmq"])
def test_an_error_in_the_handshake_is_a_refusal(error: bytes) -> None:
    dealer = Dealer(now=0.0, password="wrong")
    with pytest.raises(HandshakeRefused, match="400"):
        feed(dealer, greeting(b"PLAIN") + error)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak ZeroMQ"),
        (b"\xff" + bytes(9), "does not speak ZeroMQ"),
        (greeting(version=b"\x01\x00")[:11], "version 1"),
        (greeting(b"CURVE"), "CURVE"),
        (greeting() + ready(b"PUB"), "type b'PUB'"),
        (greeting() + command(b"READY"), "type None"),
        (greeting() + command(b"READY", b"\x0bSocket"), "cut off"),
        (greeting() + command(b"READY", b"\x01a\xff\xff\xff\xff"), "cut off"),
        (greeting() + command(b"WELCOME"), "READY was expected"),
        (greeting() + b"\x00\x01a", "READY was expected"),
        (greeting() + b"\x04\x00", "without a name"),
        (greeting() + b"\x04\x02\x05a", "without a name"),
    ],
)
def test_a_wrong_handshake_names_what_was_wrong(data: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        feed(Dealer(now=0.0), data)


def test_nothing_can_be_sent_before_the_handshake_is_over() -> None:
    with pytest.raises(RuntimeError, match="handshake"):
        Dealer(now=0.0).send([b"early"])


# --- frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"\x08\x00", b"\x80\x00", b"\x05\x00"], ids=["reserved", "reserved", "more command"])
def test_flags_that_mean_nothing_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="flags"):
        feed(handshaken(), data)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\x02" + (1001).to_bytes(8, "big"), "frame of 1001 bytes, at most 1000"),
        (b"\x02" + b"\xff" * 8, "at most 1000"),
        (b"\x03" + (900).to_bytes(8, "big") + bytes(900) + b"\x02" + (900).to_bytes(8, "big"), "more than 1500 bytes"),
        (b"\x01\x00" * 4, "more than 3 frames"),
        (b"\x06" + (1 << 20).to_bytes(8, "big"), "command of 1048576 bytes"),
    ],
)
def test_limits_hold_before_any_memory_is_taken(data: bytes, complaint: str) -> None:
    dealer = handshaken(limits=Limits(frame_bytes=1000, message_bytes=1500, message_frames=3))
    with pytest.raises(ProtocolError, match=complaint):
        feed(dealer, data)


def test_a_frame_that_fits_no_memory_is_a_protocol_error() -> None:
    dealer = handshaken(limits=Limits(frame_bytes=1 << 63, message_bytes=1 << 63))
    with pytest.raises(ProtocolError, match="no memory"):
        feed(dealer, b"\x02" + (1 << 62).to_bytes(8, "big"))


def test_a_long_header_may_announce_a_short_frame() -> None:
    assert feed(handshaken(), b"\x02" + (1).to_bytes(8, "big") + b"a") == [MessageReceived([memoryview(b"a")])]


def test_any_number_of_small_messages_passes_through_the_shared_buffer() -> None:
    dealer, sizes = handshaken(), [size * 977 % 16_000 for size in range(40)]
    stream = b"".join(b"\x02" + size.to_bytes(8, "big") + bytes(size) for size in sizes)
    assert len(stream) > 4 << 16
    events = [event for at in range(0, len(stream), 10_007) for event in feed(dealer, stream[at : at + 10_007])]
    assert [event.frames[0].nbytes for event in events] == sizes  # type: ignore[union-attr]


def test_messages_do_not_count_against_each_others_limits() -> None:
    dealer = handshaken(limits=Limits(message_bytes=10, message_frames=1))
    assert len(feed(dealer, (b"\x00\x08" + bytes(8)) * 5)) == 5


def test_unknown_commands_are_skipped_also_between_frames() -> None:
    data = command(b"SUBSCRIBE", b"a") + b"\x01\x01a" + command(b"NEWER") + b"\x00\x01b"
    assert feed(handshaken(), data) == [MessageReceived([memoryview(b"a"), memoryview(b"b")])]


def test_an_error_after_the_handshake_ends_the_connection() -> None:
    with pytest.raises(ProtocolError, match="enough"):
        feed(handshaken(), command(b"ERROR", b"\x06enough"))


def test_messages_before_an_error_are_delivered_and_then_it_is_raised() -> None:
    for raised_by in (lambda dealer: dealer.receive_buffer(), lambda dealer: dealer.tick(0.0)):
        dealer = handshaken()
        assert feed(dealer, b"\x00\x01a\x00\x01b\x08\x00") == [
            MessageReceived([memoryview(b"a")]), MessageReceived([memoryview(b"b")]),
        ]  # fmt: skip
        with pytest.raises(ProtocolError, match="flags 0x08"):
            raised_by(dealer)


# --- going out ------------------------------------------------------------------------------------------------------


def test_frames_get_the_header_that_their_size_and_place_ask_for() -> None:
    dealer = handshaken()
    dealer.send([b"", b"a" * 255, b"b" * 256, b"c" * 20_000])
    assert written(dealer) == (
        b"\x01\x00" + b"\x01\xff" + b"a" * 255 + b"\x03" + (256).to_bytes(8, "big") + b"b" * 256
        + b"\x02" + (20_000).to_bytes(8, "big") + b"c" * 20_000
    )  # fmt: skip


@pytest.mark.parametrize("step", [1, 7, 1000, 20_001])
def test_partial_writes_lose_and_repeat_nothing(step: int) -> None:
    dealer, frames = handshaken(), [b"head", bytes(range(256)) * 80, b"", b"tail" * 5000]
    dealer.send(frames)
    received = feed(handshaken(), written(dealer, step))
    assert [bytes(frame) for event in received for frame in event.frames] == frames  # type: ignore[union-attr]


def test_pixels_are_sent_from_where_they_are() -> None:
    dealer, pixels = handshaken(), bytearray(1 << 20)
    dealer.send([b"head", pixels])
    assert pixels in [view.obj for view in dealer.outgoing()]
    assert sum(view.nbytes for view in dealer.outgoing(most_bytes=5000)) == 5000
    assert dealer.outgoing(most_bytes=5000)[-1].obj is pixels


def test_many_small_frames_are_written_together() -> None:
    dealer = handshaken()
    dealer.send([b"x"] * 1000)
    assert len(dealer.outgoing()) == 1


def test_views_of_any_shape_are_sent_as_their_bytes() -> None:
    dealer = handshaken()
    dealer.send([memoryview(b"abcdef").cast("B", (2, 3)), memoryview(b"").cast("H")])
    assert written(dealer) == b"\x01\x06abcdef\x00\x00"


def test_a_view_with_gaps_is_refused_and_leaves_no_half_message() -> None:
    dealer = handshaken()
    with pytest.raises(TypeError):
        dealer.send([b"head", memoryview(bytearray(10))[::2]])
    assert not dealer.wants_write


# --- time -----------------------------------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_context() -> None:
    dealer = handshaken()
    assert feed(dealer, command(b"PING", b"\x00\x05context")) == []
    assert written(dealer) == command(b"PONG", b"context")


def test_pings_are_not_answered_without_end_while_nothing_goes_out() -> None:
    dealer = handshaken()
    for _ in range(20):
        feed(dealer, command(b"PING", b"\0\0") * 1000)
    assert sum(view.nbytes for view in dealer._out) < 10_000
    assert written(dealer).startswith(command(b"PONG"))
    feed(dealer, command(b"PING", b"\0\0again"))
    assert written(dealer) == command(b"PONG", b"again")


def test_a_ping_with_more_context_than_there_may_be_is_refused() -> None:
    dealer = handshaken()
    feed(dealer, command(b"PING", bytes(18)))
    with pytest.raises(ProtocolError, match="PING of 19 bytes, at most 18"):
        feed(dealer, command(b"PING", bytes(19)))


@pytest.mark.parametrize("said", [b"", greeting()[:30], greeting()], ids=["nothing", "half a greeting", "greeting"])
def test_a_handshake_has_a_deadline(said: bytes) -> None:
    dealer = Dealer(now=100.0, limits=Limits(handshake_seconds=5))
    feed(dealer, said, now=104.0)
    dealer.tick(105.0)
    with pytest.raises(ProtocolError, match="handshake"):
        dealer.tick(105.1)


def test_a_silent_peer_is_pinged_and_then_given_up() -> None:
    dealer = handshaken(heartbeat=Heartbeat(1.0, 3.0))
    dealer.tick(0.9)
    assert written(dealer) == b""
    dealer.tick(1.0)
    assert written(dealer) == command(b"PING", b"\0\0")
    dealer.tick(4.0)
    assert written(dealer) == b""
    with pytest.raises(ProtocolError, match="silent for 4.1 s"):
        dealer.tick(4.1)


def test_any_byte_is_a_sign_of_life() -> None:
    dealer = handshaken(heartbeat=Heartbeat(1.0, 3.0))
    dealer.tick(1.0)
    feed(dealer, b"\x00", now=3.9)  # half a frame header
    dealer.tick(4.5)
    assert written(dealer) == command(b"PING", b"\0\0")
    dealer.tick(4.9)
    assert written(dealer) == command(b"PING", b"\0\0")


def test_without_heartbeat_a_ready_peer_may_be_silent_for_ever() -> None:
    dealer = handshaken()
    dealer.tick(1e9)
    assert not dealer.wants_write
