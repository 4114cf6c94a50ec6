"""Between sRGB and CIE Lab, white point D65, 2 degree observer; and back so that lightness is kept exactly.

Source: IEC 61966-2-1 (sRGB), CIE 15:2004, 8.2.1 (Lab).
"""

from __future__ import annotations

import torch
from torch import Tensor

_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_TO_RGB = ((3.2404542, -1.5371385, -0.4985314), (-0.9692660, 1.8760108, 0.0415560), (0.0556434, -0.2040259, 1.0572252))
_WHITE = (0.95047, 1.0, 1.08883)
_KNEE = 6 / 29


def linear(encoded: Tensor) -> Tensor:
    """sRGB-encoded values as amounts of light, 0..1 both."""
    return torch.where(encoded > 0.04045, ((encoded.clamp(min=0) + 0.055) / 1.055) ** 2.4, encoded / 12.92)


def encoded(linear: Tensor) -> Tensor:
    """The inverse of `linear`."""
    return torch.where(linear > 0.0031308, 1.055 * linear.clamp(min=0) ** (1 / 2.4) - 0.055, 12.92 * linear)


def light(image: Tensor) -> Tensor:
    """Relative luminance Y, 0..1, of an image (N, C, H, W), sRGB-encoded, C 1 or 3. -> (N, 1, H, W)"""
    amounts = linear(image)
    if image.shape[1] == 1:
        return amounts
    red, green, blue = (weight * amounts[:, i : i + 1] for i, weight in enumerate(_TO_XYZ[1]))
    return red + green + blue


def lightness(y: Tensor) -> Tensor:
    """L, 0..100, of relative luminance 0..1."""
    return 116 * _root(y) - 16


def of(image: Tensor) -> tuple[Tensor, Tensor]:
    """Lightness (N, 1, H, W) and chroma (N, 2, H, W) of an image (N, 1 or 3, H, W), sRGB-encoded, 0..1."""
    if image.shape[1] == 1:
        level = lightness(light(image))
        return level, level.new_zeros(len(level), 2, *level.shape[2:])
    amounts = linear(image)
    red, green, blue = (amounts[:, i : i + 1] for i in range(3))
    x, y, z = (
        _root((row[0] * red + row[1] * green + row[2] * blue) / white)
        for row, white in zip(_TO_XYZ, _WHITE, strict=True)
    )
    return 116 * y - 16, torch.cat((500 * (x - y), 200 * (y - z)), 1)


def image(y: Tensor, chroma: Tensor, level: Tensor | None = None) -> Tensor:
    """The image (N, 3, H, W), sRGB-encoded, with this light and, as far as sRGB holds it, this chroma.

    y : (N, 1, H, W), relative luminance; it is that of the result exactly. Beyond 0..1 there is no room for colour
    chroma : (N, 2, H, W); what does not fit is mixed with gray of the same light until it does
    level : the lightness of y, where somebody knows it already
    """
    colour = _beside_gray(y, chroma, None if level is None else (level + 16) / 116)
    return encoded(colour.mul_(_room(y, colour)).add_(y))


LIGHTEST_STEP, NEARLY, HARDLY = 4.0, 0.97, 10.0


def lightest(chroma: Tensor) -> Tensor:
    """The greatest lightness at which sRGB holds a chroma, (N, 2, H, W) -> (N, 1, H, W), or nearly all of what it can
    hold of it at any; rising to that of white where there is hardly any."""
    best, found = chroma.new_zeros(len(chroma), 1, *chroma.shape[2:]), torch.zeros(())
    for step in range(
        int(100 / LIGHTEST_STEP)
    ):  # downwards, so that of two that hold alike much the lighter one counts
        level = torch.full_like(best, 100 - LIGHTEST_STEP * step)
        y = light_of(level)
        share = _room(y, _beside_gray(y, chroma))
        better = share * NEARLY > best
        found, best = torch.where(better, level, found), torch.where(better, share, best)
    much = (chroma.square().sum(1, keepdim=True).sqrt() / HARDLY).clamp(max=1)
    return 100 - (100 - found) * much


def _beside_gray(y: Tensor, chroma: Tensor, root: Tensor | None = None) -> Tensor:
    """What the light of a colour differs by from gray of the same, in linear red, green and blue."""
    root = _root(y) if root is None else root
    x = _WHITE[0] * _cube(root + chroma[:, :1] / 500)
    z = _WHITE[2] * _cube(root - chroma[:, 1:] / 200)
    return torch.cat([row[0] * x + row[1] * y + row[2] * z - y for row in _TO_RGB], 1)


def _room(y: Tensor, colour: Tensor) -> Tensor:
    """How much of that difference sRGB holds, 0..1."""
    room = torch.where(colour > 0, 1 - y, y).clamp_(min=0)
    return (room / colour.abs().clamp_(min=1e-9)).amin(1, keepdim=True).clamp_(max=1)


def _root(amount: Tensor) -> Tensor:
    return torch.where(amount > _KNEE**3, amount.clamp(min=1e-9) ** (1 / 3), amount / (3 * _KNEE**2) + 4 / 29)


def _cube(root: Tensor) -> Tensor:
    return torch.where(root > _KNEE, root**3, 3 * _KNEE**2 * (root - 4 / 29))


def light_of(level: Tensor) -> Tensor:
    """Relative luminance, 0..1, of lightness; the inverse of `lightness`."""
    return _cube((level + 16) / 116)
