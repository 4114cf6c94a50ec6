"""The door for other machines: who has the keys comes in, and nobody else learns anything."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from peer import SMALL_PIXELS, Peer, Remote, small

from live_daemon import Daemon, environment_for
from samovar import keys
from samovar.keys import AllowList, KeyPair
from samovar_link.messages import Done, Hello, Ping, Pong, Refused, Status, Stop, Train, Welcome

pytestmark = pytest.mark.slow

LISTEN = ("--listen", "tcp://127.0.0.1:0", "--curve")


def new_pair() -> KeyPair:
    return KeyPair(*(half.decode() for half in zmq.curve_keypair()))


def way_in(daemon: Daemon) -> Remote:
    """With a key that is allowed."""
    own = new_pair()
    AllowList(daemon.home).allow(own.public, f"laptop {own.public[:4]}")
    return Remote(endpoint_of(daemon), keys.own(keys.SERVER, daemon.home).public, own)


def endpoint_of(daemon: Daemon) -> str:
    """Where other machines connect: in no connection file, but the daemon tells its own user."""
    with Peer(daemon.connection) as peer:
        peer.send(Status())
        endpoints: tuple[str, ...] = peer.expect().endpoints
    assert endpoints[:-1] == daemon.connection.endpoints
    return endpoints[-1]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    from live_daemon import running_daemon

    with running_daemon(tmp_path_factory.mktemp("remote") / "home", *LISTEN) as daemon:
        yield daemon


def test_who_has_the_keys_comes_in_and_works(shared: Daemon) -> None:
    with Peer(way_in(shared)) as peer:
        assert isinstance(peer.welcome, Welcome)
        answer, frames, _ = peer.run(small(), SMALL_PIXELS)
        assert isinstance(answer, Done) and frames == [SMALL_PIXELS]


def test_clients_of_the_same_name_at_both_doors_are_two(shared: Daemon) -> None:
    with Peer(shared.connection, hello=False) as near, Peer(way_in(shared), hello=False) as far:
        for peer in (near, far):
            endpoint = peer.socket.getsockopt_string(zmq.LAST_ENDPOINT)
            peer.socket.disconnect(endpoint)
            peer.socket.routing_id = b"same"
            peer.socket.connect(endpoint)
            peer.send(Hello(client=str(endpoint)))
            assert isinstance(peer.expect(), Welcome)
        for number, peer in enumerate((near, far)):
            peer.send(Ping(number))
        assert (near.expect(), far.expect()) == (Pong(0), Pong(1))
        job = small()
        far.send(job, SMALL_PIXELS)
        assert isinstance(far.outcome(job.job)[0], Done)
        assert near.receive(0.2) is None, "it got what was the other's"


def test_another_machine_cannot_end_the_daemon_or_start_what_its_user_put_down(shared: Daemon) -> None:
    with Peer(way_in(shared)) as peer:
        for message in (Stop(), Train("ab")):
            peer.send(message)
            answer = peer.expect()
            assert isinstance(answer, Refused) and "is not allowed from another machine" in answer.message
        peer.send(Ping(5))
        assert peer.expect() == Pong(5)


def events_of_a_refusal(peer: Peer) -> set[int]:
    """What libzmq tells a client of its handshake, within a second; nothing that it sends is answered."""
    peer.socket.monitor("inproc://events", zmq.EVENT_ALL)
    with peer.context.socket(zmq.PAIR) as monitor:
        monitor.connect("inproc://events")
        peer.send(Hello())
        assert peer.receive(1.0) is None
        events = set()
        while monitor.poll(0):
            events.add(struct.unpack("=Hi", monitor.recv_multipart()[0])[0])
        peer.socket.disable_monitor()
    return events


def test_whoever_has_not_the_keys_is_refused_alike_and_logged_once(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon(*LISTEN)
    allowed = way_in(daemon)
    stranger, mistaken = replace(allowed, own=new_pair()), replace(allowed, server_key=new_pair().public)
    seen = []
    for remote in (stranger, mistaken, stranger):
        with Peer(remote, hello=False) as peer:
            seen.append(events_of_a_refusal(peer))
    for events in seen:
        assert zmq.EVENT_DISCONNECTED in events
        assert not events & {zmq.EVENT_HANDSHAKE_SUCCEEDED, zmq.EVENT_HANDSHAKE_FAILED_AUTH}, "it was told why"
    by_token = replace(daemon.connection, endpoints=(allowed.endpoint,))
    with Peer(by_token, hello=False) as peer:  # the right token is worth nothing here
        assert zmq.EVENT_HANDSHAKE_SUCCEEDED not in events_of_a_refusal(peer)
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(allowed.endpoint)
        plain.send(b"hello")
        assert not plain.poll(500)
    assert daemon.log.count("refused 127.0.0.1") == 1
    with Peer(allowed) as peer:
        assert isinstance(peer.welcome, Welcome)


def test_keys_are_no_way_past_the_token(shared: Daemon) -> None:
    remote = way_in(shared)
    for endpoint in shared.connection.endpoints:
        with Peer(replace(remote, endpoint=endpoint), hello=False) as peer:
            peer.send(Hello())
            assert peer.receive(0.5) is None


def test_a_change_of_the_list_counts_at_once(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon(*LISTEN)
    allowed = AllowList(daemon.home)
    remote = Remote(endpoint_of(daemon), keys.own(keys.SERVER, daemon.home).public, new_pair())
    with Peer(remote, hello=False) as peer:
        peer.send(Hello())
        assert peer.receive(0.5) is None
        allowed.allow(remote.own.public, "laptop")
        assert isinstance(peer.expect(), Welcome), "libzmq tries again by itself"
        allowed.remove("laptop")
        deadline = time.monotonic() + 10
        while "its key is allowed no longer" not in daemon.log and time.monotonic() < deadline:
            time.sleep(0.05)
        while peer.receive(0.2) is not None:
            pass
        peer.send(Ping(9))
        assert peer.receive(1.0) is None
    assert daemon.log.count("its key is allowed no longer") == 1


def test_a_damaged_list_lets_nobody_in_and_the_daemon_goes_on(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon(*LISTEN)
    remote = way_in(daemon)
    with (daemon.home / "keys" / "allowed.txt").open("a") as file:
        file.write("nonsense\n")
    with Peer(remote, hello=False) as peer:
        peer.send(Hello())
        assert peer.receive(0.5) is None
    assert "nobody is let in from other machines" in daemon.log
    with Peer(daemon.connection) as peer:
        assert isinstance(peer.welcome, Welcome)


def test_loopback_without_keys_takes_the_token(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon("--listen", "tcp://127.0.0.1:0")
    assert len(daemon.connection.endpoints) == 3
    for number in (1, 2):
        with Peer(daemon.connection, endpoint=number) as peer:
            assert isinstance(peer.welcome, Welcome)
        with Peer(daemon.connection, endpoint=number, token="0" * 64, hello=False) as peer:
            peer.send(Hello())
            assert peer.receive(0.3) is None
    assert not (daemon.home / "keys").exists()


def test_keys_that_are_not_to_be_trusted_are_one_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    keys.own(keys.SERVER, home)
    (home / "keys" / "server.json").chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-m", "samovar.broker", *LISTEN], env=environment_for(home), capture_output=True, text=True,
        timeout=20,
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("samovar: Samovar's key file") and "chmod 600" in done.stderr
