"""Trainings in real processes: behind every job, not bound to a client, and never lost."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import pyvips

from live_daemon import Daemon, running_daemon
from samovar_link import Client
from samovar_link.messages import Done, Raster, Run

pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(180)]

PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running_daemon(tmp_path_factory.mktemp("home")) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index in range(18):
        blocks = generator.integers(0, 255, (12, 12, 3)).repeat(10, 0).repeat(10, 1).astype(np.uint8)
        pyvips.Image.new_from_array(blocks).write_to_file(str(folder / f"{index:02}.png"))
    return folder


def command(daemon: Daemon, *words: object, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "samovar", *map(str, words)], env=daemon.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


def said(daemon: Daemon, *words: object) -> str:
    process = command(daemon, *words)
    out, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, error
    return out


def train(daemon: Daemon, folder: Path, out: Path, steps: int, *more: object) -> subprocess.Popen[str]:
    words = ["train", "upscale", folder, "-o", out, "--steps", steps, "--batch", 2, "--size", 16, *more]
    return command(daemon, *words, start_new_session=True)


def jobs(daemon: Daemon) -> list[dict[str, Any]]:
    return [each for each in json.loads(said(daemon, "jobs", "--json")) if each["operation"].startswith("train")]


def until(wanted: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := wanted():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to that")


def under_way(daemon: Daemon) -> dict[str, Any]:
    """A training that has made steps."""
    found: dict[str, Any] = until(lambda: next((each for each in jobs(daemon) if each["fraction"] > 0), None))
    return found


def test_a_training_is_followed_to_its_end(daemon: Daemon, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    process = train(daemon, folder, out, 6, "--json")
    text, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, error
    found = json.loads(text)
    assert found["steps"] == 6 and found["bicubic_psnr"] > 10 and "on what it never saw: psnr" in error
    assert out.is_file() and out.with_suffix(".png").is_file() and not jobs(daemon)
    assert "own/mine" in said(daemon, "models", "add", out)


def test_it_outlives_its_client_and_is_ended_by_another(daemon: Daemon, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "long.safetensors"
    process = train(daemon, folder, out, 5000)
    name = under_way(daemon)["job"]
    process.kill()
    process.communicate()
    lost = until(lambda: next((each for each in jobs(daemon) if each["orphan"]), None))
    assert (lost["job"], lost["operation"], lost["model"]) == (name, "train upscale", "long")
    before = lost["fraction"]
    until(lambda: jobs(daemon)[0]["fraction"] > before)
    assert "is cancelled" in said(daemon, "jobs", "cancel", name[:8])
    until(lambda: not jobs(daemon))
    assert out.with_suffix(".checkpoint.safetensors").is_file() and not out.exists()


def test_what_was_ended_goes_on_where_it_was(daemon: Daemon, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "on.safetensors"
    process = train(daemon, folder, out, 5000)
    under_way(daemon)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    until(lambda: not jobs(daemon))
    again = train(daemon, folder, out, 5000)
    try:
        first = under_way(daemon)
        assert "going on after" in daemon.log and first["fraction"] > 0
    finally:
        os.kill(again.pid, signal.SIGINT)
        again.communicate(timeout=PATIENCE_SECONDS)


def test_it_stands_still_while_a_job_runs_which_is_hardly_slower_for_it(
    daemon: Daemon, folder: Path, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)

    def upscale() -> float:
        pixels = generator.integers(0, 255, (256, 256, 3)).astype(np.uint8).tobytes()
        run = Run(
            secrets.token_hex(16), "upscale", {"model": "waifu2x/upconv7-art", "scale": 2.0, "noise": -1},
            {"image": Raster(256, 256, 3)},
        )  # fmt: skip
        began = time.monotonic()
        with Client(daemon.connection, name="test", version="") as client:
            done, _ = client.run(run, [pixels])
        assert isinstance(done, Done)
        return time.monotonic() - began

    upscale()  # so that the model is there
    process = train(daemon, folder, tmp_path / "beside.safetensors", 5000)
    try:
        under_way(daemon)
        (worker,) = [each for each in psutil.Process(daemon.pid).children() if "carry-out" in each.cmdline()]
        states: set[str] = set()

        def watched(progress: Any, frames: Any) -> None:
            states.add(worker.status())

        run = Run(
            secrets.token_hex(16), "upscale", {"model": "waifu2x/cunet-art", "scale": 2.0, "noise": 1},
            {"image": Raster(512, 512, 3)},
        )  # fmt: skip
        with Client(daemon.connection, name="test", version="") as client:
            client.run(run, [generator.integers(0, 255, (512, 512, 3)).astype(np.uint8).tobytes()], watched)
        assert states == {psutil.STATUS_STOPPED}
        before = worker.cpu_times().user
        upscale()
        assert worker.cpu_times().user - before < 0.1
        until(lambda: worker.status() != psutil.STATUS_STOPPED)
    finally:
        os.kill(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)


def test_what_is_wrong_is_one_sentence(daemon: Daemon, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    process = train(daemon, empty, tmp_path / "x.safetensors", 5)
    _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1 and f"{empty}: no pictures" in error and "Traceback" not in error


def test_the_daemon_puts_it_aside_when_it_ends(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "end.safetensors"
    with running_daemon(tmp_path / "home") as daemon:
        process = train(daemon, folder, out, 5000, "--detach")
        text, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0 and "samovar jobs cancel" in text
        under_way(daemon)
    assert out.with_suffix(".checkpoint.safetensors").is_file()
