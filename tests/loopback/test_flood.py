"""Many who mean no good: the daemon goes on answering those that it knows."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from peer import Peer

from live_daemon import Daemon
from samovar.broker.port import Bounds
from samovar_link.messages import Ping, Pong, Welcome

pytestmark = [pytest.mark.slow, pytest.mark.alone]

HANDSHAKES = 10_000
BATCH = 100
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"PLAIN".ljust(20, b"\0") + bytes(32)

FLOOD = r"""
import random, socket, struct, sys
port, count, batch, greeting = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), bytes.fromhex(sys.argv[4])
hello = b"\x05HELLO\x07samovar" + bytes([64]) + b"0" * 64
bad = [
    b"", greeting[:20], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", greeting.replace(b"PLAIN", b"CURVE"),
    greeting.replace(b"PLAIN", b"NULL\0"), greeting + b"\x04" + bytes([len(hello)]) + hello,
    greeting + b"\x06" + struct.pack(">Q", 1 << 62),
    greeting + b"\x02" + struct.pack(">Q", (1 << 32) - 1) + bytes(4096),
    greeting + b"\x04\x05\x04PING", random.Random(1).randbytes(200),
]
done = 0
while done < count:
    lines = []
    for number in range(batch):
        line = socket.create_connection(("127.0.0.1", port))
        line.sendall(bad[(done + number) % len(bad)])
        lines.append(line)
    for line in lines:
        line.close()
    done += batch
"""


def port_of(daemon: Daemon) -> int:
    return int(daemon.connection.endpoints[1].rpartition(":")[2])


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)


def connections(daemon: Daemon) -> int:
    """Those over tcp that the daemon's process has."""
    return sum(each.status == psutil.CONN_ESTABLISHED for each in psutil.Process(daemon.pid).net_connections("tcp"))


@contextlib.contextmanager
def pinging(peer: Peer) -> Iterator[list[float]]:
    """Milliseconds until each ping was answered, of pings one after the other meanwhile."""
    found: list[float] = []
    enough = threading.Event()

    def ping() -> None:
        while not enough.is_set():
            begin = time.perf_counter()
            peer.send(Ping(len(found)))
            assert peer.expect() == Pong(len(found))
            found.append((time.perf_counter() - begin) * 1000)
            time.sleep(0.002)

    thread = threading.Thread(target=ping)
    thread.start()
    try:
        yield found
    finally:
        enough.set()
        thread.join()


def told(name: str, found: list[float]) -> float:
    """Prints and returns the median, in milliseconds."""
    p99 = statistics.quantiles(found, n=100)[98]
    print(f"pings {name}: median {statistics.median(found):.2f} ms, p99 {p99:.2f} ms, of {len(found)}")
    return statistics.median(found)


@pytest.mark.timeout(300)
def test_ten_thousand_bad_handshakes_leave_pings_answered(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        with pinging(peer) as before:
            time.sleep(2)
        with pinging(peer) as during:
            begin = time.monotonic()
            arguments = [str(port_of(daemon)), str(HANDSHAKES), str(BATCH), GREETING.hex()]
            subprocess.run([sys.executable, "-c", FLOOD, *arguments], check=True, timeout=240)
            print(f"{HANDSHAKES} bad handshakes in {time.monotonic() - begin:.1f} s")
        with pinging(peer) as after:
            time.sleep(2)
        told("before", before)
        told("during", during)
        assert told("after", after) <= 5.0
        assert max(during) < 1000, "it stood still"
    assert daemon.log.count("refused") == 1, "once for each peer"
    wait_until(lambda: connections(daemon) == 0)
    with Peer(daemon.connection, endpoint=1) as peer:
        assert isinstance(peer.welcome, Welcome)


def test_who_says_nothing_is_hung_up_on(daemon: Daemon) -> None:
    """By libzmq, which waits so long for a handshake, whether little comes or nothing."""
    with socket.create_connection(("127.0.0.1", port_of(daemon))) as silent, \
            socket.create_connection(("127.0.0.1", port_of(daemon))) as slow:  # fmt: skip
        begin = time.monotonic()
        for byte in GREETING[:30]:
            slow.sendall(bytes([byte]))
            time.sleep(0.1)
        for each in (silent, slow):
            each.settimeout(20)
            while each.recv(100):
                pass
        seconds = time.monotonic() - begin
    assert Bounds().handshake_seconds - 1 < seconds < Bounds().stranger_seconds - 1, "it was another limit"


def test_who_was_let_in_and_says_nothing_is_hung_up_on(daemon: Daemon) -> None:
    with Peer(daemon.connection, endpoint=1, hello=False) as peer:
        wait_until(lambda: connections(daemon) == 1)
        wait_until(lambda: "it has not said Hello in time" in daemon.log, 3 * Bounds().stranger_seconds)
        peer.socket.disconnect(daemon.connection.endpoints[1])
        wait_until(lambda: connections(daemon) == 0)


def test_of_many_strangers_the_oldest_go_and_others_get_in(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--bounds", json.dumps({"handshake_seconds": 120, "stranger_seconds": 120}))
    lines = []
    try:
        for _ in range(400):
            lines.append(socket.create_connection(("127.0.0.1", port_of(daemon))))
        wait_until(lambda: connections(daemon) <= Bounds().max_strangers)
        with Peer(daemon.connection, endpoint=1) as peer:
            assert isinstance(peer.welcome, Welcome)
        lines[0].settimeout(1)
        while lines[0].recv(100):
            pass  # the daemon's greeting, then the end
    finally:
        for line in lines:
            line.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what came")
def test_a_stranger_cannot_make_the_daemon_hold_what_it_announces(daemon: Daemon) -> None:
    """libzmq takes memory for a frame of any size that a layer may have, before it asks who sends it."""
    process = psutil.Process(daemon.pid)
    before = process.memory_info().rss
    chunk, sent, grown = bytes(1 << 20), 0, 0
    lines = [socket.create_connection(("127.0.0.1", port_of(daemon))) for _ in range(4)]
    for line in lines:
        line.settimeout(20)
        line.sendall(GREETING)
        line.recv(64)
        line.sendall(b"\x06" + struct.pack(">Q", (1 << 32) - 1))
    while lines and sent < 2000 << 20:
        for line in list(lines):
            try:
                line.sendall(chunk)
                sent += len(chunk)
            except OSError:
                line.close()
                lines.remove(line)
        grown = max(grown, process.memory_info().rss - before)
    print(f"four strangers sent {sent >> 20} MiB, the daemon held {grown >> 20} MiB more")
    assert not lines, "they were let go on"
    assert grown < 200 << 20
    assert "it sent much before Hello" in daemon.log
    assert os.path.exists(f"/proc/{daemon.pid}")
