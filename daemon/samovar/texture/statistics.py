"""What a texture is: statistics over all positions of what features answer to it, and how far a picture is from them.

A picture is looked at with three channels. Where a texture has an alpha, its colour is premultiplied, and it is looked
at over black and over white: what is right over both is right.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from samovar.patches.grid import Wrap
from samovar.texture.features import Features, Piece

FAINTEST = 0.01
"""Of the mean answer of a layer: what answers less to the sample is not amplified further."""
NOWHERE: Wrap = (False, False)

Known = TypeVar("Known")


def looks(picture: Tensor, alpha: bool) -> list[Tensor]:
    """How a picture is looked at: (1, C, h, w) -> pictures (1, 3, h, w). alpha : its last channel is"""
    if not alpha:
        return [picture.expand(-1, 3, -1, -1)]
    colour, opacity = picture[:, :-1].expand(-1, 3, -1, -1), picture[:, -1:]
    return [colour, colour + (1 - opacity)]


def gram_loss(gram: Tensor, wanted: Tensor) -> Tensor:
    """How far two Gram matrices, (N, N), are apart: a fourth of their mean squared difference.

    Source: Gatys, Ecker, Bethge, "Texture Synthesis Using Convolutional Neural Networks", NeurIPS 2015,
    arXiv:1505.07376, equation 4, for matrices that are means over positions, as in the authors' program.
    """
    return (gram - wanted).square().mean() / 4


class Statistics(ABC, Generic[Known]):
    """Those of a sample, to compare pictures with.

    sample : (1, C, h, w); alpha : its last channel is
    usable : (1, 1, h, w) of 0 and 1, what of it counts
    check : called before each piece of a picture; may raise to stop
    """

    def __init__(
        self, features: Features, sample: Tensor, alpha: bool, usable: Tensor, check: Callable[[], None] = lambda: None
    ) -> None:
        self._features, self._alpha, self.check = features, alpha, check
        self._among: list[list[Tensor]] | None = None
        with torch.no_grad():
            self._shares = self._kept(usable)
            self._wanted = [self._learnt(each) for each in looks(sample, alpha)]

    def loss(self, picture: Tensor, wrap: Wrap) -> Tensor:
        """How far a picture, (1, C, h, w), is from the sample; gradients go back to it."""
        found = 0 * picture.sum()  # of one that is smaller than all filters nothing else is known
        for index, look in enumerate(looks(picture, self._alpha)):
            found = found + self._distance(look, wrap, index)
        return found

    def look_at(self, fixed: Tensor, wrap: Wrap) -> None:
        """Of pictures compare only what sees more than fixed pixels, (1, 1, h, w) of 0 and 1, in Gram matrices. Else a
        small part that may change would make up for whatever the rest is lacking."""
        pieces = self._features.split(fixed, wrap)
        self._among = [[1 - share for share in self._features.shares(each)] for each in pieces]

    def renew(self, generator: torch.Generator) -> None:
        """Draw anew what is drawn. Most draw nothing."""
        return

    @abstractmethod
    def _learnt(self, look: Tensor) -> Known:
        """What is to be known of a look at the sample."""

    @abstractmethod
    def _distance(self, look: Tensor, wrap: Wrap, index: int) -> Tensor:
        """How far a look at a picture is from that at the sample."""

    def _kept(self, usable: Tensor) -> list[list[Tensor]]:
        """Shares of positions, by piece of the sample and layer. All, where nothing sees usable pixels alone."""
        found = [self._features.shares(each) for each in self._features.split(usable, NOWHERE)]
        layers = [each.layers for each in self._features.split(usable, NOWHERE)]
        sums = [0.0] * self._features.count
        for shares, of in zip(found, layers, strict=True):
            for share, layer in zip(shares, of, strict=True):
                sums[layer] += float(share.sum())
        return [
            [share if sums[layer] else torch.ones_like(share) for share, layer in zip(shares, of, strict=True)]
            for shares, of in zip(found, layers, strict=True)
        ]

    def _mean(
        self,
        look: Tensor,
        wrap: Wrap,
        part: Callable[[Tensor, int], Tensor],
        shares: list[list[Tensor]] | None = None,
    ) -> list[Tensor | None]:
        """For each layer, the mean over positions of what `part` makes of answers; None where it has none.

        part : answers (N, positions), layer -> sum over positions
        shares : of positions, by piece and layer; None: all count
        """
        sums: list[Tensor | None] = [None] * self._features.count
        positions = [0.0] * self._features.count
        pieces = list(self._features.split(look, wrap))
        several = torch.is_grad_enabled() and len(pieces) > self._features.count
        for number, piece in enumerate(pieces):
            counts = [0.0] * len(piece.layers)

            def summed(
                seen: Tensor, piece: Piece = piece, number: int = number, counts: list[float] = counts
            ) -> list[Tensor]:
                self.check()
                found = []
                for place, answers in enumerate(self._features.answers(Piece(seen, piece.layers, piece.core))):
                    counts[place] = answers.shape[1]
                    if shares is not None:
                        share = shares[number][place]
                        answers, counts[place] = answers * share, float(share.sum())
                    found.append(part(answers, piece.layers[place]))
                return found

            # what a piece answers is found again on the way back, so that only one piece's answers are held
            found = checkpoint(summed, piece.seen, use_reentrant=False) if several else summed(piece.seen)
            for total, count, layer in zip(found, counts, piece.layers, strict=True):
                before = sums[layer]
                sums[layer] = total if before is None else before + total
                positions[layer] += count
        return [None if each is None else each / max(count, 1) for each, count in zip(sums, positions, strict=True)]


@dataclass(frozen=True)
class _Answers:
    """By layer; None where it has none. scales : (N,), that bring each filter's mean to 1; grams : (N, N)"""

    scales: list[Tensor | None]
    grams: list[Tensor | None]


class Gram(Statistics[_Answers]):
    """For each layer, the mean over positions of the products of any two of its answers.

    Each filter's answer is scaled so that its mean over the sample is 1.
    """

    def _learnt(self, look: Tensor) -> _Answers:
        means = self._mean(look, NOWHERE, lambda answers, _: answers.sum(1), self._shares)
        scales = [None if each is None else _scale(each) for each in means]

        def products(answers: Tensor, layer: int) -> Tensor:
            return _scaled_products(answers, scales[layer])

        return _Answers(scales, self._mean(look, NOWHERE, products, self._shares))

    def _distance(self, look: Tensor, wrap: Wrap, index: int) -> Tensor:
        wanted = self._wanted[index]
        found = look.new_zeros(())

        def products(answers: Tensor, layer: int) -> Tensor:
            return _scaled_products(answers, wanted.scales[layer])

        for gram, its in zip(self._mean(look, wrap, products, self._among), wanted.grams, strict=True):
            if gram is not None and its is not None:
                found = found + gram_loss(gram, its)
        return found


def _scale(means: Tensor) -> Tensor:
    size = means.abs()
    return 1 / size.clamp(min=float(size.mean()) * FAINTEST + 1e-12)


def _scaled_products(answers: Tensor, scale: Tensor | None) -> Tensor:
    products = answers @ answers.T
    return products if scale is None else products * scale.unsqueeze(0) * scale.unsqueeze(1)


class Sliced(Statistics[Tensor]):
    """For each layer, how answers are spread along many directions, whatever their place: nothing but the order of the
    positions is left out, where a Gram matrix keeps means of products alone. By piece, each compared with all of the
    sample.

    Source: Heitz, Vanhoey, Chambon, Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis", CVPR 2021,
    sections 3 and 4: as many directions as a layer has answers, drawn anew now and then.
    """

    def renew(self, generator: torch.Generator) -> None:
        self._generator = generator
        self._directions: dict[int, Tensor] = {}
        self._spreads: dict[tuple[int, int], Tensor] = {}
        self._learned: set[int] = set()

    def _learnt(self, look: Tensor) -> Tensor:
        return look

    def _distance(self, look: Tensor, wrap: Wrap, index: int) -> Tensor:
        def apart(answers: Tensor, layer: int) -> Tensor:
            spread = self._spread(index, layer)
            if spread is None:
                return 0 * answers.sum()
            along = self._along(layer, answers).sort(1).values
            wanted = _resampled(spread, along.shape[1])
            return (along - wanted).square().sum() / len(along)

        found = look.new_zeros(())
        for each in self._mean(look, wrap, apart):
            if each is not None:
                found = found + each
        return found

    def _along(self, layer: int, answers: Tensor) -> Tensor:
        if layer not in self._directions:
            drawn = torch.randn(len(answers), len(answers), generator=self._generator)
            self._directions[layer] = (drawn / drawn.square().sum(1, keepdim=True).sqrt()).to(answers)
        return self._directions[layer] @ answers

    def _spread(self, index: int, layer: int) -> Tensor | None:
        """Answers to the sample along each direction, sorted, (directions, positions); None where it has none."""
        if index not in self._learned:
            self._learned.add(index)
            with torch.no_grad():
                self._learn_spreads(index)
        return self._spreads.get((index, layer))

    def _learn_spreads(self, index: int) -> None:
        parts: dict[int, list[Tensor]] = {}
        sample = self._wanted[index]
        for piece, shares in zip(self._features.split(sample, NOWHERE), self._shares, strict=True):
            for answers, layer, share in zip(self._features.answers(piece), piece.layers, shares, strict=True):
                parts.setdefault(layer, []).append(self._along(layer, answers[:, share > 0]))
        for layer, each in parts.items():
            self._spreads[index, layer] = torch.cat(each, 1).sort(1).values


def _resampled(ordered: Tensor, count: int) -> Tensor:
    """As many values as wanted, between those that there are. (N, m) -> (N, count)"""
    if ordered.shape[1] == count:
        return ordered
    found: Tensor = torch.nn.functional.interpolate(ordered.unsqueeze(0), count, mode="linear")[0]
    return found
