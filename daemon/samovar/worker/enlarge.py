"""A picture of any size through a network: cut into tiles, computed, put together."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from samovar.networks import PoolingNetwork, StagedNetwork
from samovar.worker import pooling, staging
from samovar.worker.image import Image
from samovar.worker.passage import Passage
from samovar.worker.tiling import Tile, cut, for_network, in_view_first, layout

Finished = Callable[[Tile, Image], None]
"""Called with each tile, cut to the picture, and its part of the result (1, C, scale * h, scale * w), a view."""


def enlarge(image: Image, passage: Passage, finished: Finished | None = None) -> tuple[Image, int]:
    """The picture through the network, and the number of tiles it took.

    (1, C, H, W) -> (1, C, scale * H, scale * W), cut to 0..1. Gray goes through as three equal channels, whose mean is
    the result.

    Raises Unusable if what comes out is no picture.
    """
    network, card = passage.network, passage.card
    height, width = image.shape[-2:]
    side = passage.side or network.tile
    result = image.new_empty((1, image.shape[1], height * card.scale, width * card.scale))
    if isinstance(network, StagedNetwork):
        outputs = staging.outputs(image, network, passage, side)
    else:
        tiles = layout(height, width, side, card.multiple)
        if isinstance(network, PoolingNetwork):
            outputs = pooling.outputs(image, network, passage, tiles)
        else:
            outputs = _outputs(image, passage, in_view_first(tiles, passage.view))
    number = 0
    for tile, output in outputs:
        pasted = _paste(result, output, tile, card.scale)
        number += 1
        if finished is not None:
            finished(_within(tile, height, width), pasted)
    passage.done(1.0)
    return result, number


def _outputs(image: Image, passage: Passage, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, Image]]:
    for index, tile in enumerate(tiles):
        passage.done(index / len(tiles))
        seen = for_network(cut(image, tile, passage.card, passage.wrap))
        yield tile, passage.known.tile(functools.partial(passage.output, seen), seen, image.shape[1])


def _within(tile: Tile, height: int, width: int) -> Tile:
    return Tile(tile.top, tile.left, min(tile.height, height - tile.top), min(tile.width, width - tile.left))


def _paste(result: Image, output: Image, tile: Tile, scale: int) -> Image:
    """Put an output at its place, and return that place of the result."""
    place = result[:, :, tile.top * scale :, tile.left * scale :][:, :, : output.shape[2], : output.shape[3]]
    place.copy_(output[:, :, : place.shape[2], : place.shape[3]])
    return place
