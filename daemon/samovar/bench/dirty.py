"""Row `dirty`: the same picture again after a stroke, over the first time."""

from __future__ import annotations

import secrets
import time
from dataclasses import asdict

from samovar_link import Client
from samovar_link.messages import Done, Progress, Report

from . import daemon
from .picture import Picture, frame, photograph, with_alpha, with_stroke
from .plan import Plan
from .row import Figure, Row, rounded

MODEL = "waifu2x/upconv7-art"
SCALE = 2.0
TARGET = 20.0
SHARE = 0.01
TELL_SECONDS = 10.0


def measure(plan: Plan) -> list[Row]:
    side = plan.sizes.dirty
    picture = with_alpha(photograph(side, 3))
    with daemon.running(plan.home) as own, own.connect() as client:
        upscale(client, with_alpha(photograph(256)), plan, "")  # starts the worker, loads the model
        first, before = upscale(client, picture, plan, f"dirty: {side}², first time")
        again, after = upscale(client, with_stroke(picture, SHARE), plan, f"dirty: {side}², after a stroke")
    tiles = after.tiles
    return [
        Row(
            "dirty", f"{MODEL} on {side}² again after a scribble within 1 % of it, over the first time, by the daemon",
            (Figure("first / again", first / again, "x", TARGET),),
            "" if tiles.cached else "No tile came from a cache.",
            {
                "first_seconds": rounded(first), "again_seconds": rounded(again), "tiles": asdict(tiles),
                "again": asdict(after.seconds), "runtime": f"{before.runtime} {before.dtype}",
            },
        )
    ]  # fmt: skip


def upscale(client: Client, picture: Picture, plan: Plan, label: str) -> tuple[float, Report]:
    """Seconds from request to result. A label other than "" is said now and then with the share that is done."""
    run = daemon.upscaling(secrets.token_hex(16), picture, MODEL, SCALE)
    told = began = time.perf_counter()

    def on_progress(progress: Progress, pixels: list[memoryview]) -> None:
        nonlocal told
        if label and time.perf_counter() - told > TELL_SECONDS:
            told = time.perf_counter()
            plan.say(f"{label}: {progress.fraction:.0%} after {told - began:.0f} s")

    done, _ = client.run(run, [frame(picture)], on_progress)
    if not isinstance(done, Done):
        raise RuntimeError("the job was cancelled")
    return time.perf_counter() - began, done.report
