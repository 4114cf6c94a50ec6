"""Row `start`: from nothing to an answer, and to the first pixels of a result."""

from __future__ import annotations

import secrets
import statistics
import time
from pathlib import Path

from samovar_link.messages import Done, Failed, Progress

from . import daemon
from .dirty import MODEL, SCALE
from .picture import frame, photograph, with_alpha
from .plan import Plan
from .row import Figure, Row, milliseconds

HELLO_TARGET_SECONDS = 0.3
PIXEL_TARGET_SECONDS = 6.0


def measure(plan: Plan) -> list[Row]:
    """In a home of its own, whose first job is the first one of an installation, with its choice of runtime."""
    home = plan.home / "start"
    ever, _ = first_pixel(home, plan.sizes.start, 1)
    pixels = [first_pixel(home, plan.sizes.start, turn) for turn in range(2, 2 + max(1, plan.sizes.starts // 2))]
    hellos = [_hello(home) for _ in range(plan.sizes.starts)]
    side = plan.sizes.start
    return [
        Row(
            "start", f"from the start of `samovar serve`; the first job is {MODEL} on {side}², torch not yet imported",
            (
                Figure("Hello answered", statistics.median(hellos), "s", HELLO_TARGET_SECONDS, at_least=False),
                Figure(
                    "first pixel", statistics.median(first for first, _ in pixels), "s", PIXEL_TARGET_SECONDS,
                    at_least=False,
                ),
                Figure("first pixel of a new installation", ever, "s"),
            ),
            detail={
                "hello": milliseconds(hellos), "first_pixel": milliseconds([first for first, _ in pixels]),
                "whole_result": milliseconds([whole for _, whole in pixels]),
            },
        )
    ]  # fmt: skip


def _hello(home: Path) -> float:
    with daemon.running(home) as own, own.connect():
        return time.perf_counter() - own.started


def first_pixel(home: Path, side: int, turn: int) -> tuple[float, float]:
    """Seconds from the daemon's start to the first part of a result, and to all of it."""
    picture = with_alpha(photograph(side, turn))
    run = daemon.upscaling(secrets.token_hex(16), picture, MODEL, SCALE, stream=True)
    first = None
    with daemon.running(home) as own, own.connect() as client:
        client.send(run, [frame(picture)])
        while True:
            message, _ = client.receive(None)
            now = time.perf_counter() - own.started
            if isinstance(message, Failed):
                raise RuntimeError(message.message)
            if isinstance(message, Progress) and message.images and first is None:
                first = now
            if isinstance(message, Done):
                return (now if first is None else first), now
