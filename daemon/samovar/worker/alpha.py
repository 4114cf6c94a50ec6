"""Transparency: what the network sees where nothing is visible.

Colour under alpha 0 is left-over paint, black or magenta, and a network that saw it would draw it into the visible
edge as a halo. So visible colour is grown outward first: each round gives every unknown pixel that touches a known one
the mean of its known neighbours. After as many rounds as the network looks far, nothing hidden is in sight. What lies
farther out gets the mean visible colour, so that statistics over the whole picture see nothing hidden either.

Source: nagadomi, waifu2x, lib/alpha_util.lua (`make_border`): a 3x3 mean of the known neighbours, once per pixel of
the network's offset. Here only the rim is visited, not the whole picture, so the cost is that of the outline.
"""

from __future__ import annotations

import torch
from torch import Tensor

from samovar.worker.image import Alpha, Image

NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))

LEAST = 1e-9
"""Below all alphas there are."""


def constant(alpha: Alpha) -> float | None:
    """The value that alpha has everywhere, if it has one."""
    low, high = alpha.aminmax()
    return float(low) if low == high else None


def mixed(image: Image, alpha: Alpha, colour: Image, opacity: Alpha, share: Alpha) -> tuple[Image, Alpha]:
    """A picture that fades into another where both have an alpha: what is hidden in one of them does not show.

    share : (1, 1, H, W), 0..1, of the other picture
    """
    together = torch.lerp(alpha, opacity, share)
    premultiplied = torch.lerp(image * alpha, colour * opacity, share)
    return torch.where(together > 0, premultiplied / together.clamp(min=LEAST), image), together


def grow_colour(image: Image, alpha: Alpha, rounds: int, wrap: tuple[bool, bool] = (False, False)) -> Image:
    """The image with its visible colour grown outward over what is invisible.

    returns : a new image; where alpha is above 0 equal to the old one
    """
    height, width = alpha.shape[-2:]
    visible = alpha[0, 0] > 0
    if not visible.any():
        return image
    colours = image[0].flatten(1).clone()  # (C, H * W)
    known = visible.flatten().clone()
    rim = _touching(torch.nonzero(_border(visible, wrap)).flatten(), height, width, wrap, ~known)
    for _ in range(rounds):
        if not len(rim):
            break
        colours[:, rim] = _known_mean(rim, height, width, wrap, known, colours)
        known[rim] = True
        rim = _touching(rim, height, width, wrap, ~known)
    typical = colours[:, visible.flatten()].mean(1, keepdim=True)
    grown: Image = torch.where(known, colours, typical).view_as(image)
    return grown


def _border(visible: Tensor, wrap: tuple[bool, bool]) -> Tensor:
    """Flat mask of the visible pixels with an invisible neighbour."""
    inside = visible.clone()
    for axis in (0, 1):
        before, after = visible.roll(1, axis), visible.roll(-1, axis)
        if not wrap[axis]:
            before.select(axis, 0).fill_(True)
            after.select(axis, -1).fill_(True)
        inside &= before & after
    border: Tensor = (visible & ~inside).flatten()
    return border


def _neighbour(index: Tensor, step: tuple[int, int], height: int, width: int, wrap: tuple[bool, bool]) -> Tensor:
    """Flat index of the neighbours one step away; a step over a border that does not wrap goes along it."""
    y = index // width + step[0]
    x = index % width + step[1]
    y = y % height if wrap[0] else y.clamp_(0, height - 1)
    x = x % width if wrap[1] else x.clamp_(0, width - 1)
    flat: Tensor = y * width + x
    return flat


def _touching(index: Tensor, height: int, width: int, wrap: tuple[bool, bool], wanted: Tensor) -> Tensor:
    """The wanted pixels next to those at `index`, each once, in order."""
    around = torch.cat([_neighbour(index, step, height, width, wrap) for step in NEIGHBOURS])
    each: Tensor = torch.unique(around[wanted[around]])
    return each


def _known_mean(
    rim: Tensor, height: int, width: int, wrap: tuple[bool, bool], known: Tensor, colours: Tensor
) -> Tensor:
    total: Tensor = torch.zeros((len(colours), len(rim)))
    number: Tensor = torch.zeros(len(rim))
    for step in NEIGHBOURS:
        around = _neighbour(rim, step, height, width, wrap)
        weight = known[around].float()
        total += colours[:, around] * weight
        number += weight
    return total / number
