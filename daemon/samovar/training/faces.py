"""Training of the small generator of drawn faces.

Source: non-saturating logistic loss (Goodfellow et al., arXiv:1406.2661) with a penalty on the critic's slope at true
pictures (Mescheder, Geiger, Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018,
arXiv:1801.04406, R1), every sixteenth step as in arXiv:1912.04958, its weight by size and batch as in arXiv:2006.06676,
appendix C; pictures varied as in `augment`; a mean of the weights as of all trainings here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from samovar.networks import style_generator
from samovar.training import pictures
from samovar.training.adversary import Adversary
from samovar.training.augment import varied
from samovar.training.critic import Critic
from samovar.training.pictures import Photo

SLOPE_EVERY = 16
SLOPE = 2e-4
"""Of the penalty's weight, times the pixels of a picture, over the batch."""
MIDDLE = 4096
"""Places whose mean is the middle of a style."""


class Faces(Adversary):
    architecture = "style_generator"
    clip = math.inf
    betas = (0.0, 0.99)

    def __init__(self, photos: Sequence[Photo], seed: int) -> None:
        super().__init__(photos, style_generator.SIDE, seed)
        self.options = {"styles": self.styles}
        torch.manual_seed(seed)
        self.network = style_generator.build(self.styles)
        self.critic = Critic(len(self.styles))

    def critic_loss(self, step: int, batch: int) -> Tensor:
        true, styles = self.true(step, batch)
        z, wanted = self.numbers(step, batch, 0)
        with torch.no_grad():
            made = self._generator(self._generator.mapped(z, wanted))
        chance = pictures.generator(self._seed, step, 2)
        slopes = step % SLOPE_EVERY == 0
        true = true.requires_grad_(slopes)
        verdict = self.critic(varied(torch.cat((true, made)), chance), torch.cat((styles, wanted)))
        on_true, on_made = verdict.split(batch)
        loss = functional.softplus(-on_true).mean() + functional.softplus(on_made).mean()
        if slopes:
            (slope,) = torch.autograd.grad(on_true.sum(), true, create_graph=True)
            weight = SLOPE * self.side * self.side / batch
            loss = loss + SLOPE_EVERY * weight / 2 * slope.square().sum((1, 2, 3)).mean()
        return loss

    def loss(self, step: int, batch: int) -> Tensor:
        z, wanted = self.numbers(step, batch, 1)
        made = self._generator(self._generator.mapped(z, wanted))
        return functional.softplus(-self.critic(varied(made, pictures.generator(self._seed, step, 3)), wanted)).mean()

    @property
    def _generator(self) -> style_generator.StyleGenerator:
        assert isinstance(self.network, style_generator.StyleGenerator)
        return self.network

    @torch.no_grad()
    def ready(self, network: Any) -> None:
        chance = pictures.generator(self._seed, 4)
        z = torch.cat([network.drawn(chance) for _ in range(MIDDLE)]).to(self.device)
        for style in range(len(self.styles)):
            network.middle[style] = network.mapped(z, torch.full((MIDDLE,), style, device=self.device)).mean(0)
