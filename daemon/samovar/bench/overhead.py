"""Rows `overhead` and `small`: pixels through client, broker, worker and back, with an operation that does nothing."""

from __future__ import annotations

import ctypes
import os
import secrets
import statistics
import time

from samovar_link import Client
from samovar_link.messages import Done, Raster, Run

from . import daemon
from .plan import Plan
from .row import Figure, Row, milliseconds

WARM_UP_ROUNDS = 2
OVERHEAD_TARGET = 8.0
SMALL_TARGET_MS = 4.0


def measure(plan: Plan) -> list[Row]:
    """A memcpy of the large layer takes turns with the round trips, so that all see the same machine."""
    large, small = plan.sizes.overhead, plan.sizes.small
    pixels = {side: os.urandom(side * side * 4) for side in (large, small)}
    target = bytearray(len(pixels[large]))
    copies: list[float] = []
    trips: dict[int, list[float]] = {large: [], small: []}
    beyond: dict[int, list[float]] = {large: [], small: []}
    with daemon.running(plan.home) as own, own.connect() as client:
        for number in range(WARM_UP_ROUNDS + plan.sizes.overhead_rounds):
            copied = [_copy(target, pixels[large]) for _ in range(3)]
            for side in (large, small, small):
                seconds, compute = _round_trip(client, side, pixels[side])
                if number >= WARM_UP_ROUNDS:
                    trips[side].append(seconds)
                    beyond[side].append(seconds - compute)
            if number >= WARM_UP_ROUNDS:
                copies += copied
        endpoint = client.endpoint.partition(":")[0]
    ratio = statistics.median(trips[large]) / statistics.median(copies)
    detail = {"endpoint": endpoint, "memcpy": milliseconds(copies), "round_trip": milliseconds(trips[large])}
    return [
        Row(
            "overhead", f"round trip of {large}² RGBA8 with `identity`, over one memcpy of it",
            (Figure("round trip / memcpy", ratio, "x", OVERHEAD_TARGET, at_least=False),), detail=detail,
        ),
        Row(
            "small", f"round trip of {small}² RGBA8 with `identity`, beyond compute",
            (Figure("beyond compute", statistics.median(beyond[small]) * 1e3, "ms", SMALL_TARGET_MS, at_least=False),),
            detail={"endpoint": endpoint, "round_trip": milliseconds(trips[small])},
        ),
    ]  # fmt: skip


def _copy(target: bytearray, source: bytes) -> float:
    """Seconds of one memcpy."""
    to = (ctypes.c_char * len(source)).from_buffer(target)
    began = time.perf_counter()
    ctypes.memmove(to, source, len(source))
    return time.perf_counter() - began


def _round_trip(client: Client, side: int, pixels: bytes) -> tuple[float, float]:
    """Seconds in all, and of these in the operation."""
    run = Run(secrets.token_hex(16), "identity", images={"image": Raster(side, side, 4)})
    began = time.perf_counter()
    done, frames = client.run(run, [pixels])
    seconds = time.perf_counter() - began
    if not isinstance(done, Done) or frames[0] != pixels:
        raise RuntimeError("the pixels did not come back as they went")
    return seconds, done.report.seconds.compute
