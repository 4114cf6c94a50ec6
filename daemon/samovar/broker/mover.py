"""Copies received pixels into shared memory without holding up the loop.

libzmq gives a frame in memory of its own, so one copy is unavoidable. A small one is made at once; a large one on a
thread, where `ctypes.memmove` lets the interpreter go on. The loop is woken when it is done.
"""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Callable

from samovar.broker.job import Pixels
from samovar.segment import SegmentPool

AT_ONCE_BYTES = 2 << 20
"""About 0.3 ms of copying: less than handing it to a thread and back can cost when the cores are busy."""


class Mover:
    """wake : called from the thread when something is finished; then call `deliver` on the loop's thread."""

    def __init__(self, pool: SegmentPool, wake: Callable[[], None]) -> None:
        self._pool = pool
        self._wake = wake
        self._todo: queue.SimpleQueue[tuple[Pixels, Callable[[], None]] | None] = queue.SimpleQueue()
        self._finished: queue.SimpleQueue[tuple[Pixels, Callable[[], None]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="mover", daemon=True)
        self._thread.start()

    def move(self, pixels: Pixels, done: Callable[[], None]) -> None:
        """Put `pixels` into segments, then call `done`. Raises MemoryError if there is no room for them."""
        blocks = []
        try:
            for size in pixels.sizes:
                blocks.append(self._pool.take(size))
        except MemoryError:
            for block in blocks:
                block.release()
            raise
        pixels.blocks = blocks
        pixels.moving = True
        if pixels.size_bytes <= AT_ONCE_BYTES:
            _copy(pixels)
            pixels.moved()
            done()
        else:
            self._todo.put((pixels, done))

    def deliver(self) -> None:
        """Call `done` of what the thread finished."""
        while not self._finished.empty():
            pixels, done = self._finished.get()
            pixels.moved()
            done()

    def close(self) -> None:
        self._todo.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (item := self._todo.get()) is not None:
            _copy(item[0])
            self._finished.put(item)
            del item  # the frames are freed by the loop, not whenever the next job comes
            self._wake()


def _copy(pixels: Pixels) -> None:
    for frame, block in zip(pixels.frames, pixels.blocks or (), strict=True):
        source = (ctypes.c_char * len(frame)).from_buffer(frame.buffer)
        ctypes.memmove(block.address, source, len(frame))
