"""The client against a stand-in daemon on real libzmq: meeting, working, and every way a connection can end."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from router import TOKEN, Router

from samovar_link import client as client_module
from samovar_link import codec, errors
from samovar_link.client import PING_SECONDS, SILENT_SECONDS, Client, connect
from samovar_link.discovery import FILE_NAME, ConnectionFile
from samovar_link.errors import DaemonUnavailable
from samovar_link.messages import (
    PROTOCOL,
    Cancel,
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
    Stopping,
    Welcome,
)  # fmt: skip

STREAM = (Path(__file__).parent.parent / "unit" / "data" / "router_plain.bin").read_bytes()


def file_for(*endpoints: str, token: str = TOKEN, version: str = "0.1") -> ConnectionFile:
    return ConnectionFile(pid=1, token=token, endpoints=endpoints, version=version)


def client_of(*endpoints: str, token: str = TOKEN) -> Client:
    return Client(file_for(*endpoints, token=token), name="test", version="0.2")


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    with Router(f"ipc://{tmp_path}/s") as router:
        yield router


@pytest.fixture
def client(router: Router) -> Iterator[Client]:
    with client_of(router.endpoint) as client:
        assert client.receive(5) == (Welcome(version="stand-in"), [])
        yield client


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds to add to the client's clock."""
    ahead = [0.0]
    monkeypatch.setattr(client_module, "clock", lambda: time.monotonic() + ahead[0])
    return ahead


def pump_until(client: Client, ended: Callable[[], object], seconds: float = 5.0) -> list[Message]:
    messages: list[Message] = []
    end = time.monotonic() + seconds
    while not ended():
        assert time.monotonic() < end
        messages += [message for message, _ in client.pump()]
        time.sleep(0.001)
    return messages


def lost(client: Client, seconds: float = 2.0) -> str:
    """The sentence that the user reads. It must come within `seconds`, and stay."""
    with pytest.raises(DaemonUnavailable) as caught:
        pump_until(client, lambda: False, seconds)
    for again in (
        client.pump,
        lambda: client.receive(1),
        lambda: client.run(Run("a", "x")),
        lambda: client.send(Ping()),
    ):
        with pytest.raises(DaemonUnavailable, match=re.escape(str(caught.value))):
            again()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- meeting --------------------------------------------------------------------------------------------------------


def test_welcome_comes_first_and_is_kept(router: Router, client: Client) -> None:
    assert client.welcome == Welcome(version="stand-in")
    assert client.endpoint == router.endpoint
    assert router.heard == [Hello(PROTOCOL, "test", "0.2")]


def test_tcp_works_like_ipc() -> None:
    with Router("tcp://127.0.0.1:*") as router, client_of(router.endpoint) as client:
        done, frames = client.run(Run("a", "identity"), [b"pixels"])
        assert isinstance(done, Done) and [bytes(frame) for frame in frames] == [b"pixels"]


def test_the_first_endpoint_that_answers_is_used(router: Router, tmp_path: Path) -> None:
    plain_file = tmp_path / "file"
    plain_file.touch()
    dead = [
        "ipc:///no/such/socket",
        f"ipc://{plain_file}",
        "tcp://127.0.0.1:1",
        "tcp://127.0.0.1:x",
        "udp://x",
        "",
        "ipc://\0",
    ]
    with client_of(*dead, "ipc://" + "long" * 99, router.endpoint) as client:
        client.receive(5)
        assert client.endpoint == router.endpoint


def test_an_endpoint_that_speaks_something_else_is_passed_over(router: Router) -> None:
    with (
        server(lambda peer: peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as other,
        client_of(other, router.endpoint) as client,
    ):
        client.receive(5)
        assert client.endpoint == router.endpoint


def test_when_nobody_listens_the_constructor_says_so() -> None:
    with pytest.raises(DaemonUnavailable, match=r"ipc:///no/such/socket: No such file.*start it again with"):
        client_of("ipc:///no/such/socket")
    with pytest.raises(DaemonUnavailable, match="names no endpoint"):
        client_of()


def test_a_refused_tcp_port_is_one_sentence() -> None:
    with pytest.raises(DaemonUnavailable, match="tcp://127.0.0.1:1: Connection refused"):
        pump_until(client_of("tcp://127.0.0.1:1"), lambda: False)  # at once, or a moment later: the system decides


def test_a_wrong_token_is_one_sentence_with_a_way_out(router: Router) -> None:
    assert "refused this client's token" in lost(client_of(router.endpoint, token="wrong"))


def test_a_refused_hello_names_both_versions(router: Router) -> None:
    router.handler = lambda *_: [(Refused("Hello", "bad-request", "protocol 2 is needed", "update"), [])]
    sentence = lost(client_of(router.endpoint))
    assert sentence.startswith("Samovar 0.1 (protocol 1) refused this program 0.2 (protocol 1): protocol 2 is needed")


def test_a_welcome_of_another_protocol_is_none_and_names_both_versions(router: Router) -> None:
    router.handler = lambda *_: [(Welcome(protocol=PROTOCOL + 1, version="9"), [])]
    client = client_of(router.endpoint)
    messages: list[Message] = []
    with pytest.raises(
        DaemonUnavailable, match="Samovar 9 speaks protocol 2, this program 0.2 speaks 1: update the older"
    ):
        while True:
            messages.append(client.receive(5)[0])
    assert messages == [] and client.welcome is None


def test_what_is_sent_early_waits_for_the_welcome(router: Router) -> None:
    with client_of("tcp://127.0.0.1:1", router.endpoint) as client:
        client.send(Ping(7))
        pump_until(client, lambda: len(router.heard) == 2)
    assert router.heard[1] == Ping(7)


def test_connect_finds_the_file_and_waits_for_welcome(
    router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    file_for(router.endpoint).write(tmp_path / FILE_NAME)
    with connect("test", "0.2") as client:
        assert client.welcome == Welcome(version="stand-in")


@pytest.mark.slow
def test_connect_gives_up_on_a_daemon_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        file_for(f"tcp://127.0.0.1:{silent.getsockname()[1]}").write(tmp_path / FILE_NAME)
        start = time.monotonic()
        with pytest.raises(DaemonUnavailable, match=r"\(process 1\) did not answer within .*; if it hangs"):
            connect("test", "0.2", deadline_seconds=0.5)
        assert time.monotonic() - start < 1.0


# --- working --------------------------------------------------------------------------------------------------------


def test_run_gives_back_the_result_and_its_pixels(client: Client) -> None:
    pixels = bytes(range(256)) * 256
    images = {"image": Raster(128, 128, 4), "mask": Raster(1, 1, 1, frame=1)}
    done, frames = client.run(Run("a", "identity", images=images), [pixels, b"m"])
    assert done == Done("a", images=images)
    assert [bytes(frame) for frame in frames] == [pixels, b"m"]


@pytest.mark.parametrize("message", [Done("a"), Progress("a", 0.5)], ids=lambda message: type(message).__name__)
@pytest.mark.parametrize(
    ("raster", "words"),
    [
        (Raster(2, 2, 4), "2x2, 4 channels of u8 need 16 bytes, but its frame has 15"),
        (Raster(5, 3, 1, frame=1), "frame is 1; allowed: 0..0"),
        (Raster(15, 1, 1, dtype="u9"), "dtype is 'u9'"),
        (Raster(-5, -3, 1), "width is -3"),
    ],
)
def test_pixels_that_are_not_what_they_are_said_to_be_reach_no_editor(
    router: Router, client: Client, message: Done | Progress, raster: Raster, words: str
) -> None:
    """It would read beyond them."""
    router.handler = lambda *_: [(dataclasses.replace(message, images={"image": raster}), [bytes(15)])]
    with pytest.raises(DaemonUnavailable, match=words):
        client.run(Run("a", "x"), on_progress=lambda *_: pytest.fail("it was handed on"))


@pytest.mark.parametrize("cls", [*errors.REMOTE_ERRORS.values(), errors.RemoteError], ids=lambda cls: cls.__name__)
def test_run_raises_what_the_daemon_reports(router: Router, client: Client, cls: type[errors.RemoteError]) -> None:
    router.handler = lambda *_: [(Failed("a", cls.code, "a fact", "a way out"), [])]
    with pytest.raises(cls, match=r"a fact \(a way out\)"):
        client.run(Run("a", "x"))
    router.handler = lambda *_: [(Refused("Run", cls.code, "a fact"), [])]
    with pytest.raises(cls, match="a fact"):
        client.run(Run("a", "x"))
    assert Cancel("a") not in router.heard


def test_run_returns_cancelled(router: Router, client: Client) -> None:
    router.handler = lambda *_: [(Cancelled("a"), [])]
    assert client.run(Run("a", "x")) == (Cancelled("a"), [])


def test_run_reports_progress_of_its_own_job_only(router: Router, client: Client) -> None:
    router.handler = lambda *_: [
        (Progress("a", 0.5, images={"image": Raster(1, 1, 1)}), [b"x"]), (Progress("old", 0.7), []), (Pong(), []),
        (Done("old"), []), (Done("a"), []),
    ]  # fmt: skip
    seen: list[object] = []
    client.run(Run("a", "x"), on_progress=lambda progress, frames: seen.append((progress.fraction, *frames)))
    assert seen == [(0.5, b"x")]


def test_a_job_that_is_no_longer_wanted_is_cancelled_though_nothing_comes(router: Router, client: Client) -> None:
    router.handler = lambda *_: []
    answers = iter([False, False, True])
    assert client.run(Run("a", "x"), unwanted=lambda: next(answers)) == (Cancelled("a"), [])
    pump_until(client, lambda: router.heard[-1] == Cancel("a"))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_on_progress_raises_cancels_the_job(
    router: Router, client: Client, error: type[BaseException]
) -> None:
    router.handler = lambda message, _: [(Progress("a", 0.5), [])] if isinstance(message, Run) else []

    def stop(*_: object) -> None:
        raise error("enough")

    with pytest.raises(error, match="enough"):
        client.run(Run("a", "x"), on_progress=stop)
    pump_until(client, lambda: router.heard[-1] == Cancel("a"))


def test_receive_has_a_deadline(client: Client) -> None:
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="within 0.1 s"):
        client.receive(0.1)
    assert 0.1 <= time.monotonic() - start < 0.5
    with pytest.raises(TimeoutError):
        client.receive(0)


def test_messages_of_a_newer_daemon_are_skipped() -> None:
    newer, known = b"\x00\x08\x92\xa5Newer\x80", b"\x00\x07\x92\xa4Pong\x80"
    with server(lambda peer: (peer.sendall(STREAM[:WELCOMED] + newer + known), peer.recv(64))) as endpoint:
        client = client_of(endpoint)
        assert [type(client.receive(5)[0]) for _ in range(2)] == [Welcome, Pong]
        client.close()


def test_a_daemons_ping_is_answered(router: Router, client: Client) -> None:
    router.handler = lambda message, _: [(Ping(9), [])] if message == Ping(1) else []
    client.send(Ping(1))
    pump_until(client, lambda: Pong(9) in router.heard)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no interval timers")
def test_signals_do_not_disturb_a_transfer(client: Client) -> None:
    hits: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        pixels = b"0123456789abcdef" * (2 << 20)
        assert client.run(Run("a", "x"), [pixels])[1][0] == pixels
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(hits) > 3


# --- heartbeats -----------------------------------------------------------------------------------------------------


def test_an_idle_client_pings_every_second(router: Router, client: Client, clock: list[float]) -> None:
    for count in range(1, 4):
        clock[0] += PING_SECONDS
        pump_until(client, lambda: router.heard.count(Ping()) == count)  # noqa: B023
        client.receive(5)
    assert client.pump() == []


def test_a_silent_daemon_is_given_up(router: Router, client: Client, clock: list[float]) -> None:
    router.handler = lambda *_: []
    clock[0] += PING_SECONDS
    pump_until(client, lambda: Ping() in router.heard)
    clock[0] += SILENT_SECONDS - 1
    assert client.pump() == []
    clock[0] += 2
    assert "no sign of life for 1" in lost(client)


def test_an_editor_that_stood_still_does_not_blame_the_daemon(
    router: Router, client: Client, clock: list[float]
) -> None:
    clock[0] += PING_SECONDS
    client.pump()
    while Ping() not in router.heard:
        time.sleep(0.001)
    time.sleep(0.05)  # the Pong lies in the socket
    clock[0] += 600
    assert client.pump() == [(Pong(), [])]
    client.pump()


# --- ends -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def server(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """Something that listens, serves one connection and closes it."""

    def live(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with peer:
                serve(peer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=live, args=(listener,))
        thread.start()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


HANDSHAKE = STREAM.index(b"Identity") + 12
WELCOMED = STREAM.index(b"recorded") + 8
STAGES = {
    "before the greeting": 0, "in the greeting": 30, "after the greeting": 64, "in the handshake": 70,
    "before READY ends": HANDSHAKE - 1, "handshaken": HANDSHAKE, "in a message": WELCOMED - 3, "welcomed": WELCOMED,
    "between frames": STREAM.index(b"Done") + 10, "in a large frame": len(STREAM) - 9000,
}  # fmt: skip


@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_peer_that_vanishes_at_any_stage_is_one_sentence(stage: str, reset: bool) -> None:
    def serve(peer: socket.socket) -> None:
        peer.sendall(STREAM[: STAGES[stage]])
        peer.recv(64)
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with server(serve) as endpoint:
        client = client_of(endpoint)
        sentence = lost(client)
    assert sentence.startswith("Samovar went away" if client.welcome else "Samovar does not answer")
    assert sentence.endswith("start it again with: samovar serve --detach")
    assert not client.wants_write and client.fileno() == -1


def test_nonsense_after_the_welcome_ends_the_connection() -> None:
    with server(lambda peer: (peer.sendall(STREAM[:WELCOMED] + b"\xff\xff"), peer.recv(1 << 16))) as endpoint:
        assert "flags 0xff" in lost(client_of(endpoint))


def test_what_the_daemon_said_last_is_delivered_first() -> None:
    farewell = codec.encode(Stopping())

    def serve(peer: socket.socket) -> None:
        peer.sendall(STREAM[:WELCOMED] + bytes([0, len(farewell)]) + farewell)
        peer.recv(64)

    with server(serve) as endpoint:
        client = client_of(endpoint)
        messages: list[Message] = []
        with pytest.raises(DaemonUnavailable):
            while True:
                messages.append(client.receive(5)[0])
    assert [type(message) for message in messages] == [Welcome, Stopping]


def test_a_daemon_that_ends_during_a_run_is_noticed_at_once(router: Router, client: Client) -> None:
    router.handler = lambda *_: []
    threading.Timer(0.1, router.stop).start()
    start = time.monotonic()
    with pytest.raises(DaemonUnavailable, match="went away"):
        client.run(Run("a", "x"), [bytes(1 << 20)])
    assert time.monotonic() - start < 1.0


def test_a_closed_client_says_so(client: Client) -> None:
    client.close()
    client.close()
    assert "was closed" in lost(client)
