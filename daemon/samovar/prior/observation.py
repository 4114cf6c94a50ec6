"""What is known of the picture that is looked for, and how far a drawn one is from it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LOBES = 2
"""Of the Lanczos kernel by which a drawn picture is made as small as the one that is known."""


@dataclass(frozen=True)
class Observation:
    """values : (1, C, H, W), 0..1, the picture as it is
    weights : (1, 1, H, W), 0..1, how much each pixel counts, 0 where nothing is known of it
    factor : by how much the picture that is looked for is larger
    """

    values: Tensor
    weights: Tensor
    factor: int = 1

    def padded(self, multiple: int, least: int) -> Observation:
        """With unknown pixels at the right and at the bottom, so that the sides of the picture looked for are multiples
        of `multiple` and at least `least`."""
        height, width = self.values.shape[-2:]
        step = multiple // math.gcd(multiple, self.factor)  # in pixels of what is known
        floor = math.ceil(least / self.factor)
        more = [max(math.ceil(max(side, floor) / step) * step - side, 0) for side in (width, height)]
        values = functional.pad(self.values, (0, more[0], 0, more[1]), mode="replicate")
        return Observation(values, functional.pad(self.weights, (0, more[0], 0, more[1])), self.factor)

    def to(self, device: str) -> Observation:
        return Observation(self.values.to(device), self.weights.to(device), self.factor)

    def stretched(self) -> Tensor:
        """A picture in the size looked for, to begin with: what is not known is the mean of what is around it."""
        values, weights = self.values * self.weights, self.weights
        filled, known = values.clone(), weights.clone()
        while float(known.min()) == 0 and max(weights.shape[-2:]) > 1:
            values, weights = (functional.avg_pool2d(each, 2, ceil_mode=True) for each in (values, weights))
            size = self.values.shape[-2:]
            coarse, there = (functional.interpolate(each, size, mode="bilinear") for each in (values, weights))
            filled = torch.where(known > 0, filled, coarse / there.clamp(min=1e-6))
            known = torch.where(known > 0, known, there)
        if self.factor == 1:
            return filled
        return functional.interpolate(filled, scale_factor=float(self.factor), mode="bicubic").clamp(0, 1)

    def error(self, drawn: Tensor) -> Tensor:
        """Mean squared error of a drawn picture where it is known, a number. drawn : (1, C, H * factor, W * factor)"""
        if self.factor > 1:
            drawn = shrunk(drawn, self.factor)
        squares = (drawn - self.values).square().mul(self.weights)
        return squares.sum() / self._known

    @functools.cached_property
    def _known(self) -> Tensor:
        return (self.weights.sum() * self.values.shape[1]).clamp(min=1e-6)


def shrunk(image: Tensor, factor: int) -> Tensor:
    """Smaller by a whole factor, which divides both sides, by a Lanczos kernel; the border repeats its pixels.

    Source: the down-sampler of Deep Image Prior, Lanczos with two lobes; here also for odd factors.
    """
    taps, before = _lanczos(factor)
    channels = image.shape[1]
    kernel = torch.tensor(taps, device=image.device, dtype=image.dtype).expand(channels, 1, 1, -1)
    image = functional.pad(image, (before, before, before, before), mode="replicate")
    image = functional.conv2d(image, kernel, stride=(1, factor), groups=channels)
    return functional.conv2d(image, kernel.transpose(2, 3), stride=(factor, 1), groups=channels)


@functools.lru_cache(maxsize=16)
def _lanczos(factor: int) -> tuple[list[float], int]:
    """The kernel's values, and how many pixels it reaches beyond the border."""
    count = 2 * LOBES * factor + factor % 2
    distances = [(index - (count - 1) / 2) / factor for index in range(count)]
    values = [_sinc(each) * _sinc(each / LOBES) if abs(each) < LOBES else 0.0 for each in distances]
    return [each / sum(values) for each in values], (count - factor) // 2


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


def variation(image: Tensor) -> Tensor:
    """Total variation: differences of neighbours, absolute, summed, for each value of the picture."""
    down = (image[:, :, 1:] - image[:, :, :-1]).abs().sum()
    right = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().sum()
    return (down + right) / image.numel()
