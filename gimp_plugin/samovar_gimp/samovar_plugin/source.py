"""What is sent: part of a layer, as pixels that lose nothing on the way.

Pixels leave GIMP sRGB-encoded with straight alpha, in the layer's own channels. 8-bit images go as u8, 16-bit ones as
u16. Whatever would lose values by that goes as float: more bits, linear light, or a profile wider than sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass

from gi.repository import Babl, Gegl, Gimp

from samovar_link.messages import Raster, Rectangle

from .arguments import SELECTION


class Unsuitable(Exception):
    """The layer cannot be sent; the message is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Source:
    """Part of a layer. `area` counts from the layer's corner; `selected` means that the selection shapes it."""

    image: Gimp.Image
    layer: Gimp.Layer
    area: Rectangle
    selected: bool

    @property
    def corner(self) -> tuple[int, int]:
        """Upper left corner of the area in the image."""
        _, x, y = self.layer.get_offsets()
        return x + self.area.x, y + self.area.y

    def read(self) -> tuple[Raster, bytes]:
        """The area's pixels."""
        x, y = self.corner
        channels = (1 if self.layer.is_gray() else 3) + self.layer.has_alpha()
        raster = Raster(self.area.height, self.area.width, channels, _dtype(self.image, self.layer), x=x, y=y)
        buffer = self.layer.get_buffer()
        return raster, buffer.get(rectangle(self.area), 1.0, babl_name(raster), Gegl.AbyssPolicy.NONE)

    def mask(self) -> bytes | None:
        """What of the area shows, by layer mask and selection; None if all of it does. Linear, u16."""
        masks = []
        if (mask := self.layer.get_mask()) is not None and self.layer.get_apply_mask():
            masks.append(mask.get_buffer().get(rectangle(self.area), 1.0, MASK_FORMAT, Gegl.AbyssPolicy.NONE))
        if self.selected:
            area = Rectangle(*self.corner, self.area.width, self.area.height)
            channel = self.image.get_selection().get_buffer()
            masks.append(channel.get(rectangle(area), 1.0, MASK_FORMAT, Gegl.AbyssPolicy.NONE))
        masks = [mask for mask in masks if mask.count(b"\xff") != len(mask)]
        return _product(*masks) if len(masks) == 2 else masks[0] if masks else None


MASK_FORMAT = "Y u16"
"""Not "Y' u16": that would push a half selected pixel through the sRGB curve."""


def choose(image: Gimp.Image, drawables: list[Gimp.Drawable], scope: str) -> Source:
    """The part of the image that the scope means. Raises Unsuitable."""
    layer = _single_layer(drawables)
    whole = Rectangle(0, 0, layer.get_width(), layer.get_height())
    _, anything, *_ = Gimp.Selection.bounds(image)
    if scope != SELECTION or not anything:  # nothing selected means everything, as in GIMP's own filters
        return Source(image, layer, whole, False)
    overlaps, x, y, width, height = layer.mask_intersect()
    if not overlaps:
        raise Unsuitable("The selection does not touch the layer; select part of it, or choose another scope.")
    return Source(image, layer, Rectangle(x, y, width, height), True)


def _single_layer(drawables: list[Gimp.Drawable]) -> Gimp.Layer:
    if len(drawables) != 1:
        raise Unsuitable(f"{len(drawables)} layers are chosen; choose the one to work on.")
    layer = drawables[0]
    if not isinstance(layer, Gimp.Layer):
        raise Unsuitable("A mask or channel is chosen; choose the layer itself.")
    if layer.is_group():
        raise Unsuitable("A layer group is chosen; choose a layer in it, or merge the group first.")
    if layer.is_floating_sel():
        raise Unsuitable("The layer is a floating selection; anchor it or make it a new layer first.")
    if layer.is_indexed():
        raise Unsuitable("The image has indexed colours; convert it first: Image > Mode > RGB.")
    return layer


def rectangle(area: Rectangle) -> Gegl.Rectangle:
    return Gegl.Rectangle.new(area.x, area.y, area.width, area.height)


def babl_name(raster: Raster) -> str:
    """Name of GEGL's pixel format for a raster; the accents mean sRGB-encoded."""
    colour = {1: "Y'", 2: "Y'A", 3: "R'G'B'", 4: "R'G'B'A"}[raster.channels]
    depth = {"u8": "u8", "u16": "u16", "f16": "half", "f32": "float"}[raster.dtype]
    return f"{colour} {depth}"


def _dtype(image: Gimp.Image, layer: Gimp.Layer) -> str:
    """The smallest pixel type that loses nothing of the layer."""
    if image.get_color_profile() is not None and Babl.get_name(Babl.format_get_space(layer.get_format())) != "sRGB":
        return "f32"
    precision = image.get_precision()
    if precision in (Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U8_PERCEPTUAL):
        return "u8"
    encoded_16 = (Gimp.Precision.U8_LINEAR, Gimp.Precision.U16_NON_LINEAR, Gimp.Precision.U16_PERCEPTUAL)
    return "u16" if precision in encoded_16 else "f32"


def _product(a: bytes, b: bytes) -> bytes:
    pairs = zip(memoryview(a).cast("H"), memoryview(b).cast("H"), strict=True)
    return b"".join((x * y // 65535).to_bytes(2, "little") for x, y in pairs)
