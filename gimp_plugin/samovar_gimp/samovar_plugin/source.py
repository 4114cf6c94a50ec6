"""What is sent: part of a layer and what lies around it, as pixels that lose nothing on the way.

Pixels leave GIMP sRGB-encoded with straight alpha, in the layer's own channels. 8-bit images go as u8, 16-bit ones as
u16. Whatever would lose values by that goes as float: more bits, linear light, or a profile wider than sRGB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gi.repository import Babl, Gegl, Gimp

from samovar_link import request
from samovar_link.messages import Raster, Rectangle, Value

from .arguments import SELECTION


class Unsuitable(Exception):
    """The layer cannot be sent; the message is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Source:
    """Part of a layer. `area` is worked on, `seen` is sent: there is more of it, so that no seam shows where the area
    ends. Both count from the layer's corner. `selected` means that the selection shapes the area."""

    image: Gimp.Image
    layer: Gimp.Layer
    area: Rectangle
    seen: Rectangle
    selected: bool

    @property
    def corner(self) -> tuple[int, int]:
        """Upper left corner of the area in the image."""
        _, x, y = self.layer.get_offsets()
        return x + self.area.x, y + self.area.y

    @property
    def layer_corner(self) -> tuple[int, int]:
        """That of the whole layer."""
        _, x, y = self.layer.get_offsets()
        return x, y

    @property
    def region(self) -> Rectangle | None:
        """The area within what is seen; None if it is all of it."""
        area, seen = self.area, self.seen
        return None if area == seen else Rectangle(area.x - seen.x, area.y - seen.y, area.width, area.height)

    def read(self) -> tuple[Raster, bytes]:
        """The pixels that are sent."""
        seen = self.seen
        _, x, y = self.layer.get_offsets()
        channels = (1 if self.layer.is_gray() else 3) + self.layer.has_alpha()
        raster = Raster(seen.height, seen.width, channels, dtype(self.image, self.layer), x=x + seen.x, y=y + seen.y)
        return raster, self._read(self.layer, seen, babl_name(raster))

    def mask(self) -> bytes | None:
        """What of the area shows, by layer mask and selection; None if all of it does. Linear, u16."""
        masks = [mask for mask in (self.layer_mask(), self.selection()) if mask and not _full(mask)]
        return _product(*masks) if len(masks) == 2 else masks[0] if masks else None

    def selection(self) -> bytes | None:
        """How much each pixel of the area is selected; None if that does not matter. Linear, u16."""
        if not self.selected:
            return None
        area = Rectangle(*self.corner, self.area.width, self.area.height)
        return self._read(self.image.get_selection(), area, MASK_FORMAT)

    @property
    def mask_raster(self) -> Raster:
        """How `selection` or `mask` lie in the image, as the second frame of a message."""
        x, y = self.corner
        return Raster(self.area.height, self.area.width, 1, "u16", x=x, y=y, frame=1)

    @property
    def hides_what_is_below(self) -> bool:
        """Whether a result on top of the area covers it, rather than adding to what shows through."""
        layer = self.layer
        if layer.get_opacity() < 100 or layer.get_mode() != Gimp.LayerMode.NORMAL:
            return False
        if (mask := self.layer_mask()) and not _full(mask):
            return False
        return not layer.has_alpha() or _full(self._read(layer, self.area, "Y'A u16"), 2, 4)

    def drawn(self, layer: Gimp.Layer) -> tuple[Raster, bytes]:
        """All of another layer, with alpha, at its place in the image."""
        _, x, y = layer.get_offsets()
        area = Rectangle(0, 0, layer.get_width(), layer.get_height())
        raster = Raster(area.height, area.width, 4, dtype(self.image, layer), x=x, y=y)
        return raster, self._read(layer, area, babl_name(raster))

    def must_exist(self) -> None:
        """Raises Unsuitable if a result has no place any more: GIMP's windows are open all the while."""
        if not self.image.is_valid():
            raise Unsuitable("The image was closed, so the result has no place.")
        if not self.layer.is_valid():
            raise Unsuitable("The layer was deleted, so the result has no place; nothing else changed.")
        _must_take_layers(self.layer.get_parent())

    def layer_mask(self) -> bytes | None:
        """The part of the layer's own mask that belongs to the area; None if it has none that applies. Linear, u16."""
        mask = self.layer.get_mask() if self.layer.get_apply_mask() else None
        return None if mask is None else self._read(mask, self.area, MASK_FORMAT)

    @staticmethod
    def _read(drawable: Gimp.Drawable, area: Rectangle, format: str) -> bytes:
        return drawable.get_buffer().get(rectangle(area), 1.0, format, Gegl.AbyssPolicy.NONE)


MASK_FORMAT = "Y u16"
"""Not "Y' u16": that would push a half selected pixel through the sRGB curve."""

CONTEXT = 128
"""Pixels around a selection that are sent along: more than any model looks around itself (2 * 48 with alpha)."""
GRID = 64
"""What is sent begins at a multiple of this, so that models which halve the picture see it as in the whole layer."""


def hole(image: Gimp.Image, drawables: list[Gimp.Drawable], values: Mapping[str, Value]) -> Source:
    """What is selected of the layer, with the margin that a filling may change, and what it has to see around that.

    values : of the operation's parameters. Raises Unsuitable.
    """
    layer = _single_layer(drawables)
    whole = Rectangle(0, 0, layer.get_width(), layer.get_height())
    if not Gimp.Selection.bounds(image)[1]:
        raise Unsuitable("Nothing is selected; select what is to be filled.")
    overlaps, x, y, width, height = layer.mask_intersect()
    if not overlaps:
        raise Unsuitable("The selection does not touch the layer; select part of it.")
    selected = Rectangle(x, y, width, height)
    area = _around(selected, whole, request.margin(values, width, height))
    return Source(image, layer, area, _around(area, whole, request.context(values, width, height), GRID), True)


def choose(
    image: Gimp.Image, drawables: list[Gimp.Drawable], scope: str, context: bool = True, all_of_it: bool = False
) -> Source:
    """The part of the image that the scope means, with what lies around it if wanted. Raises Unsuitable.

    all_of_it : send all of the layer, whatever the part
    """
    layer = _single_layer(drawables)
    whole = Rectangle(0, 0, layer.get_width(), layer.get_height())
    _, anything, *_ = Gimp.Selection.bounds(image)
    if scope != SELECTION or not anything:  # nothing selected means everything, as in GIMP's own filters
        return Source(image, layer, whole, whole, False)
    overlaps, x, y, width, height = layer.mask_intersect()
    if not overlaps:
        raise Unsuitable("The selection does not touch the layer; select part of it, or choose another scope.")
    area = Rectangle(x, y, width, height)
    if all_of_it:
        return Source(image, layer, area, whole, True)
    return Source(image, layer, area, _around(area, whole, CONTEXT, GRID) if context else area, True)


def _around(area: Rectangle, whole: Rectangle, margin: int, grid: int = 1) -> Rectangle:
    """The area with a margin, as far as there is a layer, from a multiple of `grid` on."""
    x, y = (max(0, start - margin) // grid * grid for start in (area.x, area.y))
    right, bottom = area.x + area.width + margin, area.y + area.height + margin
    return Rectangle(x, y, min(right, whole.width) - x, min(bottom, whole.height) - y)


def _single_layer(drawables: list[Gimp.Drawable]) -> Gimp.Layer:
    if len(drawables) != 1:
        raise Unsuitable(f"{len(drawables)} layers are chosen; choose the one to work on.")
    layer = drawables[0]
    if not isinstance(layer, Gimp.Layer):
        raise Unsuitable("A mask or channel is chosen; choose the layer itself.")
    if layer.is_group():
        raise Unsuitable("A layer group is chosen; choose a layer in it, or merge the group first.")
    _must_take_layers(layer.get_parent())
    if layer.is_floating_sel():
        raise Unsuitable("The layer is a floating selection; anchor it or make it a new layer first.")
    if layer.is_indexed():
        raise Unsuitable("The image has indexed colours; convert it first: Image > Mode > RGB.")
    if any(effect.get_visible() for effect in layer.get_filters()):
        raise Unsuitable("The layer has effects that the result would lack; merge or hide them first (Fx, in Layers).")
    return layer


def _must_take_layers(group: Gimp.Item | None) -> None:
    if group is not None and locked(group):
        raise Unsuitable("The layer is in a locked group, which takes no result; unlock the group first.")


def locked(item: Gimp.Item) -> bool:
    """Whether its content is locked, by itself or by a group around it. GIMP kills a plug-in that writes there."""
    parent = item.get_parent()
    return item.get_lock_content() or (parent is not None and locked(parent))


def rectangle(area: Rectangle) -> Gegl.Rectangle:
    return Gegl.Rectangle.new(area.x, area.y, area.width, area.height)


def babl_name(raster: Raster) -> str:
    """Name of GEGL's pixel format for a raster; the accents mean sRGB-encoded."""
    colour = {1: "Y'", 2: "Y'A", 3: "R'G'B'", 4: "R'G'B'A"}[raster.channels]
    depth = {"u8": "u8", "u16": "u16", "f16": "half", "f32": "float"}[raster.dtype]
    return f"{colour} {depth}"


def dtype(image: Gimp.Image, layer: Gimp.Layer) -> str:
    """The smallest pixel type that loses nothing of the layer."""
    if image.get_color_profile() is not None and Babl.get_name(Babl.format_get_space(layer.get_format())) != "sRGB":
        return "f32"
    precision = image.get_precision()
    if precision in (Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U8_PERCEPTUAL):
        return "u8"
    encoded_16 = (Gimp.Precision.U8_LINEAR, Gimp.Precision.U16_NON_LINEAR, Gimp.Precision.U16_PERCEPTUAL)
    return "u16" if precision in encoded_16 else "f32"


def _full(values: bytes, first: int = 0, step: int = 2) -> bool:
    """Whether the largest u16 stands at byte `first`, and from there at every `step` bytes."""
    return all(values[byte::step].count(b"\xff") * step == len(values) for byte in (first, first + 1))


def changed(shares: memoryview) -> bytes:
    """A mask that shows whatever got any share of the new: the pixels are mixed already. u8 -> linear u16"""
    shown = bytes(shares).translate(bytes([0]) + b"\xff" * 255)
    mask = bytearray(2 * len(shown))
    mask[::2] = mask[1::2] = shown
    return bytes(mask)


def _product(a: bytes, b: bytes) -> bytes:
    pairs = zip(memoryview(a).cast("H"), memoryview(b).cast("H"), strict=True)
    return b"".join((x * y // 65535).to_bytes(2, "little") for x, y in pairs)
