"""ChromaUNet: Samovar's own colorizer, a small U-Net that sees a small picture and tells which colours are likely
where.

It knows the lightness and, where the user made strokes, their colour. Its answer is a choice among the colours that
sRGB holds, not a mean: the mean of a red and a blue shirt is a brown one. What is drawn is the mean of that choice made
sharper (`TEMPERATURE`), and at half the size it sees: colour is coarser than lightness, and more even when it is
decided small.

Source: the idea to colorize small and then to enlarge: the seed of this project. Colours as classes of ab, their
rebalancing and the annealed mean: Zhang, Isola, Efros, "Colorful Image Colorization", ECCV 2016, arXiv:1603.08511,
section 2. Strokes beside the picture: Zhang et al., SIGGRAPH 2017, arXiv:1705.02999. Other than there: residual blocks,
a summary of the whole picture that scales the features of its middle, and no weights from elsewhere.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.chroma import lab
from samovar.networks import ColourNetwork, Network

CELL = 10.0
"""Width of a class, in units of ab."""
TEMPERATURE = 0.6
"""1 draws the mean of what is likely, which is dull; near 0 the likeliest alone, which is patchy."""
WIDTHS = (32, 64, 128, 192)
"""Channels at a half, a quarter, an eighth and a sixteenth of the size that is seen."""
DROPOUT = 0.2
"""Share of the deepest channels left out at each step of a training, so that it does not learn its pictures by heart;
on the way up half of that."""
L_CENTRE, L_SCALE, AB_SCALE = 50.0, 50.0, 110.0


@functools.cache
def colours() -> Tensor:
    """The classes: centres of the cells of ab, CELL wide, in which sRGB has a colour. (K, 2), in order of a, then b"""
    with torch.device("cpu"):  # also while a network is made that has no memory yet
        steps = torch.linspace(0, 1, 33)
        cube = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij")).reshape(1, 3, 1, -1)
        ab = lab.of(cube)[1][0, :, 0].T  # (33³, 2)
        cells: Tensor = torch.unique((ab / CELL).round(), dim=0)
        return cells * CELL


class ChromaUNet(ColourNetwork):
    """widths : channels by halving; temperature : how sharp the choice is made before its mean is taken"""

    multiple = 16
    working_side = 96
    hints = True

    def __init__(self, widths: tuple[int, ...] = WIDTHS, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.temperature = temperature
        self.stem = nn.Sequential(_convolution(4, widths[0], stride=2), _Residual(widths[0]))
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(before, after, stride=2), _Residual(after))
            for before, after in zip(widths, widths[1:], strict=False)
        )
        self.middle = _Residual(widths[-1])
        self.summary = nn.Sequential(nn.Linear(widths[-1], widths[-1]), nn.ReLU(), nn.Linear(widths[-1], widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(_convolution(before + after, after), _Residual(after))
            for before, after in zip(widths[::-1], widths[-2::-1], strict=False)
        )
        self.head = nn.Conv2d(widths[0], len(colours()), 1)

    def logits(self, luminance: Tensor, hint: Tensor | None = None, hint_mask: Tensor | None = None) -> Tensor:
        """How likely each colour is, before softmax. As `forward`, but (N, K, h / 2, w / 2)"""
        batch, _, height, width = luminance.shape
        hint = luminance.new_zeros(batch, 2, height, width) if hint is None else hint / AB_SCALE
        hint_mask = luminance.new_zeros(batch, 1, height, width) if hint_mask is None else hint_mask
        x = torch.cat(((luminance - L_CENTRE) / L_SCALE, hint, hint_mask), 1)
        seen = [self.stem(x.contiguous(memory_format=torch.channels_last))]
        for down in self.down:
            seen.append(down(seen[-1]))
        x = self.middle(seen.pop())
        x = x * torch.sigmoid(self.summary(x.mean((2, 3))))[..., None, None] * 2
        x = functional.dropout2d(x, DROPOUT, self.training)
        for up in self.up:
            beside = seen.pop()
            x = up(torch.cat((functional.interpolate(x, scale_factor=2.0, mode="nearest"), beside), 1))
            x = functional.dropout2d(x, DROPOUT / 2, self.training)
        logits: Tensor = self.head(x)
        return logits

    def forward(self, luminance: Tensor, hint: Tensor | None = None, hint_mask: Tensor | None = None) -> Tensor:
        """See `ColourNetwork`; the result has half the size."""
        return drawn(self.logits(luminance, hint, hint_mask).float(), self.temperature)


def drawn(logits: Tensor, temperature: float) -> Tensor:
    """Chroma from how likely each colour is: (N, K, h, w) -> (N, 2, h, w)"""
    shares = torch.softmax(logits / temperature, 1)
    return torch.einsum("nkhw,kc->nchw", shares, colours().to(logits))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(channels, channels), nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


def _convolution(before: int, after: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def build(widths: tuple[int, ...] = WIDTHS, temperature: float = TEMPERATURE) -> Network:
    return ChromaUNet(widths, temperature)
