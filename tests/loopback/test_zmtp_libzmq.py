"""The ZMTP core over real sockets against real libzmq."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from router import TOKEN, Router, plain_router

from samovar_link.transport import CHUNK_BYTES, Transport, wait
from samovar_link.zmtp import Dealer, Event, Handshaken, HandshakeRefused, Heartbeat, MessageReceived

SIZES = [0, 1, 255, 256, 65_535, 65_536, 1 << 20]


class Wire:
    """A Dealer on a socket."""

    def __init__(self, endpoint: str, **options: object) -> None:
        self.transport = Transport(endpoint)
        self.dealer = Dealer(now=time.monotonic(), **options)  # type: ignore[arg-type]
        self.bytes_read = 0

    def pump(self) -> list[Event]:
        """Write and read once, waiting 10 ms at most."""
        if not self.transport.advance():
            return []
        if buffers := self.dealer.outgoing(CHUNK_BYTES):
            self.dealer.sent(self.transport.write(buffers) or 0)
        count = self.transport.read_into(self.dealer.receive_buffer())
        if count == 0:
            raise ConnectionResetError
        if count:
            self.bytes_read += count
            return self.dealer.received(count, time.monotonic())
        wait(self.transport.fileno(), 0.01, write=self.dealer.wants_write)
        return []

    def next_event(self, seconds: float = 10.0) -> Event:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if events := self.pump():
                assert len(events) == 1
                return events[0]
        raise TimeoutError

    def idle(self, seconds: float, beat: Callable[[], None] = lambda: None) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.pump() == []
            beat()


@pytest.fixture
def wires() -> Iterator[Callable[..., Wire]]:
    made: list[Wire] = []

    def make(endpoint: str, **options: object) -> Wire:
        made.append(Wire(endpoint, **options))
        return made[-1]

    yield make
    for wire in made:
        wire.transport.close()


@pytest.fixture(params=["ipc", "tcp"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    """Where `plain_router` binds; None means tcp."""
    return tmp_path / "s" if request.param == "ipc" else None


def echo(router: zmq.Socket, wire: Wire, frames: list[bytes]) -> list[memoryview]:  # type: ignore[type-arg]
    """Send, let the ROUTER give it back, receive."""
    wire.dealer.send(frames)
    while not router.poll(0):
        wire.pump()
    router.send_multipart(router.recv_multipart(copy=False), copy=False)
    event = wire.next_event(30)
    assert isinstance(event, MessageReceived)
    return event.frames


def test_null_handshake_tells_the_peers_type(path: Path | None, wires: Callable[..., Wire]) -> None:
    with plain_router(path) as (_, endpoint):
        event = wires(endpoint).next_event()
        assert isinstance(event, Handshaken) and event.metadata["socket-type"] == b"ROUTER"


def test_plain_handshake_with_the_right_token(tmp_path: Path, wires: Callable[..., Wire]) -> None:
    with Router(f"ipc://{tmp_path}/s") as router:
        assert isinstance(wires(router.endpoint, password=TOKEN).next_event(), Handshaken)


def test_plain_handshake_with_a_wrong_token_is_refused(tmp_path: Path, wires: Callable[..., Wire]) -> None:
    with Router(f"ipc://{tmp_path}/s") as router, pytest.raises(HandshakeRefused, match="400"):
        wires(router.endpoint, password=TOKEN + "!").next_event()


@pytest.mark.slow
def test_frames_of_every_size_come_back_as_they_were(path: Path | None, wires: Callable[..., Wire]) -> None:
    with plain_router(path) as (router, endpoint):
        wire = wires(endpoint)
        wire.next_event()
        for size in SIZES:
            frame = bytes(range(256)) * (size // 256) + bytes(size % 256)
            assert [bytes(part) for part in echo(router, wire, [b"head", frame])] == [b"head", frame]


@pytest.mark.slow
@pytest.mark.parametrize("megabytes", [64, 256])
def test_huge_frames_come_back_as_they_were(tmp_path: Path, wires: Callable[..., Wire], megabytes: int) -> None:
    with plain_router(tmp_path / "s") as (router, endpoint):
        wire = wires(endpoint)
        wire.next_event()
        frame = (b"0123456789abcde" + b"\xff") * (megabytes << 16)
        back = echo(router, wire, [b"head", frame])
        assert back[1] == frame and not back[1].readonly


def test_a_message_of_a_thousand_frames_comes_back_in_order(path: Path | None, wires: Callable[..., Wire]) -> None:
    with plain_router(path) as (router, endpoint):
        wire = wires(endpoint)
        wire.next_event()
        frames = [str(number).encode() * (number % 7) for number in range(1000)]
        assert [bytes(frame) for frame in echo(router, wire, frames)] == frames


@pytest.mark.slow
def test_libzmq_keeps_a_client_that_is_silent_but_pumps(path: Path | None, wires: Callable[..., Wire]) -> None:
    with plain_router(path, HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=150, HEARTBEAT_TTL=200) as (router, endpoint):
        wire = wires(endpoint)
        wire.next_event()
        before = wire.bytes_read
        wire.idle(0.6)
        assert wire.bytes_read - before >= 5 * 9  # PINGs: they did come, and were answered
        assert [bytes(frame) for frame in echo(router, wire, [b"still here"])] == [b"still here"]


@pytest.mark.slow
def test_libzmq_drops_a_client_that_does_not_pump(tmp_path: Path, wires: Callable[..., Wire]) -> None:
    with plain_router(tmp_path / "s", HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=150) as (_, endpoint):
        wire = wires(endpoint)
        wire.next_event()
        wire.idle(0.1)  # our half of the handshake goes out
        time.sleep(0.5)
        with pytest.raises(ConnectionResetError):
            wire.idle(1.0)


@pytest.mark.slow
def test_libzmq_answers_our_pings(path: Path | None, wires: Callable[..., Wire]) -> None:
    with plain_router(path) as (_, endpoint):
        wire = wires(endpoint, heartbeat=Heartbeat(0.05, 0.3))
        wire.next_event()
        before = wire.bytes_read
        wire.idle(0.6, beat=lambda: wire.dealer.tick(time.monotonic()))  # raises when a PING is not answered
        assert wire.bytes_read - before >= 5 * 7


def test_several_clients_are_told_apart(tmp_path: Path, wires: Callable[..., Wire]) -> None:
    with plain_router(tmp_path / "s") as (router, endpoint):
        both = [wires(endpoint), wires(endpoint)]
        for wire in both:
            wire.next_event()
        for number, wire in enumerate(both):
            assert echo(router, wire, [str(number).encode()]) == [str(number).encode()]
