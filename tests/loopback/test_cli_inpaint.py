"""`samovar inpaint` as a shell user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIDE = 96
HOLE = np.s_[30:50, 40:60]


def samovar(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "samovar", *map(str, arguments)]
    return subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=150)


@pytest.fixture(autouse=True)
def _home(shared_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in shared_daemon.environment.items():
        monkeypatch.setenv(name, value)


def written(path: Path, pixels: np.ndarray) -> Path:
    pyvips.Image.new_from_array(pixels).write_to_file(str(path))
    return path


def read(path: Path) -> np.ndarray:
    return pyvips.Image.new_from_file(str(path)).numpy()


def checks(dtype: type = np.uint8) -> np.ndarray:
    """Squares of 8 pixels with some noise."""
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    shade = np.where((y // 8 + x // 8) % 2, 0.7, 0.3)[..., None] + np.random.default_rng(0).normal(0, 0.01, (1, 1, 3))
    return (shade.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)


@pytest.mark.parametrize("kind", ["gray", "rgb", "rgba"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_of_the_mask_is_filled_and_nothing_else(tmp_path: Path, kind: str, dtype: type) -> None:
    source = checks(dtype)
    damaged = source.copy()
    damaged[HOLE] = 0
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[HOLE] = 255
    if kind != "gray":
        mask = np.dstack([mask] * 3 + [np.full_like(mask, 255)] * (kind == "rgba"))
    done = samovar(
        "inpaint", written(tmp_path / "in.png", damaged), "--mask", written(tmp_path / "mask.png", mask),
        "-o", tmp_path / "out.png", "--exact",
    )  # fmt: skip
    assert done.returncode == 0, done
    made = read(tmp_path / "out.png")
    outside = np.ones((SIDE, SIDE), bool)
    outside[HOLE] = False
    assert made.dtype == dtype and made[outside].tobytes() == damaged[outside].tobytes()
    assert np.abs(made[HOLE].astype(float) - source[HOLE]).mean() < 0.02 * np.iinfo(dtype).max
    assert "patchmatch" in done.stdout


def test_what_is_transparent_is_filled_on_request(tmp_path: Path) -> None:
    source = np.dstack([checks(), np.full((SIDE, SIDE), 255, np.uint8)])
    source[HOLE] = 0
    done = samovar("inpaint", written(tmp_path / "in.png", source), "--alpha-mask", "-o", tmp_path / "out.png")
    assert done.returncode == 0, done
    assert (read(tmp_path / "out.png")[..., 3] == 255).all()


def test_variants_lie_beside_the_result(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[HOLE] = 255
    noise = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    done = samovar(
        "inpaint", written(tmp_path / "in.png", noise), "--mask", written(tmp_path / "mask.png", mask),
        "-o", tmp_path / "out.png", "--variants", 3, "--seed", 5, "--json",
    )  # fmt: skip
    assert done.returncode == 0 and json.loads(done.stdout)["model"] == "patchmatch", done
    assert len({read(tmp_path / name).tobytes() for name in ("out.png", "out-2.png", "out-3.png")}) == 3


@pytest.mark.parametrize(
    ("options", "words", "code"),
    [
        ((), "either --mask FILE or --alpha-mask", 2),
        (("--mask", "small.png"), "small.png is 4x4; a mask has the size of its picture, 96x96", 1),
        (("--mask", "small.png", "--alpha-mask"), "either --mask FILE or --alpha-mask", 2),
        (("--alpha-mask",), "in.png has no transparency", 1),
        (("--mask", "white.png"), "leave something unselected", 1),
    ],
)
def test_a_mask_that_will_not_do_is_one_sentence(
    tmp_path: Path, options: tuple[str, ...], words: str, code: int
) -> None:
    written(tmp_path / "small.png", np.zeros((4, 4), np.uint8))
    written(tmp_path / "white.png", np.full((SIDE, SIDE), 255, np.uint8))
    picture = written(tmp_path / "in.png", checks())
    given = [str(tmp_path / each) if each.endswith(".png") else each for each in options]
    done = samovar("inpaint", picture, *given, "-o", tmp_path / "out.png")
    assert done.returncode == code and words in done.stderr and "Traceback" not in done.stderr, done
    assert not (tmp_path / "out.png").exists()
