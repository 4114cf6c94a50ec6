"""A job is taken up again after its client's connection was lost, with the real client and the real daemon."""

from __future__ import annotations

import random
import secrets
import threading
import time

import pytest
from peer import SMALL_PIXELS, Peer, identity, small, wait_for_progress

from live_daemon import Daemon
from samovar_link import Client, UnknownJob
from samovar_link.messages import Attach, Cancel, Done, Failed, Progress, Raster, Run, Status, StatusReport

pytestmark = pytest.mark.slow


def connected(daemon: Daemon) -> Client:
    return Client(daemon.connection, name="test", version="1")


def jobs(peer: Peer) -> dict[str, str]:
    """Id and state of each job."""
    peer.send(Status())
    report = peer.expect()
    assert isinstance(report, StatusReport)
    return {each.job: each.state for each in report.jobs}


def test_a_running_job_outlives_its_connection_and_is_taken_up(shared_daemon: Daemon) -> None:
    raster = Raster(300, 200, 4)
    pixels = random.Random(1).randbytes(raster.size_bytes)
    job = identity(raster, seconds=5.0, keep_result=True)
    with Peer(shared_daemon.connection) as first:
        first.send(job, pixels)
        before = wait_for_progress(first).fraction
    fractions: list[float] = []
    with Peer(shared_daemon.connection) as watch:
        deadline = time.monotonic() + 3.5  # its lease lapses, or it is found unreachable and lapses the sooner
        while time.monotonic() < deadline:
            assert jobs(watch) == {job.job: "running"}
            time.sleep(0.1)
    with connected(shared_daemon) as second:
        done, images = second.attach(job.job, lambda progress, frames: fractions.append(progress.fraction))
    assert isinstance(done, Done) and bytes(images[0]) == pixels
    assert fractions == sorted(fractions) and fractions[0] > max(before, 0.5)


def test_a_queued_job_is_taken_up(shared_daemon: Daemon) -> None:
    with Peer(shared_daemon.connection) as busy, connected(shared_daemon) as second:
        long, queued = small(seconds=60), small(keep_result=True)
        busy.send(long, SMALL_PIXELS)
        wait_for_progress(busy)
        with Peer(shared_daemon.connection) as first:
            first.send(queued, SMALL_PIXELS)
            assert jobs(first)[queued.job] == "queued"
        threading.Timer(0.3, lambda: busy.send(Cancel(long.job))).start()
        done, images = second.attach(queued.job)
    assert isinstance(done, Done) and bytes(images[0]) == SMALL_PIXELS


def test_a_result_that_nobody_got_is_fetched_and_then_let_go(shared_daemon: Daemon) -> None:
    job = small(seconds=0.2, keep_result=True)
    with Peer(shared_daemon.connection) as first:
        first.send(job, SMALL_PIXELS)
        wait_for_progress(first)
    with Peer(shared_daemon.connection) as watch:
        while jobs(watch) != {job.job: "kept"}:
            time.sleep(0.02)
    with connected(shared_daemon) as second:
        done, images = second.attach(job.job)
        assert isinstance(done, Done) and bytes(images[0]) == SMALL_PIXELS
        with pytest.raises(UnknownJob, match=rf"{job.job}.* is not here.*run it again"):
            second.attach(job.job)


def test_a_client_that_got_its_result_needs_it_kept_no_longer(shared_daemon: Daemon) -> None:
    with connected(shared_daemon) as client:
        job = Run(secrets.token_hex(16), "identity", images={"image": Raster(2, 3, 1)}, keep_result=True)
        assert isinstance(client.run(job, [SMALL_PIXELS])[0], Done)
        with pytest.raises(UnknownJob):
            client.attach(job.job)


def test_two_clients_that_want_the_same_running_job(shared_daemon: Daemon) -> None:
    job = small(seconds=1.0, keep_result=True)
    with Peer(shared_daemon.connection) as first, Peer(shared_daemon.connection) as second:
        first.send(job, SMALL_PIXELS)
        wait_for_progress(first)
        second.send(Attach(job.job))
        assert isinstance(second.expect(), Progress)
        told = first.outcome(job.job)[0]
        assert isinstance(told, Failed) and "another connection" in told.message
        assert second.outcome(job.job)[1] == [SMALL_PIXELS]
        assert first.receive(0.1) is None
        first.send(Attach(job.job))  # over, and kept for all
        assert first.outcome(job.job)[1] == [SMALL_PIXELS]


def test_an_unknown_job_is_named_at_once(shared_daemon: Daemon) -> None:
    with connected(shared_daemon) as client, pytest.raises(UnknownJob, match="'nobody-knows-it' is not here"):
        client.attach("nobody-knows-it")
