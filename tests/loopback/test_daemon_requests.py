"""Bad requests: each gets its own sentence at its own client, and the daemon goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import msgpack
import pytest
from peer import SMALL, SMALL_PIXELS, Peer, small

from live_daemon import Daemon
from samovar_link.messages import Done, Failed, Ping, Pong, Raster, Rectangle, Refused, Welcome

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def peer(shared_daemon: Daemon) -> Iterator[Peer]:
    with Peer(shared_daemon.connection) as peer:
        yield peer
        assert peer.run(small(), SMALL_PIXELS)[1] == [SMALL_PIXELS], "the daemon suffered"


def raster(**changes: object) -> dict[str, Raster]:
    return {"image": dataclasses.replace(SMALL, **changes)}  # type: ignore[arg-type]


BAD_RUNS = {
    "unknown operation": ({"operation": "sharpen"}, "operation is 'sharpen'"),
    "unknown parameter": ({"parameters": {"amount": 1}}, "identity parameter is 'amount'; allowed: seconds"),
    "parameter out of range": ({"parameters": {"seconds": -1.0}}, "identity.seconds is -1.0; allowed: 0..600 s"),
    "parameter of a wrong type": ({"parameters": {"seconds": "x"}}, "identity.seconds is 'x'; allowed: a number"),
    "parameter not a number": ({"parameters": {"seconds": float("nan")}}, "identity.seconds is nan"),
    "no image": ({"images": {}}, "frames is 1; allowed: 0"),
    "unknown role": ({"images": {"mask": SMALL}}, "identity images is ['mask']; allowed: image"),
    "no width": ({"images": raster(width=0)}, "images[image].width is 0; allowed: 1..65536"),
    "far too wide": ({"images": raster(width=100_000, height=100_000)}, "images[image].width is 100000"),
    "too many pixels": ({"images": raster(width=60_000, height=60_000)}, "images[image] size is '60000x60000'"),
    "five channels": ({"images": raster(channels=5)}, "images[image].channels is 5; allowed: 1, 2, 3, 4"),
    "unknown dtype": ({"images": raster(dtype="f64")}, "images[image].dtype is 'f64'; allowed: u8, u16, f16, f32"),
    "unknown order": ({"images": raster(order="argb")}, "images[image].order is 'argb'"),
    "a frame that is not there": ({"images": raster(frame=1)}, "images[image].frame is 1; allowed: 0..0"),
    "too few bytes": ({"images": raster(width=4)}, "4x2, 1 channels of u8 need 8 bytes, but its frame has 6"),
    "unknown priority": ({"priority": "urgent"}, "Run.priority is 'urgent'; allowed: interactive, batch"),
    "negative keep-alive": ({"keep_alive_seconds": -2.0}, "Run.keep_alive_seconds is -2.0"),
    "viewport outside": ({"viewport": Rectangle(0, 0, 9, 1)}, "Run.viewport is '9x1 at 0,0'; allowed: a part of"),
    "empty region": ({"region": Rectangle(0, 0, 0, 1)}, "Run.region is '0x1 at 0,0'"),
}


@pytest.mark.parametrize("name", BAD_RUNS)
def test_a_bad_run_fails_with_its_own_sentence(peer: Peer, name: str) -> None:
    changes, sentence = BAD_RUNS[name]
    run = dataclasses.replace(small(), **changes)  # type: ignore[arg-type]
    answer, _, progress = peer.run(run, SMALL_PIXELS)
    assert isinstance(answer, Failed) and answer.code == "bad-request" and progress == []
    assert answer.message.startswith(sentence) or sentence in answer.message


def test_a_frame_too_many_fails(peer: Peer) -> None:
    answer, _, _ = peer.run(small(), SMALL_PIXELS, SMALL_PIXELS)
    assert isinstance(answer, Failed) and answer.message == "frames is 2; allowed: 1, one for each image"


def test_a_run_with_a_field_of_a_wrong_type_fails_as_that_job(peer: Peer) -> None:
    peer.send_raw(msgpack.packb(["Run", {"job": "abc", "operation": 5}]))
    answer = peer.expect()
    assert isinstance(answer, Failed) and answer.job == "abc" and answer.message.startswith("Run.operation is 5")


@pytest.mark.parametrize("job", ["", "x" * 65, "a\nb"])
def test_a_job_id_that_is_none_is_refused(peer: Peer, job: str) -> None:
    peer.send(small(job=job), SMALL_PIXELS)
    answer = peer.expect()
    assert isinstance(answer, Refused) and answer.message.startswith("Run.job is")


def test_the_id_of_a_job_that_exists_is_refused_and_the_job_goes_on(peer: Peer) -> None:
    job = small(seconds=0.2)
    peer.send(job, SMALL_PIXELS)
    answer, _, _ = peer.run(job, SMALL_PIXELS)
    assert isinstance(answer, Refused) and "exists already" in answer.message
    assert isinstance(peer.outcome(job.job)[0], Done)


def test_an_unknown_kind_is_refused_by_name(peer: Peer) -> None:
    peer.send_raw(msgpack.packb(["Teleport", {}]))
    answer = peer.expect()
    assert isinstance(answer, Refused) and answer.kind == "Teleport"


def test_a_message_of_the_daemon_is_refused(peer: Peer) -> None:
    peer.send(Welcome())
    answer = peer.expect()
    assert isinstance(answer, Refused) and answer.kind == "Welcome"


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x92" * 3000, b"GET / HTTP/1.1", bytes(16_000)])
def test_garbage_is_ignored(peer: Peer, garbage: bytes) -> None:
    peer.send_raw(garbage)
    peer.send_raw(garbage, b"more")
    peer.send(Ping(3))
    assert peer.expect() == Pong(3)


def test_an_unknown_field_is_ignored(peer: Peer) -> None:
    peer.send_raw(msgpack.packb(["Ping", {"nonce": 4, "colour": "red"}]))
    assert peer.expect() == Pong(4)


def test_more_jobs_than_a_client_may_have_are_refused_as_busy(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        most = peer.welcome.limits.max_jobs_per_client
        peer.send(small(seconds=60), SMALL_PIXELS)
        for _ in range(most - 1):
            peer.send(small(), SMALL_PIXELS)
        answer, _, _ = peer.run(small(), SMALL_PIXELS)
        assert isinstance(answer, Failed) and answer.code == "busy" and str(most) in answer.message
