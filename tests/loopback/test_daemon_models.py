"""Models in the memory of a real worker: there before they are needed, gone when somebody wants the memory back."""

from __future__ import annotations

import dataclasses
import random

import psutil
import pytest
from peer import SMALL_PIXELS, Peer, small, wait_for_progress

from live_daemon import Daemon
from samovar_link.messages import (
    Attach,
    Cancel,
    Done,
    Progress,
    Raster,
    Refused,
    Run,
    Status,
    StatusReport,
    Unload,
    Unloaded,
    Value,
    Warm,
    Warmed,
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

MODEL = "waifu2x/upconv7-art"
PARAMETERS: dict[str, Value] = {"model": MODEL, "noise": 1, "scale": 4.0}
NAMES = (f"{MODEL} noise1", MODEL)
WARM = Warm("upscale", PARAMETERS)
PATIENCE_SECONDS = 60.0
"""Importing torch takes a while on a machine that has more to do."""


def upscale() -> tuple[Run, bytes]:
    raster = Raster(16, 16, 3)
    return Run("upscale-it", "upscale", PARAMETERS, {"image": raster}), random.Random(1).randbytes(raster.size_bytes)


def warmed(peer: Peer, warm: Warm = WARM) -> Warmed:
    peer.send(warm)
    answer = peer.wait(PATIENCE_SECONDS)[0]
    assert isinstance(answer, Warmed), answer
    return answer


def run(peer: Peer, request: Run, *frames: bytes) -> tuple[Done, list[bytes], list[Progress]]:
    peer.send(request, *frames)
    done, pixels, progress = peer.outcome(request.job, PATIENCE_SECONDS)
    assert isinstance(done, Done), done
    return done, pixels, progress


def status(peer: Peer) -> StatusReport:
    peer.send(Status())
    while isinstance(report := peer.wait()[0], Progress):
        pass
    assert isinstance(report, StatusReport)
    return report


def test_a_run_finds_hot_what_was_warmed(daemon: Daemon) -> None:
    with Peer(daemon.connection) as dialog, Peer(daemon.connection) as other:
        assert warmed(dialog) == Warmed("upscale", NAMES)
        report = status(dialog)
        assert [each.model for each in report.models] == list(NAMES) and report.worker == "idle"
        assert all(0 < (each.unload_seconds or 0) <= 300 for each in report.models)
        done, _, progress = run(other, *upscale())
        assert done.report.seconds.load == 0
        assert [each.stage for each in progress].count("loading") <= 2, "a word, not a wait"
        assert warmed(dialog) == Warmed("upscale", NAMES)
        assert status(dialog).worker_pid == report.worker_pid


def test_what_needs_no_model_has_the_worker_started(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        assert warmed(peer, Warm("identity")) == Warmed("identity")
        assert len(daemon.workers()) == 1
        assert peer.run(small(), SMALL_PIXELS)[0].report.seconds.load == 0


def test_a_bad_warm_is_refused_and_starts_nothing(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        peer.send(Warm("upscale", {"model": "no/such"}))
        refused = peer.wait()[0]
        assert isinstance(refused, Refused) and "upscale.model is 'no/such'" in refused.message
        assert daemon.workers() == []


def test_a_warm_waits_while_jobs_do(daemon: Daemon) -> None:
    with Peer(daemon.connection) as worker, Peer(daemon.connection) as dialog:
        first, second = small(seconds=60), small()
        worker.send(first, SMALL_PIXELS)
        wait_for_progress(worker)
        dialog.send(Warm("identity"))
        worker.send(second, SMALL_PIXELS)
        assert dialog.receive(0.3) is None
        worker.send(Cancel(first.job))
        worker.outcome(first.job)
        assert isinstance(worker.outcome(second.job)[0], Done)
        assert isinstance(dialog.wait()[0], Warmed)


def test_unloading_all_gives_back_all_memory_because_the_process_is_gone(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        warmed(peer)
        (process,) = daemon.workers()
        held = status(peer).models
        assert process.memory_info().rss > 100 << 20
        peer.send(Unload())
        assert peer.wait()[0] == Unloaded(NAMES, sum(each.size_bytes for each in held))
        assert not psutil.pid_exists(process.pid), "it was still there when the answer came"
        report = status(peer)
        assert (report.worker, report.models) == ("none", ())
        peer.send(Unload())
        assert peer.wait()[0] == Unloaded()
        assert run(peer, *upscale())[0].report.seconds.load > 0


def test_one_model_is_unloaded_between_the_tiles_of_a_job_that_does_not_use_it(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer, Peer(daemon.connection) as other:
        warmed(peer)
        warmed(peer, Warm("upscale", {"model": "waifu2x/upconv7-photo"}))
        job = small(seconds=60)
        peer.send(job, SMALL_PIXELS)
        wait_for_progress(peer)
        pid = status(other).worker_pid
        other.send(Unload(MODEL))
        unloaded = other.wait(2.0)[0]
        assert isinstance(unloaded, Unloaded) and unloaded.models == NAMES and unloaded.size_bytes > 1 << 20
        assert [each.model for each in status(other).models] == ["waifu2x/upconv7-photo"]
        other.send(Unload())
        assert other.wait(2.0)[0].models == ("waifu2x/upconv7-photo",)
        report = status(other)
        assert report.models == () and report.worker_pid == pid and report.worker == "busy"
        peer.send(Cancel(job.job))
        peer.outcome(job.job)


def test_an_unknown_model_is_refused_by_name(shared_daemon: Daemon) -> None:
    with Peer(shared_daemon.connection) as peer:
        peer.send(Unload("no/such"))
        refused = peer.wait()[0]
        assert isinstance(refused, Refused) and "'no/such'" in refused.message and MODEL in refused.message


def test_a_kept_result_outlives_the_worker_whose_memory_it_lies_in(daemon: Daemon) -> None:
    request, pixels = upscale()
    with Peer(daemon.connection) as peer:
        done, frames, _ = run(peer, dataclasses.replace(request, keep_result=True), pixels)
        peer.send(Unload())
        assert peer.wait()[0].models == NAMES, "what the run loaded was told before its result"
        for _ in range(3):  # the next worker's segments have the same numbers
            run(peer, small(), SMALL_PIXELS)
        peer.send(Attach(request.job))
        again, its_frames, _ = peer.outcome(request.job)
    assert again == done and its_frames == frames


def test_a_job_that_goes_ahead_and_the_batch_job_below_it_give_what_each_gives_alone(shared_daemon: Daemon) -> None:
    large, little = (noise(*size) for size in ((700, 500), (90, 70)))
    with Peer(shared_daemon.connection) as peer:
        alone = [run(peer, request, pixels)[1] for request, pixels in (large, little)]
        peer.send(dataclasses.replace(large[0], job="batch", priority="batch"), large[1])
        while peer.wait(PATIENCE_SECONDS)[0].fraction == 0:  # type: ignore[union-attr]
            pass
        with Peer(shared_daemon.connection) as painter:
            done, pixels, _ = run(painter, dataclasses.replace(little[0], job="ahead", seed=1), little[1])
            assert pixels == alone[1]
            (still,) = status(painter).jobs
            assert still.fraction < 1
        ended, pixels, _ = peer.outcome("batch", PATIENCE_SECONDS)
    assert isinstance(ended, Done) and pixels == alone[0]
    assert done.report.seconds.total < ended.report.seconds.total


def noise(width: int, height: int) -> tuple[Run, bytes]:
    raster = Raster(height, width, 3)
    run = Run(f"noise-{width}", "upscale", {"model": MODEL}, {"image": raster})
    return run, random.Random(2).randbytes(raster.size_bytes)
