"""DCGAN as the first users of drawn faces knew it, and what grew out of it: pictures out of 100 numbers.

Source: the third seed of this project, which used carpedm20's DCGAN-tensorflow (model.py, ops.py): a linear layer, four
transposed convolutions of stride 2 and 512, 256, 128, 64 features, normalised over the batch, ReLU between them, tanh
at the end; z uniform from -1 to 1. Sides are halved upwards, as there. Radford, Metz, Chintala, arXiv:1511.06434.

Other than there, if it is asked for: fewer features; a label for the style beside the numbers, which the critic judges
by a projection (Miyato, Koyama, arXiv:1802.05637); and a pixel shuffle at the end, so that nothing is computed at full
size (Shi et al., arXiv:1609.05158).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import GeneratorNetwork

WIDTH = 64
"""Features at half the side; twice as many at each half of that."""
SIDE = 64
EPSILON = 1e-5
KERNEL = 5
_DEPTH = 4


def sides(side: int) -> list[int]:
    """Of the maps from the picture down to the first one."""
    found = [side]
    for _ in range(_DEPTH):
        found.append(-(-found[-1] // 2))
    return found


def features(width: int) -> tuple[int, ...]:
    """Of the maps from the first one up."""
    return tuple(width << index for index in reversed(range(_DEPTH)))


class DCGAN(GeneratorNetwork):
    """shuffle : of the side, how many pixels come out of one at the end; side : a multiple of it"""

    latent = 100

    def __init__(self, side: int = SIDE, styles: Sequence[str] = ("",), width: int = WIDTH, shuffle: int = 1) -> None:
        super().__init__()
        self.side, self.styles, self._shuffle = side, tuple(styles), shuffle
        self._sides = sides(side // shuffle)[::-1]
        self._labels = len(self.styles) if len(self.styles) > 1 else 0
        maps = features(width)
        self.first = nn.Linear(self.latent + self._labels, maps[0] * self._sides[0] ** 2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, KERNEL, stride=2, padding=2)
            for before, after in zip(maps, (*maps[1:], 3 * shuffle**2), strict=True)
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(each, EPSILON) for each in maps)

    def forward(self, places: Tensor) -> Tensor:
        """(N, latent + styles, if there are several), -1..1 -> (N, 3, side, side), -1..1"""
        x: Tensor = self.first(places).unflatten(1, (-1, self._sides[0], self._sides[0]))
        for norm, up, side in zip(self.norm, self.up, self._sides[1:], strict=True):
            x = up(functional.relu(norm(x)), output_size=(side, side))
        return functional.pixel_shuffle(x, self._shuffle).tanh()

    def drawn(self, chance: torch.Generator) -> Tensor:
        return 2 * torch.rand(1, self.latent, generator=chance) - 1

    def between(self, one: Tensor, other: Tensor, share: float) -> Tensor:
        """As far from 0 as both are by chance."""
        mixed: Tensor = torch.lerp(one, other, share) / math.hypot(share, 1 - share)
        return mixed.clamp(-1, 1)

    def placed(self, z: Tensor, style: int, truncation: float) -> Tensor:
        return self.labelled(truncation * z, torch.tensor([style]))

    def labelled(self, z: Tensor, styles: Tensor) -> Tensor:
        """(N, latent) and (N,) whole numbers -> (N, W)"""
        if not self._labels:
            return z
        return torch.cat((z, functional.one_hot(styles.to(z.device), self._labels).to(z)), 1)

    def pictures(self, places: Tensor) -> Tensor:
        made: Tensor = self(places)
        return (made + 1) / 2


class Critic(nn.Module):
    """Tells pictures from made ones, and whether the style fits; it is only there while the other is trained."""

    def __init__(self, side: int = SIDE, styles: Sequence[str] = ("",), width: int = WIDTH, shuffle: int = 1) -> None:
        super().__init__()
        self._shuffle = shuffle
        widths = (3 * shuffle**2, *features(width)[::-1])
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, KERNEL, stride=2) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(each, EPSILON) for each in widths[2:])
        self.last = nn.Linear(widths[-1] * sides(side // shuffle)[-1] ** 2, 1)
        self.label = nn.Parameter(torch.randn(len(styles), widths[-1])) if len(styles) > 1 else None

    def forward(self, x: Tensor, styles: Tensor) -> Tensor:
        """(N, 3, side, side), -1..1, and (N,) whole numbers -> (N, 1)"""
        x = functional.pixel_unshuffle(x, self._shuffle)
        for index, down in enumerate(self.down):
            x = down(_same(x))
            x = functional.leaky_relu(self.norm[index - 1](x) if index else x, 0.2)
        y: Tensor = self.last(x.flatten(1))
        if self.label is not None:
            fits = (x.float().mean((2, 3)) * self.label[styles]).sum(1, keepdim=True)
            y = y.float() + fits / math.sqrt(self.label.shape[1])
        return y


def _same(x: Tensor) -> Tensor:
    """With as many zeros around that a 5x5 kernel of stride 2 comes to half the side, upwards; more at the end."""
    lacking = [(-(-length // 2) - 1) * 2 + KERNEL - length for length in (x.shape[3], x.shape[2])]
    return functional.pad(x, [part for each in lacking for part in (each // 2, each - each // 2)])


def build(side: int = SIDE, styles: Sequence[str] = ("",), width: int = WIDTH, shuffle: int = 1) -> DCGAN:
    return DCGAN(side, styles, width, shuffle)
