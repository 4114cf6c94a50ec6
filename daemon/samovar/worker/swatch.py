"""What of a layer is the sample of a texture, as planes to work on, and back.

What is transparent is no part of a sample: texture is painted on nothing as often as on a full layer. Only where there
is hardly a spot without transparency, as in lace, it is taken as part of the texture, and what is grown has it, too.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from samovar.patches.grid import eroded
from samovar.worker.image import Alpha, Image
from samovar_link.errors import BadRequest

SPOT, LEAST_SPOTS = 12, 64
"""Pixels around one that have to be there for it to be in a spot without transparency; so many make a sample."""


@dataclasses.dataclass(frozen=True)
class Range:
    """What lies beyond 0..1 is brought within for the work, and back."""

    low: float
    high: float

    def narrowed(self, image: Image) -> Image:
        return image if (self.low, self.high) == (0, 1) else ((image - self.low) / (self.high - self.low)).clamp(0, 1)

    def widened(self, image: Image) -> Image:
        return image if (self.low, self.high) == (0, 1) else image * (self.high - self.low) + self.low


def range_of(image: Image, usable: Tensor) -> Range:
    values = image[0][:, usable]
    return Range(min(0.0, float(values.min())), max(1.0, float(values.max())))


def transparency(alpha: Alpha, usable: Tensor) -> tuple[bool, Tensor]:
    """Whether alpha is part of the texture, and what of it is the sample. usable : (h, w), what may be"""
    shown = usable & (alpha[0, 0] > 0)
    if not bool(shown.any()):
        return False, shown
    opaque = shown & (alpha[0, 0] >= alpha[0, 0][shown].max())
    if bool((opaque == usable).all()):
        return False, usable
    spots = int(eroded(opaque, SPOT, outside=True).sum())
    return (False, opaque) if spots >= LEAST_SPOTS else (True, usable)


def planes(image: Image, alpha: Alpha | None) -> Tensor:
    """(h, w, C), premultiplied and with alpha where that is part of the texture."""
    together = image if alpha is None else torch.cat([image * alpha, alpha], 1)
    return together[0].permute(1, 2, 0).contiguous()


def picture(planes: Tensor) -> Tensor:
    return planes.permute(2, 0, 1).unsqueeze(0).contiguous()


def check_size(field: str, width: int, height: int, most: int, instead: str) -> None:
    """Raises BadRequest for more pixels than that."""
    if width * height > most:
        raise BadRequest.field(f"texture {field}", f"{width}x{height}", f"at most {most} pixels", instead)
