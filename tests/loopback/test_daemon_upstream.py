"""A daemon whose jobs are done by that of another machine: real daemons, CURVE, and a link that is cut."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from cut_link import CutLink
from peer import SMALL_PIXELS, Peer, identity, small, wait_for_progress

from live_daemon import Daemon
from samovar import keys
from samovar.keys import AllowList
from samovar_link.messages import (
    Cancel,
    Cancelled,
    Done,
    Enough,
    Failed,
    Progress,
    Raster,
    Refused,
    Run,
    Status,
    Stop,
    Unload,
    Unloaded,
    Warm,
    Warmed,
)  # fmt: skip

pytestmark = pytest.mark.slow

LISTEN = ("--listen", "tcp://127.0.0.1:0", "--curve")
Start = Callable[..., Daemon]


class Pair:
    """Two daemons and the way between them."""

    def __init__(self, start: Start, folder: Path) -> None:
        self._start, self._folder = start, folder
        own = keys.own(keys.CLIENT, folder / "near")
        AllowList(folder / "far").allow(own.public, "laptop")
        self.far = start(*LISTEN, home=folder / "far")
        self.link = CutLink(remote_port(self.far))
        self.near = start(*self.upstream(), home=folder / "near")

    def upstream(self) -> tuple[str, ...]:
        server = keys.own(keys.SERVER, self.far.home).public
        return "--upstream", f"tcp://127.0.0.1:{self.link.port}", f"--server-key={server}"

    def far_again(self) -> None:
        """Start the far one anew at the same port."""
        port = self.link._target
        self.far = self._start("--listen", f"tcp://127.0.0.1:{port}", "--curve", home=self._folder / "far")


def remote_port(daemon: Daemon) -> int:
    with Peer(daemon.connection) as peer:
        peer.send(Status())
        return int(peer.expect().endpoints[-1].rpartition(":")[2])


@pytest.fixture
def pair(start_daemon: Start, tmp_path: Path) -> Iterator[Pair]:
    made = Pair(start_daemon, tmp_path)
    yield made
    made.link.close()


def test_what_is_done_there_is_what_would_be_done_here_and_the_report_says_where(pair: Pair) -> None:
    raster = Raster(40, 30, 4, "u16", "bgra", 7, 9)
    pixels = np.random.default_rng(0).integers(0, 65536, 40 * 30 * 4, np.uint16).tobytes()
    request = Run("ab" * 16, "upscale", {"model": "realesr/animevideo-x4", "scale": 2.0}, {"image": raster})
    with Peer(pair.near.connection) as near, Peer(pair.far.connection) as far:
        there, theirs, _ = near.run(request, pixels)
        here, ours, _ = far.run(Run("cd" * 16, "upscale", request.parameters, request.images), pixels)
    assert isinstance(there, Done) and isinstance(here, Done), (there, here)
    assert theirs == ours and there.images == here.images
    assert there.report.device == f"{here.report.device} at 127.0.0.1" and there.report.sha256 == here.report.sha256


def test_what_can_be_made_small_goes_small_and_comes_back_whole(pair: Pair) -> None:
    """Drawings shrink, noise does not; the link is slow enough for it to pay."""
    raster = Raster(1024, 1024, 4)
    drawing = np.zeros((1024, 1024, 4), np.uint8)
    drawing[100:900, 300:500] = (200, 30, 30, 255)
    noise = np.random.default_rng(1).integers(0, 256, drawing.size, np.uint8).tobytes()
    with Peer(pair.near.connection) as peer:
        for pixels, least, most in ((drawing.tobytes(), 0.0, 0.5), (noise, 1.9, 2.5)):
            before = pair.link.carried
            answer, frames, _ = peer.run(identity(raster), pixels)
            assert isinstance(answer, Done) and frames == [pixels] and answer.images["image"] == raster
            assert least <= (pair.link.carried - before) / len(pixels) <= most


def test_parts_come_while_it_works(pair: Pair) -> None:
    raster = Raster(300, 300, 4)
    request = Run(
        "ef" * 16, "upscale", {"model": "realesr/animevideo-x4", "scale": 2.0}, {"image": raster}, stream=True
    )
    with Peer(pair.near.connection) as peer:
        peer.send(request, bytes(raster.size_bytes))
        sizes = []
        while True:
            message, frames = peer.wait(60)
            if isinstance(message, Progress):
                sizes += [(each.size_bytes, len(frames[each.frame])) for each in message.images.values()]
            else:
                break
    assert isinstance(message, Done) and sizes and all(one == other for one, other in sizes)


def test_a_job_whose_link_was_cut_is_taken_up_where_it_is(pair: Pair) -> None:
    with Peer(pair.near.connection) as peer:
        job = small(seconds=4.0)
        peer.send(job, SMALL_PIXELS)
        while wait_for_progress(peer).fraction == 0:
            pass
        pair.link.cut()
        time.sleep(1.0)
        pair.link.mend()
        answer, frames, progress = peer.outcome(job.job)
    assert isinstance(answer, Done) and frames == [SMALL_PIXELS]
    assert [each.fraction for each in progress] == sorted(each.fraction for each in progress)
    assert len(re.findall(rf"job {job.job} identity", pair.far.log)) == 1, "it was done twice"
    assert f"job {job.job} goes to another connection" in pair.far.log or "goes on without" in pair.far.log


def test_a_job_under_a_daemon_that_was_killed_is_done_by_the_next(pair: Pair) -> None:
    with Peer(pair.near.connection) as peer:
        job = small(seconds=1.0)
        peer.send(job, SMALL_PIXELS)
        wait_for_progress(peer)
        pair.far.process.send_signal(signal.SIGKILL)
        pair.far.process.wait()
        pair.far_again()
        answer, frames, _ = peer.outcome(job.job)
    assert isinstance(answer, Done) and frames == [SMALL_PIXELS]


def test_a_machine_that_does_not_come_back_is_told_of(pair: Pair) -> None:
    with Peer(pair.near.connection) as peer:
        assert isinstance(peer.run(small(), SMALL_PIXELS)[0], Done)
        pair.far.end()
        job = small()
        began = time.monotonic()
        peer.send(job, SMALL_PIXELS)
        answer, _, _ = peer.outcome(job.job, 40)
        assert isinstance(answer, Failed) and "127.0.0.1, where this Samovar has its work done" in answer.message
        assert time.monotonic() - began < 15
        pair.far_again()
        assert isinstance(peer.run(small(), SMALL_PIXELS)[0], Done), "it is not found again"


def test_cancel_ends_it_there_too(pair: Pair) -> None:
    with Peer(pair.near.connection) as peer, Peer(pair.far.connection) as far:
        job = small(seconds=60)
        peer.send(job, SMALL_PIXELS)
        wait_for_progress(peer)
        peer.send(Cancel(job.job))
        answer, _, _ = peer.outcome(job.job)
        assert isinstance(answer, Cancelled)
        deadline = time.monotonic() + 10
        while jobs_of(far) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not jobs_of(far)


def jobs_of(peer: Peer) -> list[str]:
    peer.send(Status())
    while True:
        message, _ = peer.wait()
        if hasattr(message, "jobs"):
            return [each.job for each in message.jobs]


def test_enough_is_passed_on(pair: Pair) -> None:
    raster = Raster(48, 48, 3)
    pixels = np.random.default_rng(2).integers(0, 256, raster.size_bytes, np.uint8).tobytes()
    request = Run(
        "0a" * 16, "restore", {"iterations": 20000}, {"image": raster}, stream=True, keep_result=True, priority="batch"
    )
    with Peer(pair.near.connection) as peer:
        peer.send(request, pixels)
        while True:
            message, _ = peer.wait(60)
            assert isinstance(message, Progress), message
            if message.images:
                break
        peer.send(Enough(request.job))
        answer, frames, _ = peer.outcome(request.job, 60)
    assert isinstance(answer, Done) and len(frames[0]) == raster.size_bytes


def test_models_are_warmed_and_unloaded_there(pair: Pair) -> None:
    with Peer(pair.near.connection) as peer:
        peer.send(Warm("upscale", {"model": "realesr/animevideo-x4", "scale": 2.0}))
        warmed, _ = peer.wait(120)
        assert isinstance(warmed, Warmed) and warmed.models
        deadline = time.monotonic() + 10
        while True:
            peer.send(Status())
            report, _ = peer.wait()
            if getattr(report, "models", ()):
                break
            assert time.monotonic() < deadline, report
            time.sleep(0.2)
        assert {each.device for each in report.models} == {"cpu at 127.0.0.1"}
        assert all(each.unload_seconds for each in report.models), "when they go there is told here"
        peer.send(Unload("realesr/animevideo-x4"))
        unloaded, _ = peer.wait(60)
        assert isinstance(unloaded, Unloaded) and unloaded.models


@pytest.mark.parametrize("wrong", ["server", "client"])
def test_with_a_wrong_key_on_either_side_one_sentence_comes(wrong: str, start_daemon: Start, tmp_path: Path) -> None:
    other = zmq.curve_keypair()[0].decode()
    own = keys.own(keys.CLIENT, tmp_path / "near").public
    AllowList(tmp_path / "far").allow(other if wrong == "client" else own, "laptop")
    far = start_daemon(*LISTEN, home=tmp_path / "far")
    key = other if wrong == "server" else keys.own(keys.SERVER, far.home).public
    upstream = ("--upstream", f"tcp://127.0.0.1:{remote_port(far)}", f"--server-key={key}")
    near = start_daemon(*upstream, home=tmp_path / "near")
    with Peer(near.connection) as peer:
        answer, _, _ = peer.run(small(), SMALL_PIXELS)
        assert isinstance(answer, Failed) and "samovar keys" in answer.message, answer
        peer.send(Warm("upscale", {}))
        refused, _ = peer.wait(30)
        assert isinstance(refused, Refused) and "samovar keys" in refused.message


def test_the_far_one_goes_down_in_order_and_the_near_one_says_so(pair: Pair) -> None:
    with Peer(pair.near.connection) as peer, Peer(pair.far.connection) as far:
        job = small(seconds=60)
        peer.send(job, SMALL_PIXELS)
        wait_for_progress(peer)
        far.send(Stop())
        answer, _, _ = peer.outcome(job.job, 40)
        assert isinstance(answer, Failed) and "127.0.0.1" in answer.message
