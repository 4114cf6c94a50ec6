"""Networks that take means over the whole picture (squeeze-excite), run in tiles.

All tiles go on together from one such place to the next, and the mean is formed over the cells of all of them, each
counted once: the result equals that of the whole picture at once up to rounding. What the tiles hold meanwhile is
bounded by `held_bytes`. A picture that would need more takes its means from a sample of tiles spread over it, and then
runs tile by tile with these. All its tiles still use the same means, so it has no seams; how far the sample's means lie
from the exact ones shows as a slight change of the whole picture.

Measured with CUNet 2x, means of a sample of a third of the picture or less against the exact ones: photographs at most
1.7/255 (71 dB), a photograph on a blank page 7/255 (63 dB) in its sharpest patterns, a 1-pixel checkerboard within a
photograph 20/255 (CUNet answers such a pattern with values far beyond the range). Each tile with means of its own, as
other programs do it, gave 97/255 on the last one. Pictures up to about 0.6 megapixels are exact.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Generator, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from samovar.card import ModelCard
from samovar.networks import Pooling, PoolingNetwork
from samovar.worker.image import Image
from samovar.worker.passage import Passage
from samovar.worker.tiling import Tile, Wrap, cut, for_network, in_view_first, layout

SAMPLE_SIDE = 128
GOLDEN_RATIO = 0.6180339887498949

Steps = Generator[Tensor, Tensor, Tensor]
Piece = tuple[Image, Tile]
"""A picture, and a tile of it."""


def outputs(
    image: Image, network: PoolingNetwork, passage: Passage, tiles: Sequence[Tile]
) -> Iterator[tuple[Tile, Image]]:
    """Each tile with the network's output for it; the view changes the order of the output alone, not the means."""
    means, card, done, share = passage.means, passage.card, passage.done, 0.0
    if means is None and sum(held(network, card, tile) for tile in tiles) <= passage.held_bytes:
        yield from _together(image, network, passage, tiles)
        return
    if means is None:
        some = [(image, tile) for tile in sample(image, network, card, passage.held_bytes)]
        share = len(some) / (len(some) + len(tiles))
        sampling = dataclasses.replace(passage, done=lambda fraction: done(share * fraction))
        means = sampled_means(some, network, sampling)
    for index, tile in enumerate(in_view_first(tiles, passage.view)):
        done(share + (1 - share) * index / len(tiles))
        seen = for_network(cut(image, tile, card, passage.wrap))
        compute = functools.partial(passage.output, seen, means)
        yield tile, passage.known.tile(compute, seen, image.shape[1], *means)


def _together(
    image: Image, network: PoolingNetwork, passage: Passage, tiles: Sequence[Tile]
) -> Iterator[tuple[Tile, Image]]:
    known, done, wrap = passage.known, passage.done, passage.wrap
    picture = known.key(image, str((wrap, tiles[0])))
    keys = {tile: known.key(picture, str(tile)) for tile in tiles}
    ordered = in_view_first(tiles, passage.view)
    found = {tile: known.find(keys[tile]) for tile in tiles}
    if all(each is not None for each in found.values()):
        yield from ((tile, cast(Image, found[tile])) for tile in ordered)
        return
    known.hits = 0
    brightest = float(image.max())
    pieces = [(image, tile) for tile in tiles]
    runs = _begin(pieces, network, passage)
    means = _advance(pieces, network, passage, runs)
    behind = network.poolings[-1].work
    run_of = dict(zip(tiles, runs, strict=True))
    for index, tile in enumerate(ordered):
        done(behind + (1 - behind) * index / len(tiles))
        seen = cut(image, tile, passage.card, wrap).expand(-1, 3, -1, -1)
        output = passage.mended(seen, _finish(run_of[tile], means[-1]), means)
        yield tile, known.settle(output, brightest, image.shape[1], keys[tile])


def sampled_means(pieces: Sequence[Piece], network: PoolingNetwork, passage: Passage) -> list[Tensor]:
    """The means (1, C) at each pooling, formed over some tiles only."""
    known, card, wrap = passage.known, passage.card, passage.wrap

    def form() -> list[Tensor]:
        runs = _begin(pieces, network, passage)
        means = _advance(pieces, network, passage, runs)
        for run in runs:
            run.close()
        return means

    return known.numbers(form, *(known.key(cut(image, tile, card, wrap)) for image, tile in pieces))


def _begin(pieces: Sequence[Piece], network: PoolingNetwork, passage: Passage) -> list[Steps]:
    """Nothing is cut or computed before a run's first `next`."""
    light = len(pieces) > 1

    def run(image: Image, tile: Tile) -> Steps:
        return (yield from network.steps(for_network(cut(image, tile, passage.card, passage.wrap)), light))

    return [run(*piece) for piece in pieces]


def _advance(pieces: Sequence[Piece], network: PoolingNetwork, passage: Passage, runs: Sequence[Steps]) -> list[Tensor]:
    """Take all runs to the last pooling. Returns the means at each; the last ones are yet to be sent."""
    means: list[Tensor] = []
    behind = 0.0
    for index, pooling in enumerate(network.poolings):
        total, cells = torch.zeros(0), 0
        for number, (run, (image, tile)) in enumerate(zip(runs, pieces, strict=True)):
            passage.done(behind + (pooling.work - behind) * number / len(pieces))
            own = _own_cells(run.send(means[-1]) if index else next(run), pooling, tile, image, passage.wrap)
            total = own.sum((2, 3), dtype=torch.float64) + (total if cells else 0)
            cells += own.shape[2] * own.shape[3]
        means.append((total / cells).float())
        behind = pooling.work
    return means


def _own_cells(features: Tensor, pooling: Pooling, tile: Tile, image: Image, wrap: Wrap) -> Tensor:
    """Without the cells that a neighbouring tile counts."""
    for axis, start, length in ((0, tile.top, tile.height), (1, tile.left, tile.width)):
        before = pooling.before if start > 0 or wrap[axis] else 0
        after = pooling.after if start + length < image.shape[2 + axis] or wrap[axis] else 0
        features = features.narrow(2 + axis, before, features.shape[2 + axis] - before - after)
    return features


def _finish(run: Steps, mean: Tensor) -> Tensor:
    try:
        run.send(mean)
    except StopIteration as end:
        output: Tensor = end.value
        return output
    raise RuntimeError("the network takes more means than it declares")


def held(network: PoolingNetwork, card: ModelCard, tile: Tile) -> int:
    """Bytes that a tile holds between two poolings."""
    context = 2 * card.receptive_field
    return (tile.height + context) * (tile.width + context) * network.held_bytes


def sample(image: Image, network: PoolingNetwork, card: ModelCard, held_bytes: int) -> list[Tile]:
    """As many small tiles as may be held, spread evenly over the picture in both directions."""
    height, width = image.shape[-2:]
    tiles = layout(height, width, SAMPLE_SIDE, card.multiple)
    return spread(tiles, max(1, held_bytes // held(network, card, tiles[0])))


def spread(tiles: Sequence[Tile], number: int) -> list[Tile]:
    """At most so many of the tiles, evenly over rows and columns, in their order."""
    order = sorted(range(len(tiles)), key=lambda index: GOLDEN_RATIO * index % 1.0)
    return [tiles[index] for index in sorted(order[:number])]
