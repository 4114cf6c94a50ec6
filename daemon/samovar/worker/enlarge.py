"""A picture of any size through a network: cut into tiles, computed, put together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from samovar.card import ModelCard
from samovar.networks import Network, PoolingNetwork, StagedNetwork
from samovar.worker import pooling, staging
from samovar.worker.flats import Flats
from samovar.worker.image import Image
from samovar.worker.known import Known
from samovar.worker.tiling import Tile, View, Wrap, cut, for_network, in_view_first, layout

HELD_BYTES = 768 << 20
Done = Callable[[float], None]
"""Called with the share of the work that lies behind, at least once a tile; may raise to stop."""
Finished = Callable[[Tile, Image], None]
"""Called with each tile, cut to the picture, and its part of the result (1, C, scale * h, scale * w), a view."""


def enlarge(
    image: Image,
    network: Network,
    card: ModelCard,
    done: Done = lambda fraction: None,
    wrap: Wrap = (False, False),
    side: int | None = None,
    view: View | None = None,
    finished: Finished | None = None,
    known: Known | None = None,
    held_bytes: int = HELD_BYTES,
    means: Sequence[Tensor] | None = None,
    flats: Flats | None = None,
) -> tuple[Image, int]:
    """The picture through the network, and the number of tiles it took.

    (1, C, H, W) -> (1, C, scale * H, scale * W), cut to 0..1. Gray goes through as three equal channels, whose mean is
    the result.

    side : of a tile; None leaves it to the network
    view : in pixels of the picture; its tiles come first
    known : remembers and rounds what comes out; None does neither
    held_bytes : of features, for networks that have to hold those of many tiles
    means : of a picture that this is a piece of, for networks that take such; None: of this one
    flats : makes flat areas exact; for runtimes that do not compute with all digits

    Raises Unusable if what comes out is no picture.
    """
    known = known or Known(channels=image.shape[1])
    height, width = image.shape[-2:]
    result = image.new_empty((1, image.shape[1], height * card.scale, width * card.scale))
    tiles = layout(height, width, side or network.tile, card.multiple)
    if isinstance(network, StagedNetwork):
        outputs = staging.outputs(image, network, card, side or network.tile, known, held_bytes, done, wrap, view)
    elif isinstance(network, PoolingNetwork):
        outputs = pooling.outputs(image, network, card, tiles, known, held_bytes, done, wrap, view, means, flats)
    else:
        outputs = _outputs(image, network, card, in_view_first(tiles, view), known, done, wrap, flats)
    number = 0
    for tile, output in outputs:
        pasted = _paste(result, output, tile, card.scale)
        number += 1
        if finished is not None:
            finished(_within(tile, height, width), pasted)
    done(1.0)
    return result, number


def _outputs(
    image: Image,
    network: Network,
    card: ModelCard,
    tiles: Sequence[Tile],
    known: Known,
    done: Done,
    wrap: Wrap,
    flats: Flats | None,
) -> Iterator[tuple[Tile, Image]]:
    def compute(seen: Tensor) -> Tensor:
        output: Tensor = network(seen)
        return flats.mend(seen, output) if flats is not None else output

    for index, tile in enumerate(tiles):
        done(index / len(tiles))
        seen = for_network(cut(image, tile, card, wrap))
        yield tile, known.tile(functools.partial(compute, seen), seen)


def _within(tile: Tile, height: int, width: int) -> Tile:
    return Tile(tile.top, tile.left, min(tile.height, height - tile.top), min(tile.width, width - tile.left))


def _paste(result: Image, output: Image, tile: Tile, scale: int) -> Image:
    """Put an output at its place, and return that place of the result."""
    place = result[:, :, tile.top * scale :, tile.left * scale :][:, :, : output.shape[2], : output.shape[3]]
    place.copy_(output[:, :, : place.shape[2], : place.shape[3]])
    return place
