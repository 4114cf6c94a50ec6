"""Row `warm`: the second `samovar upscale` from a shell, against a process that loads everything for one picture."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from . import daemon
from .picture import Picture, load, photograph, psnr, save
from .plan import Plan
from .row import Figure, Row, milliseconds

MODEL = "waifu2x/upconv7-art"
TARGET = 15.0
LEAST_DECIBELS = 40.0


def measure(plan: Plan) -> list[Row]:
    """Three processes take turns: ours with the layer as before, ours with another one, the one that loads it all."""
    side = plan.sizes.warm
    again, other, cold = [], [], []
    source, target, theirs = (plan.home / name for name in ("warm.png", "ours.png", "theirs.png"))
    ours = [sys.executable, "-m", "samovar", "upscale", str(source), "-o", str(target), "--model", MODEL, "--quiet"]
    rival = [sys.executable, "-m", "samovar.bench.rival", MODEL, str(source), str(theirs)]
    with daemon.running(plan.home) as own, own.connect():
        first = _seconds(ours, photograph(side), source, own.environment)
        _seconds(rival, photograph(side), source, own.environment)  # so that its files are read already, too
        for turn in range(1, plan.sizes.warm_rounds + 1):
            picture = photograph(side, turn)
            other.append(_seconds(ours, picture, source, own.environment))
            again.append(_seconds(ours, picture, source, own.environment))
            cold.append(_seconds(rival, picture, source, own.environment))
    agreement = psnr(load(target), load(theirs))
    if agreement < LEAST_DECIBELS:
        raise RuntimeError(f"the two programs make different pictures ({agreement:.1f} dB)")
    theirs_seconds = statistics.median(cold)
    return [
        Row(
            "warm", f"`samovar upscale` of {side}² by {MODEL} in a new process, over one that loads all and runs",
            (
                Figure("the same layer again", theirs_seconds / statistics.median(again), "x", TARGET),
                Figure("another layer", theirs_seconds / statistics.median(other), "x", TARGET),
            ),
            detail={
                "again": milliseconds(again), "another": milliseconds(other), "cold": milliseconds(cold),
                "first_ms": milliseconds([first])["median_ms"], "agreement_db": round(agreement, 1),
            },
        )
    ]  # fmt: skip


def _seconds(command: list[str], picture: Picture, source: Path, environment: dict[str, str]) -> float:
    """From the start of a process to its end."""
    save(picture, source)
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began
