"""What the runtimes could do at best: each candidate alone on one big tile, no conversion, nothing put together."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from samovar import networks, runtimes
from samovar.card import ModelCard
from samovar.networks import StagedNetwork
from samovar.worker.trial import Trials
from samovar_link import discovery

SIDE = 512
"""Of the one big tile, less its context."""


def candidates(card: ModelCard) -> dict[str, Callable[[Tensor], Tensor]]:
    """What the worker may choose between for this model on this machine: what its trial has not refused.

    In the folder of SAMOVAR_HOME, where the engine has remembered it.
    """
    usable = runtimes.discover()
    trials = Trials(usable, discovery.home() / "trials.json")
    refused = {each.runtime for each in trials.remembered(card, "") or () if each.refused}
    return {each.id: each.prepare(networks.load(card, "")) for each in usable if each.id not in refused}


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
        self._card = card
        self._candidates: dict[str, Callable[[Tensor], Tensor]] = {}
        self.name = ""

    def choose(self) -> None:
        """Take the fastest from now on."""
        self._candidates = candidates(self._card)
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
