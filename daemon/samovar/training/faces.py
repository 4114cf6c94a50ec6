"""Training of the small generator of drawn faces.

Source: Liu et al., arXiv:2101.04775: hinge loss (Lim, Ye, arXiv:1705.02894), Adam of 2e-4 and 0.5, mean of the weights,
pictures varied as in `augment`. Margins are drawn by chance there; here they are 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from samovar.networks import fastgan
from samovar.training import pictures
from samovar.training.adversary import Adversary
from samovar.training.augment import varied
from samovar.training.critic import Critic
from samovar.training.pictures import Photo


class Faces(Adversary):
    architecture = "fastgan"
    clip = math.inf
    betas = (0.5, 0.999)

    def __init__(self, photos: Sequence[Photo], seed: int) -> None:
        super().__init__(photos, fastgan.SIDE, seed)
        self.options = {"styles": self.styles}
        torch.manual_seed(seed)
        self.network = fastgan.build(self.styles)
        self.critic = Critic(len(self.styles))

    def critic_loss(self, step: int, batch: int) -> Tensor:
        true, styles = self.true(step, batch)
        chance = pictures.generator(self._seed, step, 2)
        with torch.no_grad():
            made, wanted = self._made_of(step, batch, 0)
        on_true, on_made = (
            self.critic(varied(images, chance), each) for images, each in ((true, styles), (made, wanted))
        )
        return functional.relu(1 - on_true).mean() + functional.relu(1 + on_made).mean()

    def loss(self, step: int, batch: int) -> Tensor:
        made, wanted = self._made_of(step, batch, 1)
        verdict: Tensor = self.critic(varied(made, pictures.generator(self._seed, step, 3)), wanted)
        return -verdict.mean()

    def _made_of(self, step: int, batch: int, turn: int) -> tuple[Tensor, Tensor]:
        """Pictures, and the styles that they should have."""
        z, wanted = self.numbers(step, batch, turn)
        share = functional.one_hot(wanted, len(self.styles)).to(z)
        made: Tensor = self.network(torch.cat((z, share), 1))
        return made, wanted
