"""How large a tile may be, by the memory that is free.

Where memory runs out, systems seldom say so: Linux kills the process. So before a picture goes through a network, the
side of its tiles is halved until what a tile takes is a fraction of what is free on the runtime's device. That is
measured for our own networks (`Network.tile_bytes`), and rarely less than a tile of the best size needs.
"""

from __future__ import annotations

from samovar.networks import Network
from samovar.worker.ladder import SMALLEST_SIDE

SHARE = 0.25
"""Of the free memory that a tile may take: others want some of it meanwhile."""


def side(network: Network, context: int, free_bytes: int) -> int:
    """Of a tile, in pixels: the network's own, or half, a quarter... of it.

    context : pixels that the network sees around a tile
    """
    side = network.tile
    while side // 2 >= SMALLEST_SIDE and (side + 2 * context) ** 2 * network.tile_bytes > SHARE * free_bytes:
        side //= 2
    return side
