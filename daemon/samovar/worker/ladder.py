"""What is tried next when a network fails: smaller tiles, then the plain runtime, then the reason is told.

Out of memory: tiles of half the side, again and again, with half of what may be held; then the plain runtime with the
smallest. A picture that is none (see `known`): once with smaller tiles, then the plain runtime. Each step is logged as
a warning and stands in the report, so that nobody wonders why it took longer or used another way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from samovar.worker.known import Unusable
from samovar.worker.trouble import is_out_of_memory
from samovar_link.errors import InternalError

log = logging.getLogger(__name__)

SMALLEST_SIDE = 32

Result = TypeVar("Result")


@dataclass(frozen=True)
class Rung:
    """side : of a tile in pixels; held_bytes : of features; plain : on the runtime that is always right"""

    side: int
    held_bytes: int
    plain: bool = False


def climb(
    attempt: Callable[[Rung], Result], first: Rung, is_plain: bool, job: str, told: Callable[[str], None]
) -> Result:
    """What `attempt` returns on the first rung that holds.

    is_plain : whether the first rung runs on the plain runtime anyway; told : takes a sentence for each step down

    Raises InternalError if no rung gives a picture, and whatever the last attempt raised for want of memory.
    """
    rung = first
    while True:
        try:
            return attempt(rung)
        except Exception as error:
            memory = is_out_of_memory(error)
            if not memory and not isinstance(error, Unusable):
                raise
            reason = "out of memory" if memory else str(error)
            below = _below(rung, first, is_plain, memory)
            if below is None:
                if memory:
                    raise
                raise InternalError(
                    f"the model gives no picture here: {reason}", "try another model; samovar doctor says more"
                ) from error
        instead = "the plain runtime" if below.plain else f"tiles of {below.side} pixels instead of {rung.side}"
        words = f"{reason}: {instead}"
        log.warning("job %s: %s", job, words)
        told(words)
        rung = below


def _below(rung: Rung, first: Rung, is_plain: bool, memory: bool) -> Rung | None:
    smaller = replace(rung, side=rung.side // 2, held_bytes=rung.held_bytes // 2)
    if memory:
        if smaller.side >= SMALLEST_SIDE:
            return smaller
        return None if rung.plain or is_plain else replace(rung, plain=True)
    if rung == first and smaller.side >= SMALLEST_SIDE:
        return smaller
    return None if rung.plain or is_plain else replace(first, plain=True)
