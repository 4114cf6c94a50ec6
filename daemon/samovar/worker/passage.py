"""A network, and how a picture goes through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from samovar.card import ModelCard
from samovar.networks import Network, PoolingNetwork
from samovar.worker.flats import Flats
from samovar.worker.known import Known
from samovar.worker.tiling import View, Wrap

HELD_BYTES = 768 << 20

Done = Callable[[float], None]
"""Called with the share of the work that lies behind, at least once a tile; may raise to stop."""


def _nobody(fraction: float) -> None:
    pass


@dataclass(frozen=True)
class Passage:
    """side : of a tile in pixels of the picture; None leaves it to the network
    view : in pixels of the picture; its tiles come first
    known : looks at, rounds and remembers what comes out
    held_bytes : of features, for networks that have to hold those of many tiles
    means : of a picture that this one is a piece of, for networks that take such; None: of this one
    flats : makes flat areas exact; for runtimes that do not compute with all digits
    """

    network: Network
    card: ModelCard
    done: Done = _nobody
    wrap: Wrap = (False, False)
    side: int | None = None
    view: View | None = None
    known: Known = field(default_factory=Known)
    held_bytes: int = HELD_BYTES
    means: Sequence[Tensor] | None = None
    flats: Flats | None = None

    def output(self, seen: Tensor, means: Sequence[Tensor] | None = None) -> Tensor:
        """What the network makes of a tile with its context, (1, 3, h, w) -> (1, 3, h', w'), flat areas exact.

        means : for a network that takes such
        """
        output: Tensor = self.network(seen, means) if isinstance(self.network, PoolingNetwork) else self.network(seen)
        return self.mended(seen, output, means)

    def mended(self, seen: Tensor, output: Tensor, means: Sequence[Tensor] | None = None) -> Tensor:
        return output if self.flats is None else self.flats.mend(seen, output, means)
