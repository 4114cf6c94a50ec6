"""Means over a picture that is too large to have in hand, found from samples of it.

A network that takes means over the whole picture needs them also where the picture goes through piece by piece. So for
each model that the operation applies, samples spread over the layer are sent through the operation up to that model,
and the means are formed over what comes there. All pieces then use the same ones, so there is no seam between them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from samovar.networks import PoolingNetwork
from samovar.worker import pooling
from samovar.worker.passage import Passage
from samovar.worker.pooling import SAMPLE_SIDE, Piece
from samovar.worker.region import Box
from samovar.worker.tiling import Tile

if TYPE_CHECKING:
    from samovar.worker.model_job import ModelJob

Send = Callable[[Box], object]
"""A box of the layer, with what is around it, through the operation."""


class Survey:
    """tiles : of the layer, to choose samples from; seen : the box around one that is sent; send : does so"""

    def __init__(self, tiles: Sequence[Tile], seen: Callable[[Box], Box], send: Send) -> None:
        self._tiles = tiles
        self._seen = seen
        self._send = send
        self._means: dict[int, list[Tensor]] = {}

    def means(self, job: ModelJob, call: int, network: PoolingNetwork, passage: Passage) -> list[Tensor]:
        """Those for the `call`-th model that the operation applies; (1, C) each."""
        if call not in self._means:
            largest = Tile(0, 0, SAMPLE_SIDE, SAMPLE_SIDE)
            number = passage.held_bytes // pooling.held(network, passage.card, largest)
            tiles = pooling.spread(self._tiles, max(1, number))
            pieces = [self._piece(job, call, tile, passage.card.multiple) for tile in tiles]
            alone = dataclasses.replace(passage, wrap=(False, False))
            self._means[call] = pooling.sampled_means(pieces, network, alone)
        return self._means[call]

    def _piece(self, job: ModelJob, call: int, tile: Tile, multiple: int) -> Piece:
        box = Box(tile.top, tile.left, tile.height, tile.width)
        seen = self._seen(box)
        image = job.captured(call, lambda: self._send(box))
        factor = image.shape[-1] / seen.width
        places = []
        for start, size, outer in ((box.top - seen.top, box.height, 2), (box.left - seen.left, box.width, 3)):
            first = round(start * factor / multiple) * multiple
            most = min(SAMPLE_SIDE, round(size * factor), image.shape[outer] - first)
            places.append((first, math.ceil(most / multiple) * multiple))
        return image, Tile(places[0][0], places[1][0], places[0][1], places[1][1])
