"""`samovar restore` and `samovar jobs` as a shell user meets them."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIDE = 64
PATIENCE_SECONDS = 60.0


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "samovar", *map(str, arguments)]


def samovar(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), env=dict(os.environ), capture_output=True, text=True, timeout=150)


@pytest.fixture(autouse=True)
def _home(shared_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shared_daemon.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    clean = 128 + 80 * np.sin(y / 9)[..., None] * np.cos(x / 7)[..., None].repeat(3, 2)
    return written(tmp_path / "in.png", np.clip(clean + np.random.default_rng(0).normal(0, 25, clean.shape), 0, 255))


def written(path: Path, pixels: np.ndarray) -> Path:
    pyvips.Image.new_from_array(pixels.astype(np.uint8)).write_to_file(str(path))
    return path


def read(path: Path) -> np.ndarray:
    return pyvips.Image.new_from_file(str(path)).numpy()


def jobs() -> list[dict[str, Any]]:
    return json.loads(samovar("jobs", "--json").stdout)


@contextmanager
def at_work(noisy: Path, output: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`samovar restore` that runs, and the name of its job; nothing of it is left afterwards."""
    process = subprocess.Popen(
        command("restore", noisy, "-o", output, "--seconds", "600", "--method", "classic", *options),
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # background jobs ignore it
    )  # fmt: skip
    try:
        end = time.monotonic() + PATIENCE_SECONDS
        while not (running := [each for each in jobs() if each["fraction"] > 0]):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        yield process, running[0]["job"]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
        for each in jobs():
            samovar("jobs", "cancel", each["job"])


@pytest.mark.parametrize(
    ("mode", "options", "factor"),
    [("denoise", (), 1), ("jpeg", ("--method", "classic"), 1), ("upscale", ("--scale", "3"), 3)],
)
def test_each_mode_writes_its_picture(
    noisy: Path, tmp_path: Path, mode: str, options: tuple[str, ...], factor: int
) -> None:
    done = samovar(
        "restore", noisy, "-o", tmp_path / "out.png", "--mode", mode, "--iterations", "3", "--json", *options
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["notes"][0].startswith("as asked for after 3 steps")
    assert report["model"].startswith("deep-image-prior/")
    assert read(tmp_path / "out.png").shape[:2] == (SIDE * factor, SIDE * factor)


def test_white_of_the_mask_is_filled_and_nothing_else(noisy: Path, tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE))
    mask[20:30, 20:40] = 255
    done = samovar(
        "restore", noisy, "-o", tmp_path / "out.png", "--mode", "inpaint",
        "--mask", written(tmp_path / "mask.png", mask),
        "--iterations", "3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    changed = (read(tmp_path / "out.png") != read(noisy)).any(2)
    assert changed[mask > 0].any() and not changed[mask == 0].any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--mode", "inpaint"), "give either --mask FILE or --alpha-mask"),
        (("--mode", "upscale", "--mask", "x.png"), "--mask is of no use where the result has another size"),
        (("--alpha-mask",), "--alpha-mask is for what fills a picture"),
        (("--seconds", "0"), "0 is not in the range 1<=x<=3600"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(
    noisy: Path, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    done = samovar("restore", noisy, "-o", tmp_path / "out.png", *options)
    assert done.returncode == 2 and words in done.stderr and len(done.stderr.splitlines()) == 1


def test_good_enough_from_another_shell(noisy: Path, tmp_path: Path) -> None:
    with at_work(noisy, tmp_path / "out.png") as (process, job):
        listed = samovar("jobs").stdout
        assert job[:8] in listed and "restore" in listed and "running" in listed
        done = samovar("jobs", "use", job[:8])
        assert done.returncode == 0 and "ends with what there is" in done.stdout
        stdout, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0 and "kept as it was after" in stderr and "out.png" in stdout
    assert read(tmp_path / "out.png").shape == (SIDE, SIDE, 3)
    assert samovar("jobs").stdout == "there are no jobs\n"


def test_ctrl_c_cancels_the_job(noisy: Path, tmp_path: Path) -> None:
    with at_work(noisy, tmp_path / "out.png") as (process, _):
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 130
        end = time.monotonic() + PATIENCE_SECONDS
        while jobs():
            assert time.monotonic() < end
    assert not (tmp_path / "out.png").exists()


def test_a_job_of_a_program_that_was_killed_is_taken_up(noisy: Path, tmp_path: Path) -> None:
    with at_work(noisy, tmp_path / "never.png") as (process, job):
        process.kill()
        process.wait()
        end = time.monotonic() + PATIENCE_SECONDS
        while not jobs()[0]["orphan"]:
            assert time.monotonic() < end
        attached = subprocess.Popen(
            command("jobs", "attach", job[:8], "-o", tmp_path / "out.png"), env=dict(os.environ),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while jobs()[0]["orphan"]:
            assert time.monotonic() < end
        samovar("jobs", "use", job)
        stdout, stderr = attached.communicate(timeout=PATIENCE_SECONDS)
        assert attached.returncode == 0, stderr
        assert f"{SIDE}x{SIDE}" in stdout and "kept as it was" in stderr
    assert read(tmp_path / "out.png").shape == (SIDE, SIDE, 3) and not (tmp_path / "never.png").exists()


def test_cancelled_from_another_shell(noisy: Path, tmp_path: Path) -> None:
    with at_work(noisy, tmp_path / "out.png") as (process, job):
        assert "is cancelled" in samovar("jobs", "cancel", job).stdout
        _, stderr = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 1 and "was taken up by another connection" in stderr
        assert not jobs()


@pytest.mark.parametrize("verb", ["use", "cancel", "attach"])
def test_a_name_that_no_job_has_is_one_sentence(tmp_path: Path, verb: str) -> None:
    more = ("-o", tmp_path / "out.png") if verb == "attach" else ()
    done = samovar("jobs", verb, "nothing", *more)
    assert done.returncode == 1 and "there is no job whose name begins with 'nothing'" in done.stderr
