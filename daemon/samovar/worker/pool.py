"""The networks held in memory, and when they go.

A network is known by its card and variant. It is loaded when first asked for, counted while in use, and stays for
`keep_alive_seconds` after the last use ended (0: not at all, below 0: for ever); the last user's wish counts. What is
in use never goes.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from samovar import networks
from samovar.card import ModelCard
from samovar.networks import Network
from samovar_link.messages import LoadedModel


@dataclass
class _Entry:
    network: Network
    size_bytes: int
    users: int = 0
    until: float = math.inf  # on the pool's clock; only meant while unused


class Pool:
    """load : (card, variant, device) -> network; clock : seconds that never go back"""

    def __init__(
        self,
        device: str = "cpu",
        load: Callable[[ModelCard, str, str], Network] = networks.load,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device
        self.load_seconds = 0.0
        """Spent loading since the pool was made."""
        self._load = load
        self._clock = clock
        self._entries: dict[tuple[str, str], _Entry] = {}

    @contextlib.contextmanager
    def lease(self, card: ModelCard, variant: str, keep_alive_seconds: float) -> Iterator[Network]:
        """A network for the time of a `with` block. Raises ModelUnavailable."""
        key = (card.id, variant)
        entry = self._entries.get(key) or self._loaded(card, variant)
        entry.users += 1
        try:
            yield entry.network
        finally:
            entry.users -= 1
            entry.until = math.inf if keep_alive_seconds < 0 else self._clock() + keep_alive_seconds
            self.expire()

    def _loaded(self, card: ModelCard, variant: str) -> _Entry:
        began = self._clock()
        network = self._load(card, variant, self.device)
        self.load_seconds += self._clock() - began
        tensors = [*network.parameters(), *network.buffers()]
        entry = _Entry(network, sum(tensor.numel() * tensor.element_size() for tensor in tensors))
        self._entries[card.id, variant] = entry
        return entry

    def warm(self, card: ModelCard, variant: str, keep_alive_seconds: float) -> str:
        """Have a network loaded, for `keep_alive_seconds` at least (below 0: for ever); its name as in `loaded`."""
        entry = self._entries.get((card.id, variant))
        left_seconds = entry.until - self._clock() if entry else 0.0
        wanted_seconds = math.inf if keep_alive_seconds < 0 else keep_alive_seconds
        with self.lease(card, variant, max(left_seconds, wanted_seconds)):
            pass
        return _name(card.id, variant)

    def unload(self, model: str = "") -> tuple[tuple[str, ...], int]:
        """Drop what is not in use of a model, in all variants, or of all for "". Names and bytes of what went."""
        keys = [key for key, entry in self._entries.items() if not entry.users and model in ("", key[0])]
        size_bytes = sum(self._entries.pop(key).size_bytes for key in keys)
        return tuple(_name(*key) for key in keys), size_bytes

    def expire(self) -> float | None:
        """Drop what is due. Returns the seconds until the next one is, or None if none will be."""
        now = self._clock()
        for key in [key for key, entry in self._entries.items() if not entry.users and entry.until <= now]:
            del self._entries[key]
        waits = [entry.until - now for entry in self._entries.values() if not entry.users]
        return min((wait for wait in waits if wait < math.inf), default=None)

    def loaded(self) -> tuple[LoadedModel, ...]:
        """What is held, as `samovar ps` shows it."""
        now = self._clock()
        return tuple(
            LoadedModel(
                _name(model, variant),
                self.device,
                entry.size_bytes,
                "torch",
                in_use=entry.users > 0,
                unload_seconds=None if entry.users or entry.until == math.inf else max(0.0, entry.until - now),
            )
            for (model, variant), entry in self._entries.items()
        )


def _name(model: str, variant: str) -> str:
    return f"{model} {variant}".strip()
