"""Row `dirty`: the same picture again after a stroke, over the first time; then stroke after stroke."""

from __future__ import annotations

import random
import secrets
import statistics
import time
from dataclasses import asdict

import numpy as np

from samovar_link import Client
from samovar_link.messages import Done, Progress, Report

from . import daemon
from .picture import Picture, frame, photograph, with_alpha, with_stroke
from .plan import Plan
from .row import Figure, Row, milliseconds, rounded

MODEL = "waifu2x/upconv7-art"
SCALE = 2.0
TARGET = 20.0
SHARE, SMALL_SHARE = 0.01, 0.0005
TELL_SECONDS = 10.0


def measure(plan: Plan) -> list[Row]:
    side, count, chance = plan.sizes.dirty, plan.sizes.strokes, random.Random(4)
    picture = with_alpha(photograph(side, 3))
    with daemon.running(plan.home) as own, own.connect() as client:
        upscale(client, with_alpha(photograph(256)), plan, "")  # starts the worker, loads the model
        first, before, _ = upscale(client, picture, plan, f"dirty: {side}², first time")
        picture = with_stroke(picture, SHARE)
        again, after, result = upscale(client, picture, plan, f"dirty: {side}², after a stroke")
        strokes = []
        for _ in range(count):
            picture = with_stroke(picture, SMALL_SHARE, (chance.uniform(0, 0.95), chance.uniform(0, 0.95)))
            seconds, report, result = upscale(client, picture, plan, "")
            strokes.append((seconds, report.tiles.total - report.tiles.cached))
        # A batch job neither uses what is remembered nor adds to it.
        _, _, cold = upscale(client, picture, plan, f"dirty: {side}², the last picture anew", "batch")
    if not np.array_equal(result, cold):
        raise RuntimeError(f"after {count} strokes the result differs from one that was computed anew")
    return [
        Row(
            "dirty", f"{MODEL} on {side}² again after a scribble within 1 % of it, over the first time, by the daemon",
            (
                Figure("first / again", first / again, "x", TARGET),
                Figure(f"median of {count} small strokes", statistics.median(each[0] for each in strokes), "s"),
                Figure("tiles computed for each", statistics.mean(each[1] for each in strokes), "tiles"),
            ),
            "" if after.tiles.cached else "No tile came from a cache.",
            {
                "first_seconds": rounded(first), "again_seconds": rounded(again), "tiles": asdict(after.tiles),
                "again": asdict(after.seconds), "runtime": f"{before.runtime} {before.dtype}",
                "strokes": milliseconds([each[0] for each in strokes]), "computed": [each[1] for each in strokes],
                "equal_to_computed_anew": True,
            },
        )
    ]  # fmt: skip


def upscale(
    client: Client, picture: Picture, plan: Plan, label: str, priority: str = "interactive"
) -> tuple[float, Report, Picture]:
    """Seconds from request to result, and the result. A label other than "" is said now and then with the share that
    is done."""
    run = daemon.upscaling(secrets.token_hex(16), picture, MODEL, SCALE, priority=priority)
    told = began = time.perf_counter()

    def on_progress(progress: Progress, pixels: list[memoryview]) -> None:
        nonlocal told
        if label and time.perf_counter() - told > TELL_SECONDS:
            told = time.perf_counter()
            plan.say(f"{label}: {progress.fraction:.0%} after {told - began:.0f} s")

    done, pixels = client.run(run, [frame(picture)], on_progress)
    seconds = time.perf_counter() - began
    if not isinstance(done, Done):
        raise RuntimeError("the job was cancelled")
    raster = done.images["image"]
    result = np.frombuffer(pixels[raster.frame], np.uint8).reshape(raster.height, raster.width, raster.channels)
    return seconds, done.report, result
