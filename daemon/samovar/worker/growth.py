"""A texture while it grows: its variants, its time, what shows of it, and by what it is known."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch
from torch import Tensor

from samovar.models.texture import PATCHES
from samovar.networks import FeatureNetwork, WholeNetwork
from samovar.operations.texture import NOISE, SLICED, Params
from samovar.patches.grid import Wrap
from samovar.texture import grow
from samovar.texture.features import Features, NetworkFeatures, RandomFilters
from samovar.texture.grow import Plan, Sample
from samovar.worker import heap, layer
from samovar.worker.image import Image
from samovar.worker.way import Pixels, Way
from samovar_link.messages import Raster

SHOW_SECONDS = 1.0
WOVEN_SHARE = 0.1
"""Of the progress."""
NOISE_LEVELS, FILTER_LEVELS = 4, {False: 3, True: 5}
"""Sizes that noise is made a texture at; sizes at which filters see the picture, by whether it was noise."""
UNLIMITED = 100_000
NEARLY_ALL = 0.999
"""Of the time."""


class Growth:
    """What a piece of its own and a fill have in common: variants, time, and what shows.

    like : how the result travels
    gray : whether all of the layer's three channels are equal
    """

    like: Raster

    def __init__(self, way: Way, params: Params, allocate: Callable[[int], memoryview]) -> None:
        self.way, self.params, self.job, self.allocate = way, params, way.job, allocate
        self.gray = way.whole.gray and way.raster.channels >= 3
        self._began = self._shown = 0.0
        self._steps = self._planned = 0
        self._ended = ""

    def variants(
        self, made: Callable[[torch.Generator], Tensor], put: Callable[[Tensor, Pixels], None]
    ) -> tuple[dict[str, Raster], list[memoryview]]:
        """Make each variant and put it into memory of its own: rasters by role, and the memory."""
        count, images, results = self.params.variants, {}, []
        role = self.way.operation.roles[0]
        for index in range(count):
            self._began = time.monotonic()
            seed = (self.job.run.seed + index * layer.SEED_STEP) % layer.SEEDS
            with self.job.part(index / count, (index + 1) / count):
                made_of_it = made(torch.Generator().manual_seed(seed))
                memory = self.allocate(self.like.size_bytes)
                put(made_of_it, layer.array(memory, self.like))
                self.job.progress(1.0)
            name = role if not index else f"{role} {index + 1}"
            images[name] = dataclasses.replace(self.like, frame=index)
            results.append(memory)
            heap.give_back_now_and_then()
        return images, results

    def show(self, picture: Tensor) -> None:
        """What there is so far, to a client that asked for it."""
        raise NotImplementedError

    # --- growing ----------------------------------------------------------------------------------------------------

    def grown(
        self, sample: Sample, start: Tensor, wrap: Wrap, generator: torch.Generator, fixed: Tensor | None = None
    ) -> Tensor:
        """What statistics make of a beginning. (1, C, H, W), both"""
        card = self.job.card(self.params.model)
        if card.network:
            return self._by_network(card.id, sample, start, wrap, generator, fixed)
        self.job.note(card.id)
        if card.architecture == PATCHES:
            return start
        self.job.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.job.runtime = "torch f32"
        levels = FILTER_LEVELS[self.from_noise and fixed is None]
        with torch.inference_mode(False):
            features = RandomFilters(levels=levels, device=self.job.device)
        return self._fitted(features, sample, start, wrap, generator, fixed)

    def _by_network(
        self, model: str, sample: Sample, start: Tensor, wrap: Wrap, generator: torch.Generator, fixed: Tensor | None
    ) -> Tensor:
        def attempt(network: WholeNetwork, side: int) -> Image:
            assert isinstance(network, FeatureNetwork)
            features = NetworkFeatures(network.answers, network.steps, network.around, side)
            return self._fitted(features, sample, start, wrap, generator, fixed)

        return self.job.whole(model, 0, attempt)

    def _fitted(
        self, features: Features, sample: Sample, start: Tensor, wrap: Wrap, generator: torch.Generator,
        fixed: Tensor | None,
    ) -> Tensor:  # fmt: skip
        iterations = self.params.iterations
        woven = not self.from_noise or fixed is not None
        levels = 1 if woven else NOISE_LEVELS
        self._steps, self._ended = 0, "as asked for" if iterations else "it was over by itself"
        self._planned = levels * iterations
        device = self.job.device
        with torch.inference_mode(False), torch.enable_grad():
            # tensors made in inference mode cannot be fitted to
            sample, start = _on(sample, device), start.to(device, copy=True)
            fixed = None if fixed is None else fixed.to(device, copy=True)
            sliced = self.params.loss == SLICED
            plan = Plan(features, sliced, wrap, levels, iterations or UNLIMITED, woven, fixed)
            made = grow.grow(sample, start, plan, generator, self)
        self.job.notes.append(f"{self._ended} after {self._steps} steps, {self._spent:.0f} s")
        return made.cpu()

    @property
    def from_noise(self) -> bool:
        return self.params.start == NOISE

    @property
    def _spent(self) -> float:
        return time.monotonic() - self._began

    # --- watching it grow, see `grow.Watch` -------------------------------------------------------------------------

    def check(self) -> None:
        self.job.check()

    def stepped(self, picture: Callable[[], Tensor]) -> None:
        self._steps += 1
        if time.monotonic() - self._shown > SHOW_SECONDS:
            if self.job.run.stream:
                self.show(picture())
            self._shown = time.monotonic()
        share = self._steps / self._planned if self._planned else self._spent / self.params.seconds
        self.job.progress(WOVEN_SHARE + (1 - WOVEN_SHARE) * min(0.99, share), f"step {self._steps}")

    def is_over(self, share: float) -> bool:
        if self.params.iterations or self._spent < self.params.seconds * share:
            return False
        if share > NEARLY_ALL:
            self._ended = "the time was up"
        return True

    def is_content(self) -> bool:
        if self.job.enough:
            self._ended = "kept as it was"
        return self.job.enough


def _on(sample: Sample, device: str) -> Sample:
    return Sample(sample.picture.to(device, copy=True), sample.alpha, sample.usable.to(device, copy=True))
