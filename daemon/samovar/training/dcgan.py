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
from samovar.training.adversary import Adversary
from samovar.training.loop import Turn
from samovar.training.pictures import Photo

DEVIATION = 0.02


class DCGAN(Adversary):
    architecture = "dcgan"
    averaged = False
    clip = math.inf
    betas = (0.5, 0.999)

    def __init__(self, photos: Sequence[Photo], side: int, seed: int) -> None:
        super().__init__(photos, side, seed)
        self.styles = ("",)
        self.options = {"side": side}
        torch.manual_seed(seed)
        self.network = dcgan.build(side)
        self.critic = dcgan.Critic(side)
        for network in (self.network, self.critic):
            begin(network)

    @property
    def turns(self) -> Sequence[Turn]:
        first, then = super().turns  # twice from the same numbers
        return first, then, then

    def critic_loss(self, step: int, batch: int) -> Tensor:
        true, _ = self.true(step, batch)
        z, _ = self.numbers(step, batch, 0)
        with torch.no_grad():
            made = self.network(z)
        on_true, on_made = self.critic(true), self.critic(made)
        return functional.softplus(-on_true).mean() + functional.softplus(on_made).mean()

    def loss(self, step: int, batch: int) -> Tensor:
        z, _ = self.numbers(step, batch, 0)
        return functional.softplus(-self.critic(self.network(z))).mean()


@torch.no_grad()
def begin(network: nn.Module) -> None:
    layers: tuple[Any, ...] = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    for each in network.modules():
        if isinstance(each, layers):
            nn.init.trunc_normal_(each.weight, std=DEVIATION, a=-2 * DEVIATION, b=2 * DEVIATION)
            nn.init.zeros_(each.bias)
