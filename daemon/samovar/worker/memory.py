"""The shared memory of one job."""

from __future__ import annotations

from collections.abc import Sequence

from samovar.segment import Block, SegmentPool


class Memory:
    """The shared memory of one job: what its pixels came in and what its result lies in.

    An operation sees memoryviews; which segment one belongs to is found by its address.
    """

    def __init__(self, pool: SegmentPool, inputs: Sequence[Block]) -> None:
        self._pool = pool
        self._blocks = list(inputs)

    def allocate(self, size_bytes: int) -> memoryview:
        block = self._pool.take(size_bytes)
        self._blocks.append(block)
        return block.view

    def block_of(self, view: memoryview) -> Block:
        """The block a result lies in, or a copy of it in shared memory if it lies elsewhere."""
        flat = view.cast("B")
        start = _address(flat)
        for block in self._blocks:
            if block.address == start and len(block) == len(flat):
                return block
        copy = self._pool.take(len(flat))
        copy.view[:] = flat
        self._blocks.append(copy)
        return copy

    def give_away(self, view: memoryview) -> Block:
        """The block that memory from `allocate` lies in; it is the caller's from now on."""
        block = self.block_of(view)
        self._blocks.remove(block)
        return block

    def release(self) -> None:
        for block in self._blocks:
            block.release()
        self._blocks.clear()


def _address(view: memoryview) -> int:
    import numpy

    return int(numpy.frombuffer(view, numpy.uint8).ctypes.data) if len(view) else 0
