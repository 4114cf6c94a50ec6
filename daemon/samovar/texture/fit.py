"""A picture drawn towards the statistics of a sample, step by step, each pixel within bounds of its own.

By L-BFGS, which takes a fraction of the steps of others but remembers its last ones; where that is too much for the
memory it is let, by Adam.

Source: Byrd, Lu, Nocedal, Zhu, "A Limited Memory Algorithm for Bound Constrained Optimization", SIAM J. Sci. Comput. 16
(1995), as scipy has it; Kingma and Ba, "Adam", ICLR 2015, each step cut to the bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import Bounds, minimize
from torch import Tensor

CORRECTIONS, LEAST_CORRECTIONS = 20, 4
"""Steps that L-BFGS remembers: as published, and so few that Adam is no worse."""
MEMORY_BYTES = 512 << 20
"""For what L-BFGS remembers."""
LEARNING_RATE = 0.02
"""Of Adam, in units of the picture's range."""
FIRST_STEP = 0.02
"""Of L-BFGS, in units of the picture's range, on the average: it begins by as much as the loss is steep."""
LEAST = 1e-20
SETTLED_STEPS, SETTLED = 12, 0.05
"""It is over when so many steps gain less than this share."""
LBFGS, ADAM = "L-BFGS", "Adam"


class Over(Exception):
    """It was said to be enough, or nothing is gained any more."""


@dataclass(frozen=True)
class Bounded:
    """What is looked for: the picture that it begins with, and the least and the most of each of its values."""

    start: Tensor
    low: Tensor
    high: Tensor


class Fit:
    """loss : picture -> how far it is from the sample
    watch : called after each evaluation; returns true to stop, may raise
    patient : it does not end because little is gained

    picture : the best so far; count : of evaluations; losses : of the best, after each, where that of the start is 1
    """

    def __init__(
        self, problem: Bounded, loss: Callable[[Tensor], Tensor], watch: Callable[[Fit], bool], method: str = "",
        patient: bool = False,
    ) -> None:  # fmt: skip
        self.picture = problem.start
        self.count = 0
        self.losses: list[float] = []
        self.method = method or (LBFGS if corrections(problem.start.numel()) >= LEAST_CORRECTIONS else ADAM)
        self._problem, self._loss, self._watch = problem, loss, watch
        self._unit = self._scale = 1.0
        self._patient = patient

    def run(self, iterations: int) -> bool:
        """At most so many steps; whether it ended by itself before, because nothing is gained any more.

        Raises Over if it was said to be enough.
        """
        first, gradient = self._differentiated(self._problem.start)
        self._unit = max(first, LEAST)
        self._scale = FIRST_STEP / max(float(gradient.square().mean().sqrt()), LEAST)
        return self._by_lbfgs(iterations) if self.method == LBFGS else self._by_adam(iterations)

    def _by_lbfgs(self, iterations: int) -> bool:
        start, low, high = self._problem.start, self._problem.low, self._problem.high
        steps = 0

        def evaluate(values: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            picture = torch.from_numpy(values.astype(np.float32)).to(start.device).view(start.shape)
            loss, gradient = self._evaluated(picture)
            return loss * self._scale, gradient.flatten().cpu().double().numpy() * self._scale

        def stepped(_: object) -> None:
            nonlocal steps
            steps += 1
            if self._has_settled:
                raise StopIteration

        minimize(
            evaluate, _flat(start), jac=True, method="L-BFGS-B", bounds=Bounds(_flat(low), _flat(high)),
            callback=stepped,
            options={
                "maxiter": iterations, "maxfun": 4 * iterations, "maxcor": corrections(start.numel()), "ftol": 0,
                "gtol": 0,
            },
        )  # fmt: skip
        return steps < iterations

    def _by_adam(self, iterations: int) -> bool:
        low, high = self._problem.low, self._problem.high
        picture = self._problem.start.clone()
        average, square = torch.zeros_like(picture), torch.zeros_like(picture)
        for step in range(1, iterations + 1):
            _, gradient = self._evaluated(picture)
            average.lerp_(gradient, 0.1)
            square.lerp_(gradient.square(), 0.001)
            change = square.div(1 - 0.999**step).sqrt_().add_(1e-12)
            picture.addcdiv_(average, change, value=-LEARNING_RATE / (1 - 0.9**step))
            torch.minimum(torch.maximum(picture, low, out=picture), high, out=picture)
            if self._has_settled:
                return True
        return False

    def _evaluated(self, picture: Tensor) -> tuple[float, Tensor]:
        value, gradient = self._differentiated(picture)
        if not self.losses or value / self._unit < self.losses[-1]:
            self.picture = picture.clone()
        self.losses.append(min([value / self._unit, *self.losses[-1:]]))
        self.count += 1
        if self._watch(self):
            raise Over
        return value, gradient

    def _differentiated(self, picture: Tensor) -> tuple[float, Tensor]:
        leaf = picture.detach().requires_grad_(True)
        loss = self._loss(leaf)
        (gradient,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), gradient

    @property
    def _has_settled(self) -> bool:
        if self._patient or len(self.losses) <= SETTLED_STEPS:
            return False
        return self.losses[-1] > self.losses[-1 - SETTLED_STEPS] * (1 - SETTLED)


def corrections(count: int) -> int:
    """How many steps L-BFGS may remember of so many numbers."""
    return min(CORRECTIONS, (MEMORY_BYTES // (8 * max(1, count)) - 5) // 2)


def _flat(values: Tensor) -> npt.NDArray[np.float64]:
    flat: npt.NDArray[np.float64] = values.detach().flatten().cpu().double().numpy()
    return flat
