"""The ZMTP core against bytes that a real libzmq ROUTER sent (tests/loopback/record_stream.py), cut up in every way."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar_link import codec
from samovar_link.errors import ProtocolError
from samovar_link.messages import Done, Welcome
from samovar_link.zmtp import Dealer, Event, Handshaken, MessageReceived

STREAM = (Path(__file__).parent / "data" / "router_plain.bin").read_bytes()
LARGE_FRAME = 17_000
METADATA = {"socket-type": b"ROUTER", "identity": b""}
FRAMES = [bytes(i * 7 % 251 for i in range(size)) for size in (0, 1, 255, 256, 1000, LARGE_FRAME)]


def feed(dealer: Dealer, data: bytes) -> list[Event]:
    events: list[Event] = []
    while data:
        buffer = dealer.receive_buffer()
        count = min(buffer.nbytes, len(data))
        buffer[:count] = data[:count]
        events += dealer.received(count, 0.0)
        data = data[count:]
    return events


def parsed(*pieces: bytes) -> tuple[dict[str, bytes], list[list[bytes]]]:
    """Metadata, and the messages as bytes."""
    dealer = Dealer(now=0.0, password="x")
    events = [event for piece in pieces for event in feed(dealer, piece)]
    assert isinstance(events[0], Handshaken)
    messages = [[bytes(frame) for frame in event.frames] for event in events[1:] if isinstance(event, MessageReceived)]
    assert len(messages) == len(events) - 1
    return events[0].metadata, messages


WHOLE = parsed(STREAM)


def test_the_recorded_stream_holds_what_was_sent() -> None:
    metadata, messages = WHOLE
    assert metadata == METADATA
    assert [codec.decode(frames[0]) for frames in messages] == [Welcome(version="recorded"), Done("a"), Done("b")]
    assert [frames[1:] for frames in messages] == [[], FRAMES, []]


@pytest.mark.slow
def test_a_split_at_any_byte_changes_nothing() -> None:
    for cut in range(1, len(STREAM)):
        assert parsed(STREAM[:cut], STREAM[cut:]) == WHOLE, cut


def test_single_bytes_change_nothing() -> None:
    assert parsed(*(STREAM[i : i + 1] for i in range(len(STREAM)))) == WHOLE


@pytest.mark.parametrize("seed", range(20))
def test_random_pieces_change_nothing(seed: int) -> None:
    chance = random.Random(seed)
    pieces, rest = [], STREAM
    while rest:
        size = chance.choice((1, 2, 9, 64, 300, 5000))
        pieces.append(rest[: chance.randint(1, size)])
        rest = rest[len(pieces[-1]) :]
    assert parsed(*pieces) == WHOLE


def test_a_large_frame_is_received_into_the_buffer_its_reader_gets() -> None:
    dealer = Dealer(now=0.0, password="x")
    start = STREAM.index(FRAMES[-1])
    feed(dealer, STREAM[: start + 10])
    target = dealer.receive_buffer()
    assert target.nbytes == LARGE_FRAME - 10
    done = feed(dealer, STREAM[start + 10 :])[0]
    assert isinstance(done, MessageReceived)
    assert done.frames[-1].obj is target.obj


@given(st.lists(st.tuples(st.integers(0, 1700), st.binary(max_size=4), st.integers(0, 4)), min_size=1, max_size=4))
def test_a_damaged_stream_gives_messages_or_a_protocol_error(edits: list[tuple[int, bytes, int]]) -> None:
    data = STREAM
    for at, new, removed in edits:
        data = data[:at] + new + data[at + removed :]
    with contextlib.suppress(ProtocolError):
        feed(Dealer(now=0.0, password="x"), data)


@given(st.integers(0, 1700), st.binary(min_size=1, max_size=200))
def test_random_bytes_at_any_stage_give_messages_or_a_protocol_error(at: int, noise: bytes) -> None:
    dealer = Dealer(now=0.0, password="x")
    feed(dealer, STREAM[:at])
    with contextlib.suppress(ProtocolError):
        feed(dealer, noise)
