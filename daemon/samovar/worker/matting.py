"""Colour and alpha of a picture that an operation gave once on black and once on white.

A network has to see edges as the user will: an orange shape on black and the same one on white, not an orange plain and
a white shape of which nobody knows that they belong together. So a picture with holes goes through twice, on black and
on white, and from both results colour and alpha are found again: per pixel the alpha and the colour, each within 0..1,
whose composites on black and on white come closest to the two in the least-squares sense over all channels.

Where alpha is 1 or 0 all around in the source, it is set to exactly that. Where it is small, colour is uncertain and
falls back to the neighbourhood's.

Source: Smith and Blinn, "Blue Screen Matting", SIGGRAPH 1996, theorem 3 (triangulation); the bounds are added here.

How close it comes: a 32-pixel disc in eight colours upscaled by 2 and then composited on black, gray and white, against
the upscaled composites: 99 % of the pixels differ by at most 7/255 (UpConv7 art), 12 (photo), 6 (CUNet), 17 (Compact),
the worst one by 27, 36, 25 and 51. With alpha as a gray picture of its own, as elsewhere, these were 8, 14, 6, 29 and
42, 59, 40, 113. Networks do not treat all backgrounds alike, so no colour and alpha can do for all: the best ones there
are would still differ by 16, 24, 20 and 41 at the worst pixel. On coloured backgrounds, too, this way came closer.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from samovar.worker.image import Alpha, Image
from samovar.worker.tiling import Wrap, beyond

FLAT_MARGIN = 2
"""Input pixels around a pixel that have to be as opaque (or transparent) as it, for its alpha to be left alone."""
THIRDS = 16
"""Steps of the search, each of which leaves two thirds of the interval: 0.4/255 in the end."""
CAUTION = 1e-2
"""Weight of the neighbourhood's colour at alpha 0; it counts half at alpha 0.1 and nothing at 1."""
UNKNOWN = -1.0
BAND_ROWS = 256
"""Rows in hand at a time, so that memory stays small."""


def over(image: Image, alpha: Alpha, background: float) -> Image:
    """The picture on an opaque background."""
    return image * alpha + background * (1 - alpha)


def known(source: Alpha, height: int, width: int, wrap: Wrap = (False, False)) -> Alpha:
    """Alpha of the given size where it is certain, UNKNOWN elsewhere.

    source : alpha before the operation, of any size
    """
    alpha = torch.full((1, 1, height, width), UNKNOWN)
    for value in (0.0, 1.0):
        flat = functional.interpolate(_flat(source, value, wrap), (height, width), mode="nearest") > 0
        alpha.masked_fill_(flat, value)
    return alpha


def solve(black: Image, white: Image, typical: Image, alpha: Alpha) -> None:
    """Find alpha where it is UNKNOWN, and colour everywhere. Writes them into `alpha` and `black`.

    black, white : (1, C, H, W), 0..1, the composites; typical : likewise, colour of the neighbourhood
    """
    for top in range(0, black.shape[2], BAND_ROWS):
        band = slice(top, top + BAND_ROWS)
        k, w, near, opacity = (plane[0, :, band] for plane in (black, white, typical, alpha))
        edge = opacity[0] == UNKNOWN
        opacity[:, edge] = _opacity(k[:, edge], w[:, edge])
        premultiplied = _premultiplied(k, w, opacity)
        caution = CAUTION * (1 - opacity)
        k.copy_((opacity * premultiplied + caution * near) / (opacity * opacity + caution))


def _flat(source: Alpha, value: float, wrap: Wrap) -> Tensor:
    """1 where alpha is `value` within FLAT_MARGIN, else 0."""
    other = (source != value).float()
    for axis in (0, 1):
        length = source.shape[2 + axis]
        index = beyond(torch.arange(-FLAT_MARGIN, length + FLAT_MARGIN), length, FLAT_MARGIN, wrap[axis])
        other = other.index_select(2 + axis, index)
    return 1 - functional.max_pool2d(other, 2 * FLAT_MARGIN + 1, stride=1)


def _premultiplied(black: Tensor, white: Tensor, alpha: Tensor) -> Tensor:
    """Colour times alpha that fits both composites best, for a given alpha. All broadcast over channels first."""
    return torch.minimum(((black + white + alpha - 1) / 2).clamp_(min=0), alpha)


def _opacity(black: Tensor, white: Tensor) -> Tensor:
    """The alpha that fits best. (C, N), (C, N) -> (1, N); the squared misfit is convex in alpha, so thirds find it."""
    low, high = torch.zeros((1, black.shape[1])), torch.ones((1, black.shape[1]))
    for _ in range(THIRDS):
        third = (high - low) / 3
        left = _misfit(black, white, low + third) <= _misfit(black, white, high - third)
        low, high = torch.where(left, low, low + third), torch.where(left, high - third, high)
    return (low + high) / 2


def _misfit(black: Tensor, white: Tensor, alpha: Tensor) -> Tensor:
    colour = _premultiplied(black, white, alpha)
    return ((colour - black) ** 2 + (colour + 1 - alpha - white) ** 2).sum(0, keepdim=True)
