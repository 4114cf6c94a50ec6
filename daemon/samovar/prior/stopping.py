"""When it is good enough: before a fit begins to draw the noise, its pictures change least.

The variance of the pictures over time falls while the picture comes, and rises again with the noise. Its lowest point
is near the best picture. Here in the exponential form, which keeps one mean picture instead of a window of a hundred.

Source: Wang, Li, Zhuang, Chen, Liang and Sun, "Early Stopping for Deep Image Prior", TMLR 2023, section "ES-EMV".
"""

from __future__ import annotations

import torch
from torch import Tensor

SHARE = 0.1
"""Of each new picture in the mean."""
LOOK = 10
"""Pictures between two looks at the numbers: on a graphics card each look waits for all that is under way."""


class EarlyStop:
    """Watches the pictures of one fit. Its numbers stay where the pictures are.

    patience : so many pictures without a new lowest variance, and it is over, at the next look
    after : pictures that are only taken in: what changes little there has not begun
    best : what was shown when the variance was lowest; None before
    """

    def __init__(self, patience: int, after: int) -> None:
        self.best: Tensor | None = None
        self.over = False
        self.patience, self.after = patience, after
        self.mean: Tensor | None = None
        self.seen = 0
        self.numbers = torch.tensor([0.0, torch.inf, 0.0])
        """The variance, the lowest so far, and the pictures since that."""

    def see(self, drawn: Tensor, shown: Tensor) -> None:
        """The next picture, and what is shown of it; the latter is copied where it is the best."""
        self.seen += 1
        if self.mean is None:
            self.mean = drawn.clone()
            self.numbers = self.numbers.to(drawn.device)
            return
        apart = drawn - self.mean
        variance, lowest, since = self.numbers
        variance = (1 - SHARE) * (variance + SHARE * apart.square().mean())
        self.mean.add_(apart, alpha=SHARE)
        if self.seen > self.after:
            better = variance < lowest
            self.best = shown.clone() if self.best is None else torch.where(better, shown, self.best)
            lowest, since = torch.minimum(variance, lowest), torch.where(better, 0.0, since + 1)
        self.numbers = torch.stack([variance, lowest, since])
        self.look()

    def look(self) -> None:
        """See whether it is over, now and then."""
        if self.seen % LOOK == 0:
            self.over = bool(self.numbers[2] >= self.patience)
