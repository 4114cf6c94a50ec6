"""One network on its way to one picture, step by step; what it has come to can be put aside and taken up again."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from samovar.prior import frame
from samovar.prior.observation import Observation, variation
from samovar.prior.recipes import COMPLETE, Recipe
from samovar.prior.skip import Skip, convolutions
from samovar.prior.stopping import EarlyStop

FALL = 10 ** (5 / 10)
"""Of the error, by which it may grow between two looks before the weights of the last one come back: 5 dB."""
REACH = 0.15
"""How far the network may move the first picture."""
MOST_UNLIKELY = 10.0
REFRESH = 20
"""Steps, after which the mean picture becomes the measure of what is likely."""
WARM_UP = 10
"""Steps; the mean picture begins with as few as there are."""
FLOOR = 1e-10
"""Under the root of the error, whose slope at 0 is endless."""


class Fit:
    """A network that draws the picture of an observation.

    source : (1, depth, h, w) of `prior.source`, at least as large as the padded picture is: see `Fit.size`
    smoothness : by what the recipe's is multiplied
    low : run the convolutions in bfloat16, but the last one
    check : called now and then while it begins; may raise to stop

    count : steps so far; over : whether it should stop; picture : (1, C, H * factor, W * factor), 0..1, the mean of the
    last steps, or, once it is over, the best; None before the first step
    """

    def __init__(
        self, observation: Observation, recipe: Recipe, seed: int, source: Tensor, smoothness: float = 1.0,
        device: str = "cpu", low: bool = False, check: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.recipe = recipe
        self.count = 0
        self._size = tuple(side * observation.factor for side in observation.values.shape[-2:])
        self._seen = observation.padded(recipe.shape.multiple, recipe.shape.least).to(device)
        self._smoothness = recipe.smoothness * smoothness
        self._chance = torch.Generator(device).manual_seed(seed)
        self._order = torch.Generator().manual_seed(seed)
        self._device, self._low = device, low
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Skip(recipe.shape, observation.values.shape[1])
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._source = source.to(device).contiguous(memory_format=torch.channels_last)
        self._level: nn.Module = nn.Identity()
        if recipe.frozen:
            self._freeze()
        self._trained = [each for each in self._parameters() if each.requires_grad]
        self._adam = torch.optim.Adam(self._trained, recipe.rate, fused=True)
        self._start: Tensor | None = None
        self._measure: Tensor | None = None
        sigma = frame.deviation(observation.values.to(device), observation.weights.to(device))
        self._sigma = (torch.full_like(sigma, recipe.sigma) if recipe.sigma else sigma) * smoothness
        self._sigma.clamp_(min=frame.LEAST_SIGMA)
        if recipe.start:
            self._begin(check)
        self._mean: Tensor | None = None
        self._stop = EarlyStop(recipe.patience, recipe.after)
        self._last: tuple[list[Tensor], float] | None = None

    def _begin(self, check: Callable[[], None]) -> None:
        """The first picture."""
        seen = self._seen
        if self.recipe.start == COMPLETE:
            self._start = frame.completed(seen, seen.stretched(), check)
        else:
            self._start = frame.denoised(seen.values, self._sigma, check).clamp(0, 1)
        self._measure = self._start

    @staticmethod
    def size(observation: Observation, recipe: Recipe) -> tuple[int, int]:
        """Height and width that the source has to have."""
        values = observation.padded(recipe.shape.multiple, recipe.shape.least).values
        return values.shape[-2] * observation.factor, values.shape[-1] * observation.factor

    def _freeze(self) -> None:
        for convolution in convolutions(self.network):
            for each in convolution.parameters():
                each.requires_grad_(False)
        self._source.requires_grad_(True)
        self._level = nn.BatchNorm2d(self._source.shape[1], track_running_stats=False).to(self._device)

    def _parameters(self) -> list[Tensor]:
        own = [self._source] if self.recipe.frozen else []
        return [*own, *self._level.parameters(), *self.network.parameters()]

    @property
    def over(self) -> bool:
        return self._stop.over

    @property
    def mean(self) -> Tensor | None:
        """The mean of the last steps, whether it is over or not; None before the first."""
        return None if self._mean is None else self._mean[..., : self._size[0], : self._size[1]].cpu()

    @property
    def picture(self) -> Tensor | None:
        shown = self._stop.best if self._stop.over else self._mean
        return None if shown is None else shown[..., : self._size[0], : self._size[1]].cpu()

    # --- steps ------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """One step of the fit."""
        recipe, source = self.recipe, self._source
        if recipe.jitter:
            noise = torch.empty_like(source).normal_(0, recipe.jitter, generator=self._chance)
            source = source + noise
        with torch.autocast(self._device, torch.bfloat16) if self._low else contextlib.nullcontext():
            features = self.network.body(self._level(source))
        picture = self.network.head(features.float())  # in float32, so that no digits are missing
        if self._start is not None:
            picture = self._start + REACH * (picture - 0.5)
        error = self._seen.error(picture)
        if recipe.frozen:
            if recipe.sparsity and self._measure is not None:
                row, column = (int(each) for each in torch.randint(0, frame.SIDE, (2,), generator=self._order))
                unlikely = frame.penalty(picture, self._measure, self._sigma, MOST_UNLIKELY, (row, column))
                error = error + recipe.sparsity * unlikely
            loss = (error + FLOOR).sqrt()
            if self._smoothness:
                loss = loss + self._smoothness * variation(picture)
        else:
            loss = error
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._adam.step()
        self.count += 1
        self._take(picture.detach(), error.detach())

    def _take(self, picture: Tensor, error: Tensor) -> None:
        if self._mean is None:
            self._mean = picture.clone()
        else:
            old = min(self.recipe.average, self.count / (self.count + WARM_UP))
            self._mean.lerp_(picture, 1 - old)
        if self._measure is not None and self.count % REFRESH == 0:
            self._measure = self._mean.clone()
        self._stop.see(picture, self._mean)
        if self.recipe.track_back and self.count % self.recipe.track_back == 0:
            self._look_back(float(error))

    def _look_back(self, error: float) -> None:
        """Adam sometimes loses the picture at once: then go on from where it still was there."""
        if self._last is not None and error > self._last[1] * FALL:
            with torch.no_grad():
                for each, kept in zip(self._trained, self._last[0], strict=True):
                    each.copy_(kept)
        else:
            self._last = [each.detach().clone() for each in self._trained], error

    # --- aside and back ---------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """All that decides how it goes on."""
        numbers = [self.count, self._stop.seen, math.nan if self._last is None else self._last[1]]
        state = {
            "numbers": torch.tensor(numbers, dtype=torch.float64),
            "stop.numbers": self._stop.numbers,
            "chance": self._chance.get_state(),
            "order": self._order.get_state(),
        }
        pictures = {
            "mean": self._mean,
            "measure": self._measure,
            "stop.mean": self._stop.mean,
            "stop.best": self._stop.best,
        }
        state.update({name: each for name, each in pictures.items() if each is not None})
        for index, each in enumerate(self._trained):
            state[f"weight.{index}"] = each.detach()
            if self._last is not None:
                state[f"last.{index}"] = self._last[0][index]
            for name, value in self._adam.state.get(each, {}).items():
                state[f"adam.{index}.{name}"] = value
        return {name: each.cpu().contiguous() for name, each in state.items()}

    def resume(self, state: dict[str, Tensor]) -> None:
        """Go on from a state of the same fit. Raises KeyError or RuntimeError if it is another's."""
        numbers = state["numbers"].tolist()
        self.count, self._stop.seen = int(numbers[0]), int(numbers[1])
        self._chance.set_state(state["chance"])
        self._order.set_state(state["order"])
        to = {
            name: value.to(self._device) for name, value in state.items() if name not in ("numbers", "chance", "order")
        }
        self._mean, self._stop.mean, self._stop.best = to.get("mean"), to.get("stop.mean"), to.get("stop.best")
        self._stop.numbers, self._measure = to["stop.numbers"], to.get("measure")
        with torch.no_grad():
            for index, each in enumerate(self._trained):
                each.copy_(to[f"weight.{index}"])
                for name in ("step", "exp_avg", "exp_avg_sq"):
                    if (value := to.get(f"adam.{index}.{name}")) is not None:
                        like = value if name == "step" else each
                        self._adam.state[each][name] = torch.empty_like(like).copy_(value)
        if not math.isnan(numbers[2]):
            self._last = [to[f"last.{index}"] for index in range(len(self._trained))], numbers[2]
