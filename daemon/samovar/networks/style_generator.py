"""A small generator of drawn faces: StyleGAN2's way, in a fiftieth of its work, with a label for the style.

z and a style become a place w; w scales what each convolution sees. Pictures are added up from size to size. The last
doubling, from 64 to 128 pixels, is a pixel shuffle: nothing is computed at full size.

Source: Karras, Laine, Aittala, Hellsten, Lehtinen, Aila, "Analyzing and Improving the Image Quality of StyleGAN",
CVPR 2020, arXiv:1912.04958: modulated and demodulated convolutions, sums of pictures, weights of variance 1 scaled when
used; truncation from Karras, Laine, Aila, arXiv:1812.04948. Other than there: one convolution a size but two at 32, no
noise, bilinear doubling, and demodulation on what a convolution gives instead of on its weights, which is the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import GeneratorNetwork

SIDE = 128
LATENT, PLACE = 128, 192
CONVOLUTIONS = ((4, 256, 256), (8, 256, 256), (16, 256, 128), (32, 128, 64), (32, 64, 64), (64, 64, 48))
"""Side, features in and out, in order."""
GAIN = math.sqrt(2)
"""Makes up for what a leaky ReLU of slope 0.2 takes."""


class Dense(nn.Module):
    """A linear layer whose weights have variance 1 / rate: they learn as fast in each layer."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self._scale, self._rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self._scale, self.bias * self._rate)


class Modulated(nn.Module):
    """A 3x3 convolution that w scales. demodulated : whether each of its outputs is brought to one strength."""

    def __init__(self, inputs: int, outputs: int, demodulated: bool = True) -> None:
        super().__init__()
        self.style = Dense(PLACE, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._scale, self._demodulated = 1 / math.sqrt(9 * inputs), demodulated

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.style(w), self.weight * self._scale
        y = functional.conv2d(x * style[..., None, None].to(x.dtype), weight, padding=1)
        if self._demodulated:
            strength = style.float().square() @ weight.square().sum((2, 3)).t()
            y = y * (strength + 1e-8).rsqrt()[..., None, None].to(y.dtype)
        return y + self.bias[:, None, None].to(y.dtype)


class StyleGenerator(GeneratorNetwork):
    latent, side = LATENT, SIDE

    def __init__(self, styles: Sequence[str] = ("",)) -> None:
        super().__init__()
        self.styles = tuple(styles)
        self.label = nn.Parameter(torch.randn(len(self.styles), LATENT))
        self.mapping = nn.Sequential(
            *(
                layer
                for before, after in itertools.pairwise((2 * LATENT, PLACE, PLACE, PLACE))
                for layer in (Dense(before, after, rate=0.01), nn.LeakyReLU(0.2))
            )
        )
        self.first = nn.Parameter(torch.randn(1, CONVOLUTIONS[0][1], 4, 4))
        self.convolutions = nn.ModuleList(Modulated(before, after) for _, before, after in CONVOLUTIONS)
        self.colour = nn.ModuleList(
            Modulated(each, 15 if side == SIDE // 2 else 3, demodulated=False) for side, _, each in CONVOLUTIONS
        )
        self.register_buffer("middle", torch.zeros(len(self.styles), PLACE))
        self.middle: Tensor

    def mapped(self, z: Tensor, styles: Tensor) -> Tensor:
        """z : (N, latent); styles : (N,) whole numbers -> w (N, PLACE)"""
        both = torch.cat((_even(z), _even(self.label[styles])), 1)
        w: Tensor = self.mapping(both)
        return GAIN * w

    def forward(self, w: Tensor) -> Tensor:
        """(N, PLACE) -> (N, 3, SIDE, SIDE), nominally -1..1"""
        x = self.first.expand(len(w), -1, -1, -1)
        picture = x.new_zeros(len(w), 3, 4, 4)
        for convolution, colour, (side, _, _) in zip(self.convolutions, self.colour, CONVOLUTIONS, strict=True):
            if x.shape[-1] < side:
                x, picture = _doubled(x), _doubled(picture)
            x = GAIN * functional.leaky_relu(convolution(x, w), 0.2)
            made = colour(x, w).float()
            picture = picture + made[:, :3]
        return _doubled(picture) + functional.pixel_shuffle(made[:, 3:], 2)

    # --- as others call it ------------------------------------------------------------------------------------------

    def drawn(self, chance: torch.Generator) -> Tensor:
        return torch.randn(1, LATENT, generator=chance)

    def between(self, one: Tensor, other: Tensor, share: float) -> Tensor:
        """Along the sphere on which they lie."""
        one, other = _even(one), _even(other)
        angle = torch.arccos((one * other).mean().clamp(-1, 1))
        if float(angle) < 1e-3 or float(angle) > math.pi - 1e-3:
            return torch.lerp(one, other, share)
        return (one * torch.sin((1 - share) * angle) + other * torch.sin(share * angle)) / torch.sin(angle)

    def placed(self, z: Tensor, style: int, truncation: float) -> Tensor:
        return torch.lerp(self.middle[style : style + 1], self.mapped(z, torch.tensor([style])), truncation)

    def pictures(self, places: Tensor) -> Tensor:
        made: Tensor = self(places)
        return ((made + 1) / 2).clamp(0, 1)


def _even(z: Tensor) -> Tensor:
    """Of one length. (N, n), mean square 1"""
    return z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()


def _doubled(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def build(styles: Sequence[str] = ("",)) -> StyleGenerator:
    return StyleGenerator(styles)
