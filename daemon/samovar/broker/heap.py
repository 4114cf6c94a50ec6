"""Keeps the memory of large frames from one message to the next.

libzmq takes memory for every received frame from malloc. For a large one glibc asks the system each time and gives it
back afterwards, and the page faults of 64 MB then cost more than all its copying: an echo of 64 MB through a ROUTER
took 76 ms, and 42 ms with the settings below. What is kept is given back when no large frame came for a while.

And it tells how much is in use, because libzmq does not: of a message that has begun to come nobody hears before its
end.

Where there is no glibc this does nothing, and tells nothing.
"""

from __future__ import annotations

import ctypes
import sys

LARGE_BYTES = 1 << 20

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # of mallopt(3)
_KEEP_BYTES = 1 << 30
_KEEP_SECONDS = 60.0


class _Info(ctypes.Structure):
    """struct mallinfo2 of malloc.h"""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
    )]  # fmt: skip


class Heap:
    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self._trim_at: float | None = None
        if not hasattr(self._libc, "mallopt"):
            self._libc = None
            return
        assert self._libc is not None
        self._libc.mallopt(_ARENA_MAX, 1)  # the others cannot grow beyond 64 MB
        self._libc.mallopt(_MMAP_MAX, 0)
        self._libc.mallopt(_TRIM_THRESHOLD, _KEEP_BYTES)
        if hasattr(self._libc, "mallinfo2"):  # glibc 2.33
            self._libc.mallinfo2.restype = _Info

    def in_use(self) -> int:
        """Bytes taken and not given back, 0 where that is not known."""
        if self._libc is None or not hasattr(self._libc, "mallinfo2"):
            return 0
        return int(self._libc.mallinfo2().uordblks)

    def used(self, size_bytes: int, now: float) -> None:
        """A message of this size came."""
        if size_bytes >= LARGE_BYTES:
            self._trim_at = now + _KEEP_SECONDS

    def tick(self, now: float) -> None:
        """Give back what was not needed for a while: a few milliseconds, at a time when nothing happens."""
        if self._trim_at is not None and now >= self._trim_at:
            self._trim_at = None
            if self._libc is not None:
                self._libc.malloc_trim(0)
