"""What the runtimes could do at best: each candidate alone on one big tile, no conversion, nothing put together."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from samovar import networks, runtimes
from samovar.card import ModelCard
from samovar.networks import StagedNetwork

SIDE = 512
"""Of the one big tile, less its context."""


def candidates(card: ModelCard) -> dict[str, Callable[[Tensor], Tensor]]:
    """What the worker may choose between for this model on this machine."""
    return {each.id: each.prepare(networks.load(card, "")) for each in runtimes.discover()}


class Raw:
    """One candidate on one tile of at most `SIDE`."""

    def __init__(self, card: ModelCard, side: int) -> None:
        network = networks.load(card, "")
        context = network.finish_halo if isinstance(network, StagedNetwork) else card.receptive_field
        side = min(SIDE, side)
        torch.manual_seed(0)
        tile = torch.rand(1, 3, side + 2 * context, side + 2 * context)
        self._tile = tile.contiguous(memory_format=torch.channels_last)
        self._pixels = side * side
        self._candidates = candidates(card)
        self.name = ""

    def choose(self) -> None:
        """Take the fastest from now on."""
        for call in self._candidates.values():
            self._time(call)  # the first time is for setting up
        seconds = {name: self._time(call) for name, call in self._candidates.items()}
        self.name = min(seconds, key=lambda name: seconds[name])

    def speed(self) -> float:
        """Input pixels per second, now."""
        return self._pixels / self._time(self._candidates[self.name])

    def _time(self, call: Callable[[Tensor], Tensor]) -> float:
        with torch.inference_mode():
            began = time.perf_counter()
            call(self._tile)
            return time.perf_counter() - began
