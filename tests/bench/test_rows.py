"""Every row can be measured, here at sizes at which its figures mean nothing. Speed is never asserted."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from samovar import card
from samovar.bench import contestant, rival, run
from samovar.bench.memory import SAMPLE_SECONDS, Watch, beyond, resident
from samovar.bench.ours import Ours
from samovar.bench.peers import Match
from samovar.bench.picture import load, photograph, psnr, save, with_stroke
from samovar.bench.plan import Plan, Sizes

UPCONV7 = card.discover().get("waifu2x/upconv7-art")

TINY = Sizes(
    overhead=64, small=16, overhead_rounds=1, warm=16, warm_rounds=1, peer=64, peer_seconds=0.0, peer_rounds=1,
    dirty=64, strokes=2, memory=64, response=320, cancels=1, pings=3, start=32, starts=1,
    fill=96, fill_rounds=1, restore=32, restore_seconds=1.0, restore_sides=(32,), restore_large=64, previews=2,
    colorize=64, colorize_rounds=1, beside=64, beside_rounds=1,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which runtime is fastest is another matter."""
    monkeypatch.setenv("SAMOVAR_RUNTIME", "torch f32")


def measured(*ids: str) -> list[dict[str, Any]]:
    result = json.loads(json.dumps(run.run(ids, quiet=True, sizes=TINY)))
    assert not run.failed(result), result["rows"]
    rows: list[dict[str, Any]] = result["rows"]
    assert [row["id"] for row in rows] == list(ids)
    for row in rows:
        assert row["measure"] and row["figures"]
        for figure in row["figures"]:
            assert figure["name"] and math.isfinite(figure["value"]) and figure["value"] > 0
    return rows


def measured_any(*ids: str) -> list[dict[str, Any]]:
    """As `measured`, of rows whose figures may be 0 or below: a gain, or how far something is from its best."""
    result = json.loads(json.dumps(run.run(ids, quiet=True, sizes=TINY)))
    assert not run.failed(result), result["rows"]
    assert [row["id"] for row in result["rows"]] == list(ids)
    rows: list[dict[str, Any]] = result["rows"]
    return rows


@pytest.mark.slow
def test_pixels_there_and_back() -> None:
    overhead, small = measured("overhead", "small")
    assert overhead["detail"]["round_trip"]["count"] == 1
    assert small["detail"]["round_trip"]["count"] == 2


@pytest.mark.slow
def test_a_layer_beside_a_training() -> None:
    (row,) = measured("beside")
    assert row["detail"]["alone"]["count"] == row["detail"]["beside"]["count"] == 1


@pytest.mark.slow
def test_a_picture_again_after_a_stroke() -> None:
    (row,) = measured("dirty")
    assert row["detail"]["tiles"]["total"] > 0


@pytest.mark.slow
def test_a_hole_in_a_large_picture() -> None:
    (row,) = measured("fill")
    assert row["detail"]["large"]["count"] == 1


@pytest.mark.slow
def test_a_picture_restored_from_itself() -> None:
    (row,) = measured_any("restore")
    assert row["detail"]["astronaut"]["steps"] > 0 and row["detail"]["upscale"]["before_db"] > 0


@pytest.mark.slow
def test_gray_photographs_coloured_three_ways() -> None:
    (row,) = measured("colorize")
    assert len(row["figures"]) == 7 and len(row["detail"]) == 4


@pytest.mark.slow
def test_answers_while_the_worker_computes() -> None:
    cancel, ping = measured("cancel", "ping")
    assert cancel["detail"]["free"]["count"] == 1
    assert ping["detail"]["ping"]["count"] == 3


@pytest.mark.slow
def test_the_start() -> None:
    measured("start")


@pytest.mark.slow
@pytest.mark.parametrize("runtime", contestant.RUNTIMES)
def test_the_peers_do_the_work_that_we_do(runtime: str) -> None:
    """In tiles that do not divide the picture, up to the rounding at the end."""
    pytest.importorskip(runtime.split()[0])
    picture = photograph(64)
    theirs = contestant.tiled(runtime, UPCONV7, side=40)(picture)
    ours = Ours().upscale(picture, UPCONV7.id, UPCONV7.scale)
    assert psnr(theirs, ours) > 60


@pytest.mark.slow
def test_a_match_compares_us_with_every_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samovar.bench.flops.PEAK_SECONDS", 0.05)
    monkeypatch.setattr("samovar.bench.flops.LARGE", 256)
    plan = Plan(tmp_path, TINY, quiet=True)
    match = Match(plan, UPCONV7, Ours())
    match.play()
    peers = set(contestant.RUNTIMES) - set(match.missing)
    assert set(match.agreement) == peers
    assert len(match.figures()) == len(peers) + 1
    assert all(figure.value > 0 and figure.target for figure in match.figures())
    assert plan.shares == {UPCONV7.id: match.share()}
    json.dumps(match.detail())


@pytest.mark.slow
def test_the_program_without_a_daemon_does_the_work_that_we_do(tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    save(photograph(48), source)
    rival.main(UPCONV7.id, str(source), str(target))
    assert psnr(load(target), Ours().upscale(load(source), UPCONV7.id, UPCONV7.scale)) > 60


def test_memory_shared_with_the_broker_counts_only_beyond_what_the_picture_needs() -> None:
    """Shared memory as large as allowed is left out, one page more is not; libraries always count."""
    page = 4096
    now = {"VmRSS": 1000 * page, "RssShmem": 600 * page}
    assert beyond(now, 600 * page) == 400 * page
    assert beyond(now, 599 * page) == 401 * page
    assert beyond(now, 700 * page) == 400 * page


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_memory_of_a_process_is_watched() -> None:
    with Watch(os.getpid(), 0) as watch:
        ballast = bytearray(64 << 20)
        time.sleep(5 * SAMPLE_SECONDS)
    assert len(ballast) < watch.most_bytes <= resident(os.getpid())["VmHWM"] + (1 << 20)


def test_a_stroke_lies_within_its_share_of_the_picture() -> None:
    picture = photograph(200)
    changed = np.argwhere((with_stroke(picture, 0.01) != picture).any(2))
    assert len(changed) > 40
    assert (np.ptp(changed, 0) < 20).all()


def test_a_turn_gives_another_picture_of_the_same_content() -> None:
    one, other = photograph(64, 1), photograph(64, 2)
    assert psnr(one, other) < 30
    assert np.array_equal(np.sort(one, None), np.sort(other, None))
