"""DCGAN as the first users of drawn faces knew it: transposed 5x5 convolutions that make a picture of 100 numbers.

Source: the third seed of this project, which used carpedm20's DCGAN-tensorflow (model.py, ops.py): a linear layer, four
transposed convolutions of stride 2 and 512, 256, 128, 64 features, normalised over the batch, ReLU between them, tanh
at the end; z uniform from -1 to 1. Sides are halved upwards, as there. Radford, Metz, Chintala, arXiv:1511.06434.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import GeneratorNetwork

FEATURES = (512, 256, 128, 64)
SIDE = 64
EPSILON = 1e-5
KERNEL = 5


def sides(side: int) -> list[int]:
    """Of the maps from the picture down to the first one."""
    found = [side]
    for _ in FEATURES:
        found.append(-(-found[-1] // 2))
    return found


class DCGAN(GeneratorNetwork):
    latent = 100

    def __init__(self, side: int = SIDE) -> None:
        super().__init__()
        self.side = side
        self._sides = sides(side)[::-1]
        self.first = nn.Linear(self.latent, FEATURES[0] * self._sides[0] ** 2)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(before, after, KERNEL, stride=2, padding=2)
            for before, after in zip(FEATURES, (*FEATURES[1:], 3), strict=True)
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(each, EPSILON) for each in FEATURES)

    def forward(self, z: Tensor) -> Tensor:
        """(N, latent), -1..1 -> (N, 3, side, side), -1..1"""
        x: Tensor = self.first(z).unflatten(1, (FEATURES[0], self._sides[0], self._sides[0]))
        for norm, up, side in zip(self.norm, self.up, self._sides[1:], strict=True):
            x = up(functional.relu(norm(x)), output_size=(side, side))
        return x.tanh()

    def drawn(self, chance: torch.Generator) -> Tensor:
        return 2 * torch.rand(1, self.latent, generator=chance) - 1

    def between(self, one: Tensor, other: Tensor, share: float) -> Tensor:
        return torch.lerp(one, other, share)

    def placed(self, z: Tensor, style: int, truncation: float) -> Tensor:
        return truncation * z

    def pictures(self, places: Tensor) -> Tensor:
        made: Tensor = self(places)
        return (made + 1) / 2


class Critic(nn.Module):
    """Tells pictures from made ones; it is only there while the other is trained."""

    def __init__(self, side: int = SIDE) -> None:
        super().__init__()
        widths = (3, *FEATURES[::-1])
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, KERNEL, stride=2) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.norm = nn.ModuleList(nn.BatchNorm2d(each, EPSILON) for each in widths[2:])
        self.last = nn.Linear(FEATURES[0] * sides(side)[-1] ** 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, side, side), -1..1 -> (N, 1)"""
        for index, down in enumerate(self.down):
            x = down(_same(x))
            x = functional.leaky_relu(self.norm[index - 1](x) if index else x, 0.2)
        y: Tensor = self.last(x.flatten(1))
        return y


def _same(x: Tensor) -> Tensor:
    """With as many zeros around that a 5x5 kernel of stride 2 comes to half the side, upwards; more at the end."""
    lacking = [(-(-length // 2) - 1) * 2 + KERNEL - length for length in (x.shape[3], x.shape[2])]
    return functional.pad(x, [part for each in lacking for part in (each // 2, each - each // 2)])


def build(side: int = SIDE) -> DCGAN:
    return DCGAN(side)
