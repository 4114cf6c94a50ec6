"""`samovar texture` as a shell user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def samovar(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "samovar", *map(str, arguments)],
        env=dict(os.environ), capture_output=True, text=True, timeout=150,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _home(shared_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shared_daemon.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def pebbles(tmp_path: Path) -> Path:
    """Blots of 120² in two colours, whose borders do not fit each other."""
    generator = np.random.default_rng(1)
    field = np.zeros((120, 120))
    y, x = np.mgrid[:120, :120]
    for top, left, size in zip(*generator.integers(0, 120, (2, 90)), generator.integers(3, 9, 90), strict=True):
        field = np.maximum(field, 1 - np.hypot(y - top, x - left) / size)
    colours = np.array([70, 60, 50]) + field.clip(0, 1)[..., None] * np.array([120, 130, 90])
    return written(tmp_path / "pebbles.png", colours)


def written(path: Path, pixels: np.ndarray) -> Path:
    pyvips.Image.new_from_array(pixels.astype(np.uint8)).write_to_file(str(path))
    return path


def read(path: Path) -> np.ndarray:
    return pyvips.Image.new_from_file(str(path)).numpy()


def test_a_texture_of_the_size_that_was_asked_for_repeats_and_comes_again(pebbles: Path, tmp_path: Path) -> None:
    made = []
    for name in ("a.png", "b.png"):
        done = samovar(
            "texture",
            pebbles,
            "-o",
            tmp_path / name,
            "--size",
            "200x150",
            "--tile-x",
            "--tile-y",
            "--seed",
            "1",
            "--json",
        )
        assert done.returncode == 0, done.stderr
        made.append(read(tmp_path / name))
    assert made[0].shape == (150, 200, 3) and (made[0] == made[1]).all()
    report = json.loads(done.stdout)
    assert report["model"] == "texture/patches" and (report["width"], report["height"]) == (200, 150)
    for axis in (0, 1):
        steps = np.square(made[0].astype(float) - np.roll(made[0], 1, axis)).mean((1 - axis, 2))
        assert steps[0] <= steps[1:].max()


def test_variants_go_beside_each_other(pebbles: Path, tmp_path: Path) -> None:
    done = samovar("texture", pebbles, "-o", tmp_path / "out.png", "--size", "64x48", "--variants", "3", "-q")
    assert done.returncode == 0, done.stderr
    made = [read(tmp_path / name) for name in ("out.png", "out-2.png", "out-3.png")]
    assert all(each.shape == (48, 64, 3) for each in made) and (made[0] != made[1]).any() and (made[1] != made[2]).any()


def test_time_is_kept_and_told(pebbles: Path, tmp_path: Path) -> None:
    samovar("texture", pebbles, "-o", tmp_path / "warm.png", "--model", "texture/random", "--iterations", "1")
    began = time.monotonic()
    done = samovar(
        "texture", pebbles, "-o", tmp_path / "out.png", "--model", "texture/random", "--start", "noise", "--size",
        "512x512", "--seconds", "3",
    )  # fmt: skip
    assert done.returncode == 0 and time.monotonic() - began < 20
    assert "the time was up after" in done.stderr


def test_whoever_is_content_gets_what_there_is(pebbles: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "samovar", "texture", str(pebbles), "-o", str(tmp_path / "out.png"), "--model",
         "texture/random", "--start", "noise", "--size", "900x700", "--iterations", "5000"],
        env=dict(os.environ), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not (
            running := [each for each in json.loads(samovar("jobs", "--json").stdout) if each["fraction"] > 0.1]
        ):
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.1)
        assert samovar("jobs", "use", running[0]["job"]).returncode == 0
        _, told = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0 and "kept as it was" in told
    assert read(tmp_path / "out.png").shape == (700, 900, 3)


def test_a_mask_says_what_the_sample_is_or_what_is_filled(pebbles: Path, tmp_path: Path) -> None:
    mask = np.zeros((120, 120))
    mask[30:90, 20:100] = 255
    written(tmp_path / "mask.png", mask)
    pixels = read(pebbles)
    pixels[mask == 0] = (255, 0, 255)
    written(tmp_path / "framed.png", pixels)
    done = samovar("texture", tmp_path / "framed.png", "-o", tmp_path / "out.png", "--mask", tmp_path / "mask.png")
    assert done.returncode == 0, done.stderr
    made = read(tmp_path / "out.png")
    assert made.shape == (120, 120, 3) and made[..., 1].min() >= 58 and made[..., 0].max() <= 192
    done = samovar(
        "texture", pebbles, "-o", tmp_path / "filled.png", "--result", "fill", "--mask", tmp_path / "mask.png"
    )
    assert done.returncode == 0, done.stderr
    filled, before = read(tmp_path / "filled.png"), read(pebbles)
    assert (filled[mask == 0] == before[mask == 0]).all() and (filled[mask > 0] != before[mask > 0]).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "12"], "'12' is no size; give width and height in pixels, as in 512x384"),
        (["--size", "64x64", "--width", "9"], "give either --size or --width and --height"),
        (["--size", "9000x9"], "9000"),
        (["--result", "fill"], "give either --mask FILE or --alpha-mask"),
        (["--alpha-mask"], "--alpha-mask is for what fills a picture"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_read(options: list[str], words: str, tmp_path: Path) -> None:
    done = samovar("texture", tmp_path / "none.png", "-o", tmp_path / "out.png", *options)
    assert done.returncode == 2 and words in done.stderr


def test_what_is_too_large_is_refused_with_a_way_out(pebbles: Path, tmp_path: Path) -> None:
    done = samovar("texture", pebbles, "-o", tmp_path / "out.png", "--size", "8000x8000")
    assert done.returncode == 1 and "8000x8000" in done.stderr and "upscale" in done.stderr
