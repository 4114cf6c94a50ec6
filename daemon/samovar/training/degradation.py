"""What pictures lose on their way: made smaller by one filter or another, packed as JPEG, with grain or paper in them.

All of it is drawn from generators that are given, so that a step's number decides it.

Source: nagadomi, waifu2x, lib/settings.lua and lib/pairwise_transform*.lua (filters and their shares, blur of 0.95 to
1.05, qualities of JPEG by level, chroma at half the size for half of them).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pyvips
import torch
from torch import Tensor
from torch.nn import functional

FILTERS = {"upconv7": ("box", "sinc"), "default": ("box", "box", "sinc", "sinc", "catrom", "lanczos")}
"""By network: of which one is drawn."""
BLUR = (0.95, 1.05)
QUALITIES = {
    0: ((85, 95),),
    1: ((65, 85),),
    2: ((27, 70), (37, 70, -10, -5), (52, 70, -15, -5, -25, -15)),
}
"""Of JPEG, by level: (least, most) of the first pass, and of each further one, added to the one before."""
PASSES = (0.6, 0.3, 0.1)
"""Shares of the ways of level 2."""


def smaller(image: Tensor, kernel: str, blur: float = 1.0) -> Tensor:
    """Half as large: (N, C, 2h, 2w) -> (N, C, h, w), cut to 0..1. Beyond the border its pixels go on."""
    rows, columns = (_weights(each, kernel, round(blur, 3)).to(image) for each in image.shape[-2:])
    return torch.einsum("yh,nchw,xw->ncyx", rows, image, columns).clamp(0, 1)


@functools.lru_cache(maxsize=256)
def _weights(size: int, kernel: str, blur: float) -> Tensor:
    """(size / 2, size), rows that sum to 1."""
    function, support = _KERNELS[kernel]
    reach = math.ceil(support * 2 * blur) + 1
    matrix = torch.zeros(size // 2, size)
    for row in range(size // 2):
        middle = 2 * row + 0.5
        for at in range(math.floor(middle) - reach, math.ceil(middle) + reach + 1):
            weight = function((at - middle) / (2 * blur))
            matrix[row, min(max(at, 0), size - 1)] += weight
    return matrix / matrix.sum(1, keepdim=True)


def _box(x: float) -> float:
    return 1.0 if abs(x) <= 0.5 else 0.0


def _sinc(x: float) -> float:
    return 1.0 if not x else math.sin(math.pi * x) / (math.pi * x)


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / 3) if abs(x) < 3 else 0.0


def _blackman_sinc(x: float) -> float:
    window = 0.42 + 0.5 * math.cos(math.pi * x / 4) + 0.08 * math.cos(2 * math.pi * x / 4)
    return _sinc(x) * window if abs(x) < 4 else 0.0


def _catrom(x: float) -> float:
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


_KERNELS: dict[str, tuple[Callable[[float], float], float]] = {
    "box": (_box, 0.5), "catrom": (_catrom, 2), "lanczos": (_lanczos, 3), "sinc": (_blackman_sinc, 4),
}  # fmt: skip


def drawn_smaller(image: Tensor, network: str, chance: torch.Generator) -> Tensor:
    """As `smaller`, by a filter that chance draws."""
    kernels = FILTERS.get(network, FILTERS["default"])
    kernel = kernels[int(torch.randint(len(kernels), (), generator=chance))]
    steps = round(float(torch.rand((), generator=chance)) * 10) / 10  # few different ones, which are remembered
    return smaller(image, kernel, BLUR[0] + (BLUR[1] - BLUR[0]) * steps)


# --- noise ----------------------------------------------------------------------------------------------------------


def packed(image: Tensor, quality: int, halved_chroma: bool) -> Tensor:
    """Through JPEG and back: (3, h, w), 0..1, both"""
    pixels = image.mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    data = (
        pyvips.Image.new_from_array(pixels)
        .copy(interpretation="srgb")
        .jpegsave_buffer(Q=quality, subsample_mode="on" if halved_chroma else "off")
    )
    array = np.asarray(pyvips.Image.jpegload_buffer(data).numpy())
    return torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255


def drawn_packed(image: Tensor, level: int, chance: torch.Generator) -> Tensor:
    """Through JPEG once or more, as the level says and chance draws."""
    ways = QUALITIES[level]
    way = ways[0]
    if len(ways) > 1:
        way = ways[int(torch.multinomial(torch.tensor(PASSES), 1, generator=chance))]
    halved = bool(torch.rand((), generator=chance) < 0.5)
    quality = _between(way[0], way[1], chance)
    image = packed(image, quality, halved)
    for low, high in zip(way[2::2], way[3::2], strict=True):
        quality = max(5, quality + _between(low, high, chance))
        image = packed(image, quality, halved)
    return image


def grained(image: Tensor, sigma: float, chance: torch.Generator) -> Tensor:
    """With Gaussian noise of that deviation, in 255ths, not cut: (N, C, h, w)"""
    return image + torch.randn(image.shape, generator=chance) * (sigma / 255)


def on_paper(image: Tensor, strength: float, chance: torch.Generator) -> Tensor:
    """As scanned from paper: fibres that are darker or brighter, coarse and fine, and a tint. (1, 3, h, w)

    strength : 0..1; at 1 paper is about as rough as a deviation of 20 in 255
    """
    height, width = image.shape[-2:]
    fibres = torch.zeros(1, 1, height, width)
    for size, share in ((1, 0.5), (2, 0.6), (4, 0.6), (8, 0.4)):
        small = torch.randn(1, 1, -(-height // size) + 1, -(-width // size) + 1, generator=chance)
        large = functional.interpolate(small, scale_factor=float(size), mode="bilinear") if size > 1 else small
        fibres += share * large[..., :height, :width]
    tint = 1 - 0.06 * strength * torch.rand(1, 3, 1, 1, generator=chance)
    return image * tint + fibres * (strength * 20 / 255)


def _between(low: int, high: int, chance: torch.Generator) -> int:
    return int(torch.randint(low, high + 1, (), generator=chance))
