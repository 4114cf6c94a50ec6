"""Memory that is free, but not given back."""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from collections.abc import Callable

PAUSE_SECONDS = 1.0
_last = 0.0


def give_back() -> None:
    """Let the system have what malloc keeps for later. glibc keeps what lies between blocks still in use: after two
    runtimes were tried out 100 MB, from piece to piece of a large picture more and more. Takes milliseconds."""
    global _last
    _trim()(0)
    _last = time.monotonic()


def give_back_now_and_then() -> None:
    """For who comes by often, and will soon want some of it again."""
    if time.monotonic() - _last >= PAUSE_SECONDS:
        give_back()


@functools.cache
def _trim() -> Callable[[int], object]:
    """malloc_trim(3); where there is no glibc, nothing."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    found: Callable[[int], object] | None = getattr(libc, "malloc_trim", None)
    return found or (lambda keep_bytes: None)
