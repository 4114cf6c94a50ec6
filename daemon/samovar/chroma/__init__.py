"""Colour of a picture apart from its lightness: CIE Lab, strokes of colour, and bringing coarse colour to full size.

A `Chroma` is a tensor (1, 2, H, W) float32: a and b of CIE Lab, 0 without colour, about -110..110 for what sRGB holds.
A `Lightness` is a tensor (1, 1, H, W) float32: L of CIE Lab, 0 (black) .. 100 (white).
"""

Wrap = tuple[bool, bool]
"""Whether a picture goes on at its other side along (y, x)."""
