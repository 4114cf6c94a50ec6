"""What comes out of a network, looked at once, rounded once, and remembered.

Looked at: a silent black or broken layer is the worst that can happen, so every output that is not finite, far out of
range, or black where the picture is not, raises `Unusable`, and the job is tried another way (see `ladder`).
Rounded: outputs for layers of 8 and 16 bits become multiples of 1/65535, whether they come from the cache or not, so
that both are equal to the bit and the cache holds twice as many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from samovar.worker.image import Image
from samovar.worker.tile_cache import Array, TileCache, digest

MOST = 100.0
"""Beyond this nothing is a picture; CUNet answers a checkerboard with values of up to about 20."""
VISIBLE, BLACK = 0.1, 1 / 255


class Unusable(Exception):
    """A network's output that is no picture. The message says why, in words for a log."""


class Known:
    """For one picture on its way through one network.

    cache : None remembers nothing
    identity : all that decides the outcome beside the pixels: weights, runtime
    levels : outputs are rounded to multiples of 1 / levels; 0 leaves them as they are
    hits : tiles found in the cache
    """

    def __init__(self, cache: TileCache | None = None, identity: str = "", levels: int = 0) -> None:
        self.hits = 0
        self._cache = cache
        self._identity = f"{identity} {levels}"
        self._levels = levels

    def tile(self, compute: Callable[[], Tensor], seen: Tensor, channels: int, *parts: Tensor) -> Image:
        """The network's output for what it sees, (1, 3, h, w) -> (1, channels, h', w'), settled; computed if it is not
        known."""
        key = self.key(seen, str(channels), *parts)
        found = self.find(key)
        return self.settle(compute(), float(seen.max()), channels, key) if found is None else found

    def key(self, *parts: Tensor | bytes | str) -> bytes:
        """Empty where nothing is remembered."""
        return digest(self._identity, *parts) if self._cache is not None else b""

    def find(self, key: bytes) -> Image | None:
        found = self._cache.get(key) if self._cache is not None else None
        if found is None:
            return None
        self.hits += 1
        return self._restored(found[0])

    def settle(self, output: Tensor, brightest: float, channels: int, key: bytes) -> Image:
        """An output within 0..1, rounded, and remembered under a key. Raises Unusable.

        brightest : the largest value of what the network saw
        channels : of the picture; the mean of all, if it has one
        """
        output = output.float()
        check(output, brightest)
        output = output.clamp(0, 1)
        if channels == 1:
            output = output.mean(1, keepdim=True)
        output = output.contiguous()
        array: Array = output.numpy()
        if self._levels:
            array = output.mul(self._levels).round_().numpy().astype(np.uint16)
        if self._cache is not None:
            self._cache.put(key, [array])
        return self._restored(array)

    def numbers(self, compute: Callable[[], Sequence[Tensor]], *parts: Tensor | bytes | str) -> list[Tensor]:
        """A few tensors that follow from the parts, as they are."""
        key = self.key(*parts)
        found = self._cache.get(key) if self._cache is not None else None
        if found is not None:
            return [torch.from_numpy(array) for array in found]
        made = list(compute())
        if self._cache is not None:
            self._cache.put(key, [each.numpy() for each in made])
        return made

    def _restored(self, array: Array) -> Image:
        if array.dtype != np.uint16:
            return torch.from_numpy(array)
        return torch.from_numpy(array.astype(np.float32)).mul_(1 / self._levels)


def check(output: Tensor, brightest: float) -> None:
    """Raises Unusable. brightest : the largest value of what the network saw"""
    low, high = (float(each) for each in output.aminmax())
    if not (low > -MOST and high < MOST):  # so that what is no number fails too
        raise Unusable(f"values from {low:g} to {high:g}")
    if high < BLACK and brightest > VISIBLE:
        raise Unusable("black where the picture is not")
