"""Finished tiles, so that running again after a brush stroke computes only the tiles that the stroke touches.

A tile is known by everything that decides its pixels: the pixels it was made from with all that the network sees around
them, the weights, the runtime, and, where a network takes means over the whole picture, these means. So a hit is exact,
whatever picture it comes from, and nothing ever needs to be declared outdated. What was used longest ago goes first
when the budget is full, but nothing that the job at hand has used or made: of a picture larger than the budget a part
stays known, where otherwise each tile would push out the one that is needed next time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import xxhash
from torch import Tensor

BUDGET_BYTES = 424 << 20
"""Holds a 4096² layer in colour at twice its size, with what the pieces of it overlap, and some strokes."""

Array = npt.NDArray[np.generic]


def digest(*parts: Tensor | bytes | str) -> bytes:
    """16 bytes that tell apart pixels and words; tensors by their values in memory order, shape and type."""
    state = xxhash.xxh3_128()
    for part in parts:
        if isinstance(part, Tensor):
            state.update(f"{tuple(part.shape)} {part.dtype} {part.stride()}".encode())
            flat = part.permute(0, 2, 3, 1) if part.dim() == 4 else part  # channels last lie in order this way
            state.update(np.ascontiguousarray(flat.numpy()).data)
        else:
            state.update(part.encode() if isinstance(part, str) else part)
    return state.digest()


class TileCache:
    """budget_bytes : of arrays held; 0 holds nothing"""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self.budget_bytes = budget_bytes
        self.size_bytes = 0
        self._held: OrderedDict[bytes, tuple[Array, ...]] = OrderedDict()
        self._of_job: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._held)

    def begin(self) -> None:
        """A job begins."""
        self._of_job.clear()

    def get(self, key: bytes) -> tuple[Array, ...] | None:
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
            self._of_job.add(key)
        return found

    def put(self, key: bytes, arrays: Sequence[Array]) -> None:
        """They must not be written to afterwards."""
        size_bytes = _size_bytes(arrays)
        if key in self._held or size_bytes > self.budget_bytes or not self._make_room(size_bytes):
            return
        self._held[key] = tuple(arrays)
        self._of_job.add(key)
        self.size_bytes += size_bytes

    def _make_room(self, size_bytes: int) -> bool:
        while self.size_bytes + size_bytes > self.budget_bytes:
            oldest = next(iter(self._held), None)
            if oldest is None or oldest in self._of_job:
                return False
            self.size_bytes -= _size_bytes(self._held.pop(oldest))
        return True

    def clear(self) -> None:
        self._held.clear()
        self._of_job.clear()
        self.size_bytes = 0


def _size_bytes(arrays: Sequence[Array]) -> int:
    return sum(array.nbytes for array in arrays)
