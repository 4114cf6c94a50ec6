"""Flat areas, exact on every runtime.

A runtime with fewer digits answers a flat area a little differently in each of the places that a network knows apart
(even and odd rows, say), and rounding turns that into a pattern of one level: seen in no photo, but a painter's fill is
not one colour any more. Where all that an output pixel sees has one colour, the output follows from that colour alone.
So it is computed once on the plain runtime, from a picture of a few pixels, and put there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from samovar.card import ModelCard
from samovar.networks import Network, PoolingNetwork
from samovar.worker.tiling import for_network

MOST_COLOURS = 16
"""Of a tile; the ones with most pixels. A tile with more than that is not what painters call flat."""


class Flats:
    """plain : the same network on the plain runtime, got when it is needed"""

    def __init__(self, plain: Callable[[], Network], card: ModelCard) -> None:
        self._plain = plain
        self._card = card
        self._answers: dict[tuple[float, ...], Tensor] = {}
        self._means: Sequence[Tensor] | None = None

    def mend(self, seen: Tensor, output: Tensor, means: Sequence[Tensor] | None = None) -> Tensor:
        """An output (1, 3, scale * h, scale * w) with its flat areas exact.

        seen : (1, 3, h + 2 * context, w + 2 * context); means : that the network was given, if it takes such
        """
        context, scale = self._card.receptive_field, self._card.scale
        flat = _is_one_colour(seen, context)  # (h, w)
        if not flat.any():
            return output
        if means is not self._means:
            self._answers, self._means = {}, means
        centre = seen[0, :, context:-context, context:-context]
        pixels = centre[:, flat]
        colours, which, counts = torch.unique(pixels, dim=1, return_inverse=True, return_counts=True)
        number = torch.full(flat.shape, -1)
        number[flat] = which
        output = output.float().clone()
        for index in counts.argsort(descending=True)[:MOST_COLOURS].tolist():
            answer = self._answer(tuple(colours[:, index].tolist()))
            repeats = [side // answer.shape[axis] for axis, side in ((1, output.shape[2]), (2, output.shape[3]))]
            here = (number == index).repeat_interleave(scale, 0).repeat_interleave(scale, 1)
            output[0] = torch.where(here, answer.repeat(1, *repeats), output[0])
        return output

    def _answer(self, colour: tuple[float, ...]) -> Tensor:
        """(3, scale * multiple, scale * multiple), which repeats over the area: tiles begin on the network's grid."""
        if colour not in self._answers:
            side = 2 * self._card.receptive_field + self._card.multiple
            picture = for_network(torch.tensor(colour).view(1, 3, 1, 1).expand(-1, -1, side, side))
            network = self._plain()
            output = network(picture, self._means) if isinstance(network, PoolingNetwork) else network(picture)
            self._answers[colour] = output[0]
        return self._answers[colour]


def _is_one_colour(seen: Tensor, context: int) -> Tensor:
    """Whether all that each pixel sees is of one colour. (1, 3, h + 2 * context, w + 2 * context) -> (h, w)"""
    size = 2 * context + 1
    down = (seen[..., 1:, :] != seen[..., :-1, :]).any(1, keepdim=True).float()
    across = (seen[..., :, 1:] != seen[..., :, :-1]).any(1, keepdim=True).float()
    changes = _largest(down, size - 1, size) + _largest(across, size, size - 1)
    found: Tensor = changes[0, 0] == 0
    return found


def _largest(planes: Tensor, height: int, width: int) -> Tensor:
    rows = functional.max_pool2d(planes, (height, 1), stride=1)
    return functional.max_pool2d(rows, (1, width), stride=1)
