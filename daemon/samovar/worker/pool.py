"""The networks held in memory, and when they go.

A network is known by its card, variant and runtime. It is loaded when first asked for, counted while in use, and stays
for `keep_alive_seconds` after the last use ended (0: not at all, below 0: for ever); the last user's wish counts. What
is in use never goes.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from samovar import networks
from samovar.card import ModelCard
from samovar.networks import Network
from samovar.runtimes import Runtime, eager
from samovar.worker import heap
from samovar_link.messages import LoadedModel

BUDGET_BYTES = 2 << 30
_Key = tuple[str, str, str]
"""Card, variant, runtime."""
Check = Callable[[], None]
"""Called now and then while there is more to do; raises to stop."""
Choose = Callable[[ModelCard, str, Callable[[], Network], bool, Check], Runtime]
"""(card, variant, how to load it, whether all digits are wanted, check) -> the runtime to use"""


@dataclass(frozen=True)
class Leased:
    """A network ready to run, and what it runs on."""

    network: Network
    runtime: Runtime


@dataclass
class _Entry:
    leased: Leased
    size_bytes: int
    users: int = 0
    used: float = 0.0  # when its last use ended, on the pool's clock
    until: float = math.inf  # on the pool's clock; only meant while unused


class Pool:
    """load : (card, variant, device) -> network; clock : seconds that never go back

    choose : which runtime a model runs on here; plain : the one that is always right, for when another fails, and for
        what takes whole pictures
    budget_bytes : of weights held; beyond it goes what was not used for longest, unless it is in use
    """

    def __init__(
        self,
        device: str = "cpu",
        load: Callable[[ModelCard, str, str], Network] = networks.load,
        clock: Callable[[], float] = time.monotonic,
        choose: Choose | None = None,
        plain: Runtime | None = None,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        self.device = device
        self.load_seconds = 0.0
        """Spent loading since the pool was made."""
        self._load = load
        self._clock = clock
        self._budget_bytes = budget_bytes
        self._plain = plain or eager.RUNTIMES[0]
        self._choose = choose or (lambda card, variant, load, exact, check: self._plain)
        self._entries: dict[_Key, _Entry] = {}

    @contextlib.contextmanager
    def lease(
        self,
        card: ModelCard,
        variant: str,
        keep_alive_seconds: float,
        exact: bool = True,
        plain: bool = False,
        check: Check = lambda: None,
    ) -> Iterator[Leased]:
        """A network for the time of a `with` block. Raises ModelUnavailable.

        exact : on a runtime that computes with all digits; plain : on the one that is always right
        """
        began = self._clock()
        loads = functools.partial(self._load, card, variant, self.device)
        runtime = self._plain if plain or card.whole else self._choose(card, variant, loads, exact, check)
        entry = self._entries.get((card.id, variant, runtime.id))
        if entry is None:
            entry = self._loaded(card, variant, runtime)
            self.load_seconds += self._clock() - began
        entry.users += 1
        try:
            yield entry.leased
        finally:
            entry.users -= 1
            entry.used = self._clock()
            entry.until = math.inf if keep_alive_seconds < 0 else self._clock() + keep_alive_seconds
            self.expire()

    def _loaded(self, card: ModelCard, variant: str, runtime: Runtime) -> _Entry:
        network = self._load(card, variant, self.device)
        size_bytes = network.size_bytes()
        entry = _Entry(Leased(runtime.prepare(network), runtime), size_bytes)
        self._make_room(size_bytes)
        self._entries[card.id, variant, runtime.id] = entry
        heap.give_back()  # what reading, converting, trying out left
        return entry

    def _make_room(self, size_bytes: int) -> None:
        idle = sorted((entry.used, key) for key, entry in self._entries.items() if not entry.users)
        total = size_bytes + sum(entry.size_bytes for entry in self._entries.values())
        for _, key in idle:
            if total <= self._budget_bytes:
                return
            total -= self._entries.pop(key).size_bytes

    def warm(self, card: ModelCard, variant: str, keep_alive_seconds: float, check: Check = lambda: None) -> str:
        """Have a network loaded, for `keep_alive_seconds` at least (below 0: for ever); its name as in `loaded`."""
        held = [entry for key, entry in self._entries.items() if key[:2] == (card.id, variant)]
        left_seconds = max((entry.until - self._clock() for entry in held), default=0.0)
        wanted_seconds = math.inf if keep_alive_seconds < 0 else keep_alive_seconds
        with self.lease(card, variant, max(left_seconds, wanted_seconds), exact=False, check=check):
            pass
        return _name(card.id, variant)

    def unload(self, model: str = "") -> tuple[tuple[str, ...], int]:
        """Drop what is not in use of a model, in all variants, or of all for "". Names and bytes of what went."""
        keys = [key for key, entry in self._entries.items() if not entry.users and model in ("", key[0])]
        size_bytes = sum(self._entries.pop(key).size_bytes for key in keys)
        return tuple(dict.fromkeys(_name(*key[:2]) for key in keys)), size_bytes

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
                entry.leased.runtime.device,
                entry.size_bytes,
                entry.leased.runtime.id,
                in_use=entry.users > 0,
                unload_seconds=None if entry.users or entry.until == math.inf else max(0.0, entry.until - now),
            )
            for (model, variant, _), entry in self._entries.items()
        )


def _name(model: str, variant: str) -> str:
    return f"{model} {variant}".strip()
