"""Colour spaces of Krita's layers, and the ones in which pixels travel.

Rules:
1. Pixels travel sRGB-encoded, with straight alpha, as RGBA or as gray with alpha.
2. A layer that is so encoded already goes as it is, at its own depth: nothing is converted, nothing lost.
3. Any other layer (linear light, wide gamut, CMYK, Lab...) goes as 32-bit float, so that nothing is rounded and colours
   outside sRGB survive as numbers outside 0..1. Krita converts there and back.
4. Krita stores RGBA of 8 and 16 bits as B G R A, of floats as R G B A. The daemon swaps, not we.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .samovar_link.messages import DTYPE_BYTES, Raster

RGBA_PROFILE = "sRGB-elle-V2-srgbtrc.icc"
FLOAT_PROFILE = "sRGB built-in"
"""The same encoding as a formula, which also holds outside 0..1; the table in RGBA_PROFILE ends there."""

GRAY_PROFILE = "Gray-D50-elle-V2-srgbtrc.icc"

_ENCODED = {
    "RGBA": {RGBA_PROFILE, "sRGB-elle-V4-srgbtrc.icc", "sRGB built-in", "sRGB IEC61966-2.1", "GIMP built-in sRGB"},
    "GRAYA": {GRAY_PROFILE, "Gray-D50-elle-V4-srgbtrc.icc"},
}
_CHANNELS = {"RGBA": 4, "GRAYA": 2}
_MODELS = {4: "RGBA", 2: "GRAYA"}
_DTYPES = {"U8": "u8", "U16": "u16", "F16": "f16", "F32": "f32"}
_DEPTHS = {dtype: depth for depth, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class ColorSpace:
    """As Krita names it, for example RGBA, U8, sRGB-elle-V2-srgbtrc.icc."""

    model: str
    depth: str
    profile: str

    @classmethod
    def of(cls, thing: Any) -> ColorSpace:
        """Of a node or a document."""
        return cls(thing.colorModel(), thing.colorDepth(), thing.colorProfile())

    @classmethod
    def of_raster(cls, raster: Raster) -> ColorSpace:
        """The one in which a raster from the daemon can be handed to Krita. Raises ValueError if there is none."""
        model, depth = _MODELS.get(raster.channels), _DEPTHS.get(raster.dtype)
        if model is None or depth is None:
            raise ValueError(f"Samovar sent {raster.channels} channels of {raster.dtype}, which Krita cannot take.")
        space = _encoded(model, depth)
        if model == "RGBA" and raster.order != space.order:
            raise ValueError(f"Samovar sent {raster.dtype} pixels as {raster.order}; Krita needs {space.order}.")
        return space

    @property
    def travels(self) -> ColorSpace:
        """The one in which pixels of this one are sent."""
        model = "GRAYA" if self.model == "GRAYA" else "RGBA"
        as_it_is = self.profile in _ENCODED.get(self.model, ()) and self.depth in _DTYPES
        return _encoded(model, self.depth if as_it_is else "F32")

    @property
    def is_encoded(self) -> bool:
        """Whether pixels of this one travel as they are."""
        return self.travels.depth == self.depth and self.profile in _ENCODED.get(self.model, ())

    @property
    def dtype(self) -> str:
        return _DTYPES[self.depth]

    @property
    def channels(self) -> int:
        return _CHANNELS[self.model]

    @property
    def order(self) -> str:
        """For gray, that of the colours which may come of it."""
        return "bgra" if self.depth in ("U8", "U16") else "rgba"

    @property
    def pixel_bytes(self) -> int:
        size: int = self.channels * DTYPE_BYTES[self.dtype]
        return size

    def apply(self, node: Any) -> None:
        """Convert a node's pixels. Only for nodes that are in no document: elsewhere it is a step of undo."""
        if not node.setColorSpace(self.model, self.depth, self.profile):
            raise ValueError(f"Krita cannot convert to {self.model} {self.depth} {self.profile}.")


def _encoded(model: str, depth: str) -> ColorSpace:
    if model == "GRAYA":
        return ColorSpace(model, depth, GRAY_PROFILE)
    return ColorSpace(model, depth, FLOAT_PROFILE if depth.startswith("F") else RGBA_PROFILE)
