"""What filters answer to a picture, piece by piece, so that a large picture needs no more memory than a piece.

A piece is seen with as much of the picture around it as its filters look around themselves, across an axis that wraps
from the other side. So pieces together answer as the whole does.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from samovar.patches.grid import Wrap

SIZE, COUNT, LEVELS = 7, 64, 3
"""Of random filters: pixels of a side, how many at each size of the picture, at how many sizes, each half the last."""
PIECE_PIXELS = 1 << 17
"""Of a picture; what 64 filters answer to it takes 32 MiB, and as much again on the way back."""
NEARLY = 0.999
"""Of a cell, from where on all of it counts."""

Answer = Callable[[Tensor], Sequence[Tensor]]
"""Of a network: (1, 3, h, w) -> (1, C, h / step, w / step) for each layer."""


@dataclass(frozen=True)
class Piece:
    """Part of a picture with what is around it.

    seen : (1, C, h, w)
    layers : which of the features' layers answer to it
    core : rows and columns of `seen` that are the piece's own; what lies around them belongs to others
    """

    seen: Tensor
    layers: tuple[int, ...]
    core: tuple[slice, slice]


class Features(ABC):
    """count : of layers"""

    count: int

    @abstractmethod
    def split(self, picture: Tensor, wrap: Wrap) -> Iterator[Piece]:
        """A picture, (1, C, h, w), in pieces; gradients go back to it."""

    @abstractmethod
    def answers(self, piece: Piece) -> list[Tensor]:
        """What each of the piece's layers answers, (channels, positions), for a picture of three channels, 0..1."""

    @abstractmethod
    def shares(self, piece: Piece) -> list[Tensor]:
        """Which positions of each layer see nothing hidden, (positions,) of 0 and 1. The picture says what may be seen:
        (1, 1, h, w) of 0 and 1"""


class RandomFilters(Features):
    """Filters drawn by chance and cut off at 0, at several sizes of the picture.

    Where the picture ends, only what has all of a filter's pixels answers.

    Source: Ustyuzhaninov, Brendel, Gatys, Bethge, "What does it take to generate natural textures?", ICLR 2017. Other
    than there: filters of one size over a pyramid of the picture instead of some of up to 55 pixels, each without a
    mean and of length 1, and what answers together is compared at each size by itself.
    """

    def __init__(
        self, seed: int = 0, size: int = SIZE, count: int = COUNT, levels: int = LEVELS, device: str = "cpu"
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.count = levels
        self._side = size
        self._banks = []
        for _ in range(levels):
            filters = torch.rand(count, 3, size, size, generator=generator) - 0.5
            filters -= filters.mean((1, 2, 3), keepdim=True)
            filters /= filters.square().sum((1, 2, 3), keepdim=True).sqrt()
            self._banks.append(_Bank(filters.to(device)))

    def split(self, picture: Tensor, wrap: Wrap) -> Iterator[Piece]:
        everything = slice(None), slice(None)
        for level in range(self.count):
            picture = halved(picture, wrap) if level else picture
            padded = continued(picture, self._side // 2, wrap)
            height, width = (each - self._side + 1 for each in padded.shape[-2:])
            if min(height, width) < 1:
                return
            rows = max(1, PIECE_PIXELS // width)
            for start in range(0, height, rows):
                seen = padded[:, :, start : min(height, start + rows) + self._side - 1]
                yield Piece(seen, (level,), everything)

    def answers(self, piece: Piece) -> list[Tensor]:
        return [functional.relu(self._banks[piece.layers[0]](piece.seen))[0].flatten(1)]

    def shares(self, piece: Piece) -> list[Tensor]:
        return [1 - functional.max_pool2d(1 - piece.seen, self._side, stride=1).flatten()]


class NetworkFeatures(Features):
    """What layers of a network answer, which goes on with zeros where the picture ends.

    steps : pixels from one position to the next, by layer
    around : pixels that any layer looks around itself; side : of a piece. Multiples of each step
    """

    def __init__(self, answer: Answer, steps: Sequence[int], around: int, side: int = 512) -> None:
        self._answer, self._steps, self._around, self._side = answer, tuple(steps), around, side
        self.count = len(self._steps)

    def split(self, picture: Tensor, wrap: Wrap) -> Iterator[Piece]:
        layers = tuple(range(self.count))
        height, width = picture.shape[-2:]
        for rows, core_rows in self._spans(height, wrap[0], picture.device):
            band = picture if rows is None else picture[:, :, rows]
            for columns, core_columns in self._spans(width, wrap[1], picture.device):
                seen = band if columns is None else band[..., columns]
                yield Piece(seen, layers, (core_rows, core_columns))

    def _spans(self, size: int, wraps: bool, device: torch.device) -> Iterator[tuple[Tensor | None, slice]]:
        """Where each piece looks along an axis, None for all of it as it is, and which part of that is its own."""
        if size <= self._side and not wraps:
            yield None, slice(0, size)
            return
        for start in range(0, size, self._side):
            stop = min(size, start + self._side)
            first, end = start - self._around, stop + self._around
            if not wraps:
                first, end = max(0, first), min(size, end)
            yield torch.arange(first, end, device=device) % size, slice(start - first, stop - first)

    def answers(self, piece: Piece) -> list[Tensor]:
        return [
            self._own(answer, piece, step)[0].flatten(1)
            for answer, step in zip(self._answer(piece.seen), self._steps, strict=True)
        ]

    def shares(self, piece: Piece) -> list[Tensor]:
        found = []
        for step in self._steps:
            height, width = (max(1, each // step) for each in piece.seen.shape[-2:])
            cells = self._own(functional.adaptive_avg_pool2d(piece.seen, (height, width)), piece, step)
            found.append((cells.flatten() >= NEARLY).float())
        return found

    @staticmethod
    def _own(answer: Tensor, piece: Piece, step: int) -> Tensor:
        rows, columns = (
            slice(each.start // step, max(each.stop // step, each.start // step + 1)) for each in piece.core
        )
        return answer[:, :, rows, columns]


def halved(picture: Tensor, wrap: Wrap = (False, False)) -> Tensor:
    """Half as large, (1, C, h, w), by weights 1, 3, 3, 1; an odd side is rounded up, and the last pixel goes on.

    Not by means of two: what gradients then do at a coarse size shows at the full one as squares.
    """
    height, width = picture.shape[-2:]
    picture = continued(picture, 1, wrap)
    beyond = [
        0 if wrap[1] else 1,
        (0 if wrap[1] else 1) + width % 2,
        0 if wrap[0] else 1,
        (0 if wrap[0] else 1) + height % 2,
    ]
    picture = functional.pad(picture, beyond, mode="replicate")
    for stride in (1, 1, 2):
        picture = functional.avg_pool2d(picture, 2, stride=stride)
    return picture


def continued(picture: Tensor, margin: int, wrap: Wrap) -> Tensor:
    """With `margin` more from the other side, along axes that wrap."""
    for axis, wraps in ((2, wrap[0]), (3, wrap[1])):
        if wraps:
            size = picture.shape[axis]
            index = torch.arange(-margin, size + margin, device=picture.device) % size
            picture = picture.index_select(axis, index)
    return picture


class _Bank:
    """Filters (N, 3, k, k), applied where they have all of their pixels: (1, 3, h, w) -> (1, N, h - k + 1, w - k + 1)

    Back to three channels, a convolution leaves most of a processor's lanes idle. So two by two pixels are found at
    once, as channels, by filters that are a pixel larger: half the time on AVX2 and AVX-512.
    """

    def __init__(self, filters: Tensor) -> None:
        self._forth = filters.contiguous(memory_format=torch.channels_last)
        count, channels, side, _ = filters.shape
        back = filters.new_zeros(channels, 2, 2, count, side + 1, side + 1)
        turned = filters.flip(2, 3).transpose(0, 1)
        for row in range(2):
            for column in range(2):
                back[:, row, column, :, row : row + side, column : column + side] = turned
        back = back.reshape(channels * 4, count, side + 1, side + 1)
        self._back = back.contiguous(memory_format=torch.channels_last)

    def __call__(self, picture: Tensor) -> Tensor:
        found: Tensor = _Filtered.apply(picture, self._forth, self._back)  # type: ignore[no-untyped-call]
        return found


class _Filtered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, picture: Tensor, forth: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return functional.conv2d(picture.contiguous(memory_format=torch.channels_last), forth)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors  # type: ignore[attr-defined]
        margin = back.shape[-1] - 2
        height, width = (each + margin for each in gradient.shape[-2:])
        gradient = functional.pad(gradient, (margin, margin + width % 2, margin, margin + height % 2))
        found = functional.conv2d(gradient.contiguous(memory_format=torch.channels_last), back, stride=2)
        return functional.pixel_shuffle(found, 2)[:, :, :height, :width], None, None
