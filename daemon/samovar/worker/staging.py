"""Networks whose receptive field is larger than tiling can afford (RRDB), run stage by stage.

Such a network is a chain of short stages that keep the size. Each stage runs over the whole picture, in tiles that
overlap by what this one stage looks around, before the next one begins. So the result equals that of the whole picture
at once up to rounding, the overlap is small, and between two tiles of a stage there is time to stop.

What is held meanwhile is bounded by `held_bytes`. A larger picture is cut into pieces first, each with `seam_context`
around it, which is where the network's answer to what lies beyond has faded below a level of 8 bits.

The picture's border is the end of all stages' world: beyond it there are the card's receptive_field pixels of mirror
image, then zeros as in training (8 pixels along the border were as near to the truth, a larger picture's, with 16 of
mirror image as with 48: 3.57 and 3.52 of 255 levels). An axis that wraps goes on by `seam_context` instead.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from samovar.card import ModelCard
from samovar.networks import StagedNetwork
from samovar.worker.image import Image
from samovar.worker.passage import Done, Passage
from samovar.worker.tiling import Tile, Wrap, cut, for_network, in_view_first, layout

PIECE_SIDE = 768
"""Of the pieces of a picture that is too large to hold; with 96 around, that is 2.4 times what is kept of it."""


def outputs(image: Image, network: StagedNetwork, passage: Passage, side: int) -> Iterator[tuple[Tile, Image]]:
    """Tiles of about `side` with the network's output for each."""
    height, width = image.shape[-2:]
    pieces, view = [Tile(0, 0, height, width)], passage.view
    if _held(pieces[0], network, passage.card, passage.wrap) > passage.held_bytes:
        pieces = in_view_first(layout(height, width, PIECE_SIDE), view)
    for index, piece in enumerate(pieces):
        seen = view and (view[0] - piece.top, view[1] - piece.left, view[2] - piece.top, view[3] - piece.left)
        done = functools.partial(_part_done, passage.done, index, len(pieces))
        part = dataclasses.replace(passage, view=seen, done=done)
        for tile, output in _Piece(image, network, part, piece).outputs(side):
            yield dataclasses.replace(tile, top=tile.top + piece.top, left=tile.left + piece.left), output


def _part_done(done: Done, index: int, number: int, fraction: float) -> None:
    done((index + fraction) / number)


def _held(piece: Tile, network: StagedNetwork, card: ModelCard, wrap: Wrap) -> int:
    extra = [2 * (network.seam_context if each else card.receptive_field) for each in wrap]
    return (piece.height + extra[0]) * (piece.width + extra[1]) * network.held_bytes


class _Piece:
    """One piece of a picture, with its context, on its way through the stages.

    seen : (1, 3, h, w); origin : where its first pixel lies, seen from the piece's own first one: (y, x), below 0
    """

    def __init__(self, image: Image, network: StagedNetwork, passage: Passage, piece: Tile) -> None:
        card, wrap = passage.card, passage.wrap
        self.piece = piece
        starts, lengths = [piece.top, piece.left], [piece.height, piece.width]
        self.origin = [0, 0]
        for axis in (0, 1):
            beyond = network.seam_context if wrap[axis] else card.receptive_field
            before = min(network.seam_context, starts[axis] + beyond)
            after = min(network.seam_context, image.shape[2 + axis] - starts[axis] - lengths[axis] + beyond)
            self.origin[axis] = -before
            starts[axis] -= before - card.receptive_field  # which `cut` adds
            lengths[axis] += before + after - 2 * card.receptive_field
        self.seen = for_network(cut(image, Tile(*starts, *lengths), card, wrap))
        self._network = network
        self._passage = passage
        self._channels = image.shape[1]
        self._steps = 0

    def outputs(self, side: int) -> Iterator[tuple[Tile, Image]]:
        known = self._passage.known
        tiles = in_view_first(layout(self.piece.height, self.piece.width, side), self._passage.view)
        picture = known.key(self.seen, str((self.origin, side, self._channels)))
        keys = {tile: known.key(picture, str(tile)) for tile in tiles}
        before = known.hits
        found = {tile: known.find(keys[tile]) for tile in tiles}
        if all(each is not None for each in found.values()):
            yield from ((tile, cast(Image, found[tile])) for tile in tiles)
            return
        known.hits = before
        brightest = float(self.seen.max())
        grid = layout(self.seen.shape[2], self.seen.shape[3], int(side * self._network.stage_share))
        stages = self._network.stages()
        total = len(stages) * len(grid) + len(tiles)
        features = self.seen
        for stage in stages:
            features = self._through(stage, features, grid, total)
        for tile in tiles:
            self._step(total)
            here = dataclasses.replace(tile, top=tile.top - self.origin[0], left=tile.left - self.origin[1])
            halo = self._network.finish_halo
            output = self._network.finish(_around(self.seen, here, halo)[0], _around(features, here, halo)[0])
            yield tile, known.settle(output, brightest, self._channels, keys[tile])

    def _through(self, stage: Callable[[Tensor], Tensor], features: Tensor, grid: Sequence[Tile], total: int) -> Tensor:
        result: Tensor | None = None
        for tile in grid:
            self._step(total)
            seen, top, left = _around(features, tile, self._network.stage_halo)
            made = stage(seen)[:, :, top : top + tile.height, left : left + tile.width]
            if result is None:
                shape = (1, made.shape[1], *features.shape[-2:])
                result = torch.empty(shape, dtype=made.dtype, memory_format=torch.channels_last)
            result[:, :, tile.top : tile.top + tile.height, tile.left : tile.left + tile.width] = made
        assert result is not None
        return result

    def _step(self, total: int) -> None:
        self._passage.done(self._steps / total)
        self._steps += 1


def _around(planes: Tensor, tile: Tile, halo: int) -> tuple[Tensor, int, int]:
    """A tile with its halo, which ends where the planes end, and where in it the tile begins."""
    top, left = max(0, tile.top - halo), max(0, tile.left - halo)
    bottom, right = tile.top + tile.height + halo, tile.left + tile.width + halo
    piece = planes[:, :, top:bottom, left:right].contiguous(memory_format=torch.channels_last)
    return piece, tile.top - top, tile.left - left
