"""Clients that were let in and then stand still, or send without end: hung up on, and nobody else is.

The daemon's bounds are small here; what they are otherwise says `Bounds`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable

import psutil
import pytest
from peer import PATIENCE_SECONDS, SMALL_PIXELS, Peer, identity, small

from live_daemon import Daemon
from samovar.broker.door import Door
from samovar.broker.port import Bounds
from samovar_link import codec
from samovar_link.discovery import ConnectionFile
from samovar_link.messages import Done, Failed, Hello, Limits, Ping, Pong, Progress, Raster, Refused, Welcome
from samovar_link.zmtp import Dealer, Event, Handshaken, MessageReceived

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="what libzmq holds is known only from glibc"),
]

MIB = 1 << 20


def wait_for(daemon: Daemon, words: str, seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while words not in daemon.log:
        assert time.monotonic() < deadline, f"the log never said: {words}"
        time.sleep(0.05)


class RawPeer:
    """A client of our own ZMTP core, which lets one send half a message, over ipc or tcp."""

    def __init__(self, daemon: Daemon, endpoint: int) -> None:
        place = daemon.connection.endpoints[endpoint]
        if place.startswith("ipc://"):
            self.line = socket.socket(socket.AF_UNIX)
            self.line.connect(place.removeprefix("ipc://"))
        else:
            self.line = socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2])))
        self.line.settimeout(PATIENCE_SECONDS)
        self._dealer = Dealer(now=0.0, password=daemon.connection.token)
        while not any(isinstance(event, Handshaken) for event in self._exchange()):
            pass
        self._dealer.send([codec.encode(Hello(client="raw"))])
        while not any(isinstance(event, MessageReceived) for event in self._exchange()):
            pass

    def _exchange(self) -> list[Event]:
        while buffers := self._dealer.outgoing():
            self._dealer.sent(self.line.sendmsg(buffers))
        return self._dealer.received(self.line.recv_into(self._dealer.receive_buffer()), 0.0)

    def send_part(self, size: int) -> None:
        """One frame of a message of which more is to come."""
        self.line.sendall(b"\x03" + size.to_bytes(8, "big") + bytes(size))

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *error: object) -> None:
        self.line.close()

    def wait_for_end(self) -> None:
        with contextlib.suppress(ConnectionResetError):
            while self.line.recv(4096):
                pass


@pytest.mark.parametrize("endpoint", [0, 1], ids=["ipc", "tcp"])
def test_who_sends_half_a_message_and_stops_is_hung_up_on(start_daemon: Callable[..., Daemon], endpoint: int) -> None:
    daemon = start_daemon("--bounds", json.dumps({"half_bytes": 32 * MIB, "half_seconds": 2.0, "unread_seconds": 600}))
    process = psutil.Process(daemon.pid)
    before = process.memory_info().rss
    with Peer(daemon.connection) as other, RawPeer(daemon, endpoint) as raw:
        raw.send_part(64 * MIB)
        assert process.memory_info().rss - before > 32 * MIB, "it holds it"
        wait = time.monotonic()
        while "do not end" not in daemon.log and time.monotonic() < wait + PATIENCE_SECONDS:
            other.send(Ping(1))  # who says something is not meant
            assert other.expect() == Pong(1)
            time.sleep(0.2)
        raw.wait_for_end()
        assert daemon.log.count("hung up on a client") == 1
        other.send(Ping(2))
        assert other.expect() == Pong(2)


def test_who_sends_a_message_without_end_is_hung_up_on(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--bounds", json.dumps({
        "half_bytes": 8 * MIB, "max_bytes": 64 * MIB, "half_seconds": 600, "silent_seconds": 1.0, "unread_seconds": 600,
    }))  # fmt: skip
    process = psutil.Process(daemon.pid)
    before, grown = process.memory_info().rss, 0
    with RawPeer(daemon, 0) as raw, pytest.raises(OSError):
        for _ in range(20_000):
            raw.send_part(MIB // 8)
            grown = max(grown, process.memory_info().rss - before)
            time.sleep(0.001)
    print(f"it got to {grown >> 20} MiB")
    assert grown > 64 * MIB
    wait_for(daemon, "do not end")
    with Peer(daemon.connection) as peer:
        assert isinstance(peer.welcome, Welcome)


def computed(daemon: Daemon) -> int:
    """How many of the large jobs."""
    return sum("identity 1024x2048" in line for line in daemon.log.splitlines())


def test_who_does_not_read_its_results_gets_no_more_and_is_hung_up_on_when_silent(
    start_daemon: Callable[..., Daemon],
) -> None:
    daemon = start_daemon("--bounds", json.dumps({"unread_bytes": 16 * MIB, "unread_seconds": 2.5}))
    raster = Raster(1 << 11, 1 << 10, 4)  # 8 MiB
    with Peer(daemon.connection, hello=False) as peer, Peer(daemon.connection) as other:
        endpoint = daemon.connection.endpoints[0]
        peer.socket.disconnect(endpoint)
        peer.socket.rcvhwm = 1
        peer.socket.rcvbuf = 4096
        peer.socket.connect(endpoint)
        peer.send(Hello(client="deaf"))
        assert isinstance(peer.expect(), Welcome)
        for _ in range(12):
            peer.send(identity(raster), bytes(raster.size_bytes))
        end = time.monotonic() + 8
        while time.monotonic() < end:
            peer.send(Ping())
            other.send(small(), SMALL_PIXELS)
            answer, _ = other.wait()
            while isinstance(answer, Progress):
                answer, _ = other.wait()
            assert isinstance(answer, Done), "others get theirs"
            time.sleep(0.3)
        runs = computed(daemon)
        assert 2 <= runs < 8, f"{runs} of 12 were computed for who reads none"
        assert "hung up" not in daemon.log
        wait_for(daemon, "it has read nothing for")
    wait_for(daemon, "its client went silent")
    assert runs == computed(daemon), "for who is gone"


def test_more_frames_than_a_message_may_have_are_dropped_and_it_is_told(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer, Peer(daemon.connection, endpoint=1) as other:
        job = small()
        peer.send(job, *[SMALL_PIXELS] * 20_000)
        other.send(Ping(1))
        assert other.expect() == Pong(1)
        answer, _, _ = peer.outcome(job.job)
        assert isinstance(answer, Failed)
        assert answer.message == "frames is 'more than 16'; allowed: at most 16 frames of pixels"
        assert isinstance(peer.run(small(), SMALL_PIXELS)[0], Done)


def test_of_too_many_frames_only_a_few_are_held_and_the_rest_goes_some_at_a_time() -> None:
    door = Door("token", Limits(max_frames=3), None)
    try:
        connection = ConnectionFile(1, "token", door.endpoints)
        with Peer(connection, hello=False) as peer:
            peer.send_raw(*[bytes([number % 256]) for number in range(5001)])
            peer.send_raw(b"next")
            received, rounds, deadline = [], 0, time.monotonic() + PATIENCE_SECONDS
            while len(received) < 2 and time.monotonic() < deadline:
                if door.gate.socket.poll(0):
                    door.gate.answer()
                found = door.receive()
                rounds += bool(received) and found is None
                if found is not None:
                    received.append([frame.bytes for frame in found[1]])
        assert received == [[b"\0", b"\1", b"\2", b"\3", b"\4"], [b"next"]]
        assert rounds >= 4, "5000 frames went in one round"
    finally:
        door.close(linger_ms=0)


def test_a_gigantic_header_is_refused_unread(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        peer.send_raw(b"\x92\xa3Run" + bytes(64 * MIB))
        answer = peer.expect()
        assert isinstance(answer, Refused) and answer.kind == "Run"
        assert answer.message == f"frame 0 is '{64 * MIB + 5} bytes'; allowed: at most 16384 bytes"


def test_a_frame_larger_than_any_layer_ends_the_connection(daemon: Daemon) -> None:
    with RawPeer(daemon, 0) as raw:
        raw.line.sendall(b"\x03" + ((1 << 32) + 1).to_bytes(8, "big") + bytes(1000))
        raw.wait_for_end()
    with Peer(daemon.connection) as peer:
        assert isinstance(peer.welcome, Welcome)


def test_more_connections_than_there_may_be_are_hung_up_on(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--bounds", json.dumps({"max_connections": 8}))
    with Peer(daemon.connection) as first:
        peers = [Peer(daemon.connection, hello=False) for _ in range(12)]
        try:
            for peer in peers:
                peer.socket.reconnect_ivl = -1
                peer.send(Hello())
            answered = sum(peer.receive(1.0) is not None for peer in peers)
            assert 7 <= answered <= 9
            first.send(Ping(1))
            assert first.expect() == Pong(1)
        finally:
            for peer in peers:
                peer.close()
    assert "there are too many connections" in daemon.log
    with Peer(daemon.connection) as peer:
        assert isinstance(peer.welcome, Welcome)


def test_a_descriptor_that_stands_for_something_else_by_now_is_left_alone() -> None:
    """The one that came may be gone before we look, and its number that of the line to the worker."""
    door = Door("token", Limits(), None, bounds=Bounds(max_connections=0))
    ours, workers = socket.socketpair()
    try:
        port = door.endpoints[0].rpartition(":")[2]
        with socket.create_server(("127.0.0.1", 0)) as other, socket.create_connection(other.getsockname()) as line:
            for each in (ours, other, line):
                door.watch._came(each.fileno(), f"tcp://127.0.0.1:{port}", "l")
            for each in (ours, line):
                door.watch._came(each.fileno(), "ipc:///somewhere", "l")
            assert list(door.watch) == []
        ours.sendall(b"still open")
        assert workers.recv(100) == b"still open"
    finally:
        ours.close()
        workers.close()
        door.close(linger_ms=0)
