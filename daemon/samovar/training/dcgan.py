"""Training of DCGAN as in its seed: two updates of the generator for each one of its critic.

Source: carpedm20, DCGAN-tensorflow (main.py, model.py): sigmoid cross-entropy, Adam of 2e-4 and beta1 0.5, weights
normal of 0.02 around 0. It knows no styles, whatever folders pictures lie in; its weights are the last ones, no mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import dcgan
from samovar.training import pictures
from samovar.training.adversary import Adversary
from samovar.training.loop import Turn
from samovar.training.pictures import Photo

DEVIATION = 0.02


class DCGAN(Adversary):
    architecture = "dcgan"
    averaged = False
    clip = math.inf
    betas = (0.5, 0.999)
    network: dcgan.DCGAN

    def __init__(self, photos: Sequence[Photo], side: int, seed: int) -> None:
        super().__init__(photos, side, seed)
        self.styles = ("",)
        self._build({"side": side})

    def _build(self, options: dict[str, Any]) -> None:
        self.options = options
        torch.manual_seed(self._seed)
        self.network = dcgan.build(**options)
        self.critic = dcgan.Critic(**options)
        for network in (self.network, self.critic):
            begin(network)

    @property
    def turns(self) -> Sequence[Turn]:
        first, then = super().turns  # twice from the same numbers
        return first, then, then

    def critic_loss(self, step: int, batch: int) -> Tensor:
        true, styles = self.true(step, batch)
        with torch.no_grad():
            made, wanted = self._made_of(step, batch)
        chance = pictures.generator(self._seed, step, 2)
        on_true, on_made = (self.critic(self.seen(x, chance), y) for x, y in ((true, styles), (made, wanted)))
        return functional.softplus(-on_true).mean() + functional.softplus(on_made).mean()

    def loss(self, step: int, batch: int) -> Tensor:
        made, wanted = self._made_of(step, batch)
        seen = self.seen(made, pictures.generator(self._seed, step, 3))
        return functional.softplus(-self.critic(seen, wanted)).mean()

    def seen(self, x: Tensor, chance: torch.Generator) -> Tensor:
        """What the critic sees of pictures."""
        return x

    def _made_of(self, step: int, batch: int) -> tuple[Tensor, Tensor]:
        """Pictures, and the styles that they should have."""
        z, wanted = self.numbers(step, batch, 0)
        made: Tensor = self.network(self.network.labelled(z, wanted))
        return made, wanted


@torch.no_grad()
def begin(network: nn.Module) -> None:
    layers: tuple[Any, ...] = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    for each in network.modules():
        if isinstance(each, layers):
            nn.init.trunc_normal_(each.weight, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
            nn.init.zeros_(each.bias)
