"""Memory for large frames: huge pages, and the same block again once its reader let go of it.

A fresh 64 MB costs 16384 page faults, which take longer than moving the pixels does (measured: an echo of 64 MB took
103 ms into fresh `bytearray`s, 75 ms into huge pages, 60 ms into memory used before). So on Linux large blocks come
from anonymous maps with huge pages, and the last one is kept for a few seconds. Elsewhere they come from fresh maps:
a `bytearray` would be written full of zeros, and a peer that announces a frame and never sends it would have us do so
to 16 GB.

Whether the reader let go is asked of Python, not guessed: a map that has memoryviews refuses to be resized.
"""

from __future__ import annotations

import contextlib
import mmap
import sys

MAPPED_BYTES = 4 << 20
"""From this size on a frame gets a map of its own."""

KEPT_BYTES = 512 << 20
KEEP_SECONDS = 5.0

_HUGE = sys.platform == "linux" and hasattr(mmap, "MADV_HUGEPAGE")


class Blocks:
    """Gives out blocks and keeps the latest large one for the next frame of its size."""

    def __init__(self) -> None:
        self._kept: mmap.mmap | None = None
        self._expires = 0.0

    def take(self, size: int, now: float) -> memoryview:
        """`size` writable bytes of any content, the caller's for as long as it holds on to them."""
        if size < MAPPED_BYTES:
            return memoryview(bytearray(size))
        if not _HUGE:
            return memoryview(mmap.mmap(-1, size))[:size]
        block, self._kept = self._kept, None
        if block is None or not size <= len(block) <= 2 * size or _is_held(block):
            block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            with contextlib.suppress(OSError):  # a kernel built without them
                block.madvise(mmap.MADV_HUGEPAGE)
        if size <= KEPT_BYTES:
            self._kept, self._expires = block, now + KEEP_SECONDS
        return memoryview(block)[:size]

    def tick(self, now: float) -> None:
        """Give back what nobody asked for lately."""
        if now > self._expires:
            self._kept = None


def _is_held(block: mmap.mmap) -> bool:
    """Does anybody hold a memoryview of it? Resizing to the same size changes nothing, if it is allowed."""
    try:
        block.resize(len(block))
    except (BufferError, ValueError, OSError, SystemError):
        return True
    return False
