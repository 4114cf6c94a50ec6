"""Row `beside`: what somebody who upscales a layer notices of a training in the background."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyvips

from samovar_link.messages import Done

from . import daemon
from .daemon import Daemon
from .dirty import MODEL, SCALE
from .picture import frame, photograph, with_alpha
from .plan import Plan
from .row import Figure, Row, milliseconds, rounded

TARGET = 1.10
PAUSE_SECONDS = 2.0
"""Between two jobs, so that the training goes on in between, and has to make way again."""
PICTURES, PICTURE_SIDE = 24, 160
STEPS = 1_000_000
START_SECONDS = 120.0


def measure(plan: Plan) -> list[Row]:
    side, rounds = plan.sizes.beside, plan.sizes.beside_rounds
    with daemon.running(plan.home) as own:
        upscale(own, side, 0)
        alone, beside, made = [], [], 0.0
        plan.say(f"beside: {rounds} times {MODEL} on {side}², alone and with a training under way")
        for turn in range(rounds):
            time.sleep(PAUSE_SECONDS)
            alone.append(upscale(own, side, 2 * turn + 1))
            with training(own, plan.home) as fraction:
                before = fraction()
                time.sleep(PAUSE_SECONDS)
                made += fraction() - before
                beside.append(upscale(own, side, 2 * turn + 2))
    ratios = [with_it / without for with_it, without in zip(beside, alone, strict=True)]
    return [
        Row(
            "beside", f"{MODEL} on {side}² with a training under way, over without, {rounds} times in turn",
            (
                Figure("with over without, median", sorted(ratios)[len(ratios) // 2], "x", TARGET, at_least=False),
                Figure("steps of the training between jobs", made * STEPS, "steps"),
            ),
            detail={"alone": milliseconds(alone), "beside": milliseconds(beside), "ratios": [*map(rounded, ratios)]},
        )
    ]  # fmt: skip


def upscale(own: Daemon, side: int, turn: int) -> float:
    """Seconds of a layer that the daemon has not seen."""
    picture = with_alpha(photograph(side, turn))
    run = daemon.upscaling(secrets.token_hex(16), picture, MODEL, SCALE)
    with own.connect() as client:
        began = time.perf_counter()
        answer, _ = client.run(run, [frame(picture)])
        seconds = time.perf_counter() - began
    if not isinstance(answer, Done):
        raise RuntimeError("the daemon ended the job")
    return seconds


@contextmanager
def training(own: Daemon, home: Path) -> Iterator[Fraction]:
    """One that makes steps; ended afterwards."""
    pictures = home / "pictures"
    if not pictures.exists():
        pictures.mkdir()
        generator = np.random.default_rng(0)
        for index in range(PICTURES):
            cells = PICTURE_SIDE // 8
            blocks = generator.integers(0, 255, (cells, cells, 3)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
            pyvips.Image.new_from_array(blocks).write_to_file(str(pictures / f"{index}.png"))
    for each in home.glob("beside.*"):
        each.unlink()
    out = home / "beside.safetensors"
    command = [sys.executable, "-m", "samovar"]
    fraction = Fraction(command, own.environment)
    with subprocess.Popen(
        [*command, "train", "upscale", str(pictures), "-o", str(out), "--steps", str(STEPS)],
        env=own.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            end = time.perf_counter() + START_SECONDS
            while not fraction():
                if process.poll() is not None or time.perf_counter() > end:
                    raise RuntimeError(f"the training does not start; see {home / 'serve.txt'}")
            yield fraction
        finally:
            process.terminate()
            subprocess.run([*command, "jobs", "cancel", fraction.job], env=own.environment, capture_output=True)


class Fraction:
    """How far the training is: asked as anybody would, in the shell."""

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._command, self._environment = [*command, "jobs", "--json"], environment
        self.job = ""

    def __call__(self) -> float:
        said = subprocess.run(self._command, env=self._environment, capture_output=True, text=True).stdout
        found = [each for each in json.loads(said or "[]") if each["operation"].startswith("train")]
        self.job = found[0]["job"] if found else ""
        return float(found[0]["fraction"]) if found else 0.0
