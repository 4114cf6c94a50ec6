"""Row `fill`: a hole in a large photograph, by the daemon; and in a smaller one, and by another program in this
process."""

from __future__ import annotations

import importlib.util
import secrets
import statistics
import time
from typing import Any

import numpy as np

from samovar_link import Client
from samovar_link.messages import Done, Raster, Run

from . import daemon
from .picture import Picture, frame, photograph, psnr, with_alpha
from .plan import Plan
from .row import Figure, Row, milliseconds

HOLE = 300
"""Side of the hole, less in a small picture."""
TARGET_SECONDS = 3.0
RIVAL = "patchmatch"
"""pypatchmatch, from PyPI. It is given the part of the picture that we look at, too."""
RIVAL_PATCH = 5


def measure(plan: Plan) -> list[Row]:
    large, small = plan.sizes.fill, max(16, plan.sizes.fill // 4)
    hole = min(HOLE, small // 3)
    ours: dict[int, list[float]] = {large: [], small: []}
    with daemon.running(plan.home) as own, own.connect() as client:
        _fill(
            client, with_alpha(photograph(large, plan.sizes.fill_rounds)), hole
        )  # starts the worker, takes its memory
        for turn in range(plan.sizes.fill_rounds):
            for side in (large, small):
                seconds, made = _fill(client, with_alpha(photograph(side, turn)), hole)
                ours[side].append(seconds)
    figures = [
        Figure(f"{large}², {hole}² of it", statistics.median(ours[large]), "s", TARGET_SECONDS, at_least=False),
        Figure("over the same hole in a quarter of the side", _ratio(ours[large], ours[small])),
    ]
    detail: dict[str, Any] = {"large": milliseconds(ours[large]), "small": milliseconds(ours[small])}
    note = ""
    if importlib.util.find_spec(RIVAL):
        seconds, theirs = _rival(photograph(small, plan.sizes.fill_rounds - 1), hole)
        figures.append(Figure(f"pypatchmatch, patches of {RIVAL_PATCH}, on {small}² / ours", seconds / ours[small][-1]))
        original = photograph(small, plan.sizes.fill_rounds - 1)
        inside = _box(small, hole)
        detail["psnr_db"] = {"ours": psnr(made[inside][..., :3], original[inside])}
        detail["psnr_db"]["pypatchmatch"] = psnr(theirs[inside], original[inside])
    else:
        note = "pypatchmatch is not installed."
    measure = f"`inpaint` of a hole of {hole}² in {large}² RGBA8, warm, from request to result"
    return [Row("fill", measure, tuple(figures), note, detail)]


def _ratio(one: list[float], other: list[float]) -> float:
    return statistics.median(one) / statistics.median(other)


def _box(side: int, hole: int) -> tuple[slice, slice]:
    start = (side - hole) // 2
    return slice(start, start + hole), slice(start, start + hole)


def _mask(side: int, hole: int) -> Picture:
    mask = np.zeros((side, side), np.uint8)
    mask[_box(side, hole)] = 255
    return mask


def _fill(client: Client, picture: Picture, hole: int) -> tuple[float, Picture]:
    """Seconds from request to result, and the result."""
    side = picture.shape[0]
    images = {"image": Raster(side, side, 4), "mask": Raster(side, side, 1, frame=1)}
    run = Run(secrets.token_hex(16), "inpaint", {}, images)
    frames = [frame(picture), frame(_mask(side, hole))]
    began = time.perf_counter()
    done, pixels = client.run(run, frames)
    seconds = time.perf_counter() - began
    if not isinstance(done, Done):
        raise RuntimeError("the job was cancelled")
    return seconds, np.frombuffer(pixels[done.images["image"].frame], np.uint8).reshape(side, side, 4)


def _rival(picture: Picture, hole: int) -> tuple[float, Picture]:
    import patchmatch

    mask = _mask(picture.shape[0], hole)
    damaged = np.where(mask[..., None] > 0, 0, picture).astype(np.uint8)
    began = time.perf_counter()
    made: Picture = patchmatch.inpaint(damaged, mask, patch_size=RIVAL_PATCH)
    return time.perf_counter() - began, made
