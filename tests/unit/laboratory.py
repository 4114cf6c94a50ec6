"""The engine at hand, without a daemon: pictures as arrays in, arrays out; and a network that needs no weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from samovar import card, operation
from samovar.card import Catalogue, ModelCard, WeightFile
from samovar.networks import Network
from samovar.worker.engine import Engine
from samovar.worker.job import Job, JobCancelled, Result
from samovar_link.messages import Progress, Raster, Run

Pixels = npt.NDArray[Any]
DTYPES = {"u8": np.uint8, "u16": np.uint16, "f16": np.float16, "f32": np.float32}


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class Smear(Network):
    """Enlarges by 2, or not, after a 5x5 mean: looks exactly 2 pixels far, and so shows whether tiles see that far."""

    tile = 16

    def __init__(self, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.weight = torch.nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = torch.nn.functional.avg_pool2d(x, 5, stride=1)
        return torch.nn.functional.interpolate(mean, scale_factor=self.scale, mode="nearest")


def smear_card(**changes: Any) -> ModelCard:
    weights = {"": WeightFile("none", "none", "plain-sha"), "noise1": WeightFile("none", "none", "noise-sha")}
    fields = {
        "id": "test/smear", "title": "Smear", "operations": ("upscale",), "network": "smear", "weights": weights,
        "scale": 2, "receptive_field": 2, "licence": "MIT", "source": "", "noise_levels": (1,),
    }  # fmt: skip
    return ModelCard(**{**fields, **changes})


@dataclass
class Outcome:
    """parts : what was shown of the result before its end, with the pixels"""

    pixels: Pixels
    result: Result
    progress: list[Progress] = field(default_factory=list)
    parts: list[tuple[Progress, Pixels]] = field(default_factory=list)


class Laboratory:
    """loads : (model, variant) of every network loaded"""

    def __init__(
        self, *cards: ModelCard, load: Callable[[ModelCard, str, str], Network] | None = None, cache_bytes: int = 0
    ) -> None:
        self.clock = Clock()
        self.loads: list[tuple[str, str]] = []
        catalogue = Catalogue(cards) if cards else Catalogue(each for each in card.discover() if each.embedded)
        self.engine = Engine(
            operation.discover(), catalogue, clock=self.clock, load=load or self._load, cache_bytes=cache_bytes
        )

    def _load(self, model: ModelCard, variant: str, device: str) -> Network:
        self.loads.append((model.id, variant))
        if model.network == "smear":
            self.clock.now += 2.0
            return Smear(model.scale)
        from samovar import networks

        return networks.load(model, variant, device)

    def run(
        self,
        pixels: Pixels,
        operation: str = "upscale",
        *,
        raster: dict[str, Any] | None = None,
        masks: dict[str, Pixels] | None = None,
        message: dict[str, Any] | None = None,
        cancel_after: int | None = None,
        **parameters: Any,
    ) -> Outcome:
        """masks : further pictures by role; cancel_after : progress messages until the user cancels"""
        images = {"image": described(pixels, **(raster or {}))}
        for role, each in (masks or {}).items():
            place = images["image"]
            images[role] = described(each, frame=len(images), x=place.x, y=place.y)
        memory = [frames(each)[0] for each in (pixels, *(masks or {}).values())]
        run = Run("job", operation, parameters, images, **(message or {}))
        progress: list[Progress] = []
        parts: list[tuple[Progress, Pixels]] = []

        def report(message: Progress, pixels: Sequence[memoryview]) -> None:
            progress.append(message)
            if message.images:
                parts.append((message, as_array(message.images["image"], pixels)))

        job = Job(run, report, lambda: cancel_after is not None and len(progress) >= cancel_after, allocate, self.clock)
        try:
            result = self.engine.execute(run, memory, job)
        except JobCancelled:
            return Outcome(np.empty(0), None, progress, parts)  # type: ignore[arg-type]
        return Outcome(as_array(result.images["image"], result.frames), result, progress, parts)


def as_array(raster: Raster, pixels: Sequence[memoryview]) -> Pixels:
    array = np.frombuffer(pixels[raster.frame], DTYPES[raster.dtype])
    return array.reshape(raster.height, raster.width, raster.channels)


def described(pixels: Pixels, **changes: Any) -> Raster:
    height, width, channels = pixels.shape
    return Raster(height, width, channels, next(name for name in DTYPES if DTYPES[name] == pixels.dtype), **changes)


def frames(pixels: Pixels) -> Sequence[memoryview]:
    return [memoryview(np.ascontiguousarray(pixels)).cast("B").toreadonly()]


def allocate(size_bytes: int) -> memoryview:
    return memoryview(bytearray(size_bytes))


def noise(*shape: int, dtype: str = "u8", seed: int = 0) -> Pixels:
    """A random picture that uses the whole range."""
    generator = np.random.default_rng(seed)
    if dtype in ("u8", "u16"):
        return generator.integers(0, np.iinfo(DTYPES[dtype]).max, shape, DTYPES[dtype], endpoint=True)
    return generator.random(shape).astype(DTYPES[dtype])


def smooth(height: int, width: int, channels: int = 3, dtype: str = "u8") -> Pixels:
    """Soft gradients, a different one in each channel, between 0.1 and 0.9; with an even channel count the last is
    a full-range alpha ramp."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    planes = [0.5 + 0.4 * np.sin(3 * x + 2 * y + channel) for channel in range(channels)]
    if channels in (2, 4):
        planes[-1] = np.clip(2 * x - 0.4, 0, 1)
    values = np.stack(planes, -1)
    top = {"u8": 255, "u16": 65535}.get(dtype)
    return (values * top + 0.5).astype(DTYPES[dtype]) if top else values.astype(DTYPES[dtype])
