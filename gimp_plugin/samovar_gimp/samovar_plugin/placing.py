"""Where the result goes: always a new layer above the source, and one step of undo for all that changes.

Everything that can fail was done before the first change: the result is here, whole. The source's own pixels are never
written to.

Of a layer that shows what is below it (transparent, blended, masked), a changed part cannot lie on top: both would
show. There the new layer is a copy of all the source with the part in it, and the source is hidden.

What is new and takes nothing's place lies where its raster says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi.repository import Gegl, Gimp

from samovar_link.messages import Raster, Rectangle

from .arguments import IMAGE, scaled
from .source import MASK_FORMAT, Source, babl_name, rectangle

OWN = "own"
"""A scope beside those of `arguments`: the result lies where its raster says."""

_MODES = {"color": Gimp.LayerMode.LCH_COLOR, "multiply": Gimp.LayerMode.MULTIPLY}
LAYER_TYPES = {1: "GRAY_IMAGE", 2: "GRAYA_IMAGE", 3: "RGB_IMAGE", 4: "RGBA_IMAGE"}


@dataclass(frozen=True)
class Placing:
    """How to place a result.

    scope : of `arguments`, or OWN
    factor : what the canvas is scaled by, if that is the scope
    hide : whether the source stops being shown
    mask : of the source's area, as it was when the work began; None if all of it shows
    blend : how it is laid over the source, in the protocol's words; "": as the source itself is over what is below
    """

    scope: str
    name: str
    factor: float
    hide: bool
    mask: bytes | None
    blend: str = ""


def place(source: Source, raster: Raster, pixels: memoryview, how: Placing) -> Gimp.Layer:
    """Put the result into the image and return its layer."""
    image = source.image
    layer: Gimp.Layer | None = None
    image.undo_group_start()
    try:
        _make_room_for_colours(image, raster)
        if how.mask is not None:
            layer = _insert(source, how.name, raster.channels, source.area.width, source.area.height)
            _add_mask(layer, source.area, how.mask)
        if how.scope == IMAGE:
            image.scale(*(scaled(side, how.factor) for side in (image.get_width(), image.get_height())))
        if layer is None:
            layer = _insert(source, how.name, raster.channels, raster.width, raster.height)
        elif (raster.width, raster.height) != (source.area.width, source.area.height):
            layer.scale(raster.width, raster.height, False)  # GIMP interpolates the mask
        layer.set_offsets(*corner(source, raster, how.scope))
        write(layer, babl_name(raster), Rectangle(0, 0, raster.width, raster.height), pixels)
        if how.blend:
            layer.set_mode(_MODES[how.blend])
        if how.hide:
            source.layer.set_visible(False)
    finally:
        image.undo_group_end()
    return layer


def place_in_copy(source: Source, raster: Raster, results: Sequence[memoryview], name: str) -> Gimp.Layer:
    """Put each result of the area's size into a copy of the source, the first one shown in its stead, and return it."""
    source.image.undo_group_start()
    try:
        _make_room_for_colours(source.image, raster)
        layers = [_copy_with(source, raster, pixels, title) for title, pixels in _titled(results, name)]
        _show_first(source.image, layers)
        source.layer.set_visible(False)
    finally:
        source.image.undo_group_end()
    return layers[0]


def place_apart(
    source: Source, raster: Raster, results: Sequence[memoryview], name: str, scope: str, mask: bytes | None = None
) -> Gimp.Layer:
    """Put each result into a layer of its own, and return the first one, which is shown.

    mask : for a layer mask, if the results have the area's size; None if all of them shows
    """
    layers = []
    source.image.undo_group_start()
    try:
        _make_room_for_colours(source.image, raster)
        for title, pixels in _titled(results, name):
            layer = _insert(source, title, raster.channels, raster.width, raster.height)
            layer.set_offsets(*corner(source, raster, scope))
            write(layer, babl_name(raster), Rectangle(0, 0, raster.width, raster.height), pixels)
            if mask is not None:
                _add_mask(layer, source.area, mask)
            layers.append(layer)
        _show_first(source.image, layers)
    finally:
        source.image.undo_group_end()
    return layers[0]


def _make_room_for_colours(image: Gimp.Image, raster: Raster) -> None:
    """An image in grayscale mode holds no layer with colours."""
    if raster.channels >= 3 and image.get_base_type() == Gimp.ImageBaseType.GRAY:
        image.convert_rgb()


def _titled(results: Sequence[memoryview], name: str) -> list[tuple[str, memoryview]]:
    """Results with the names of their layers. Each is put right above the source, so the first one ends on top."""
    return [(name if len(results) == 1 else f"{name} {number}", each) for number, each in enumerate(results, 1)]


def _show_first(image: Gimp.Image, layers: Sequence[Gimp.Layer]) -> None:
    for layer in layers[1:]:
        layer.set_visible(False)
    image.set_selected_layers([layers[0]])


def _copy_with(source: Source, raster: Raster, pixels: memoryview, name: str) -> Gimp.Layer:
    """A copy of the source with a result of the area's size in it, above the source."""
    old = source.layer
    whole = Rectangle(0, 0, old.get_width(), old.get_height())
    layer = _insert(source, name, raster.channels, whole.width, whole.height)
    layer.set_offsets(*old.get_offsets()[1:])
    _copy(old, layer, whole)
    write(layer, babl_name(raster), source.area, pixels)
    if (mask := old.get_mask()) is not None and old.get_apply_mask():
        copied = layer.create_mask(Gimp.AddMaskType.WHITE)
        layer.add_mask(copied)
        _copy(mask, copied, whole)
        layer.set_edit_mask(False)
    return layer


def _insert(source: Source, name: str, channels: int, width: int, height: int) -> Gimp.Layer:
    """An empty layer above the source, that blends as the source does."""
    layer = empty(source, name, channels, width, height)
    insert(source, layer)
    return layer


def empty(source: Source, name: str, channels: int, width: int, height: int) -> Gimp.Layer:
    """A layer that blends as the source does and is in no image yet."""
    old = source.layer
    kind = getattr(Gimp.ImageType, LAYER_TYPES[channels])
    layer = Gimp.Layer.new(source.image, name, width, height, kind, old.get_opacity(), old.get_mode())
    layer.set_blend_space(old.get_blend_space())
    layer.set_composite_space(old.get_composite_space())
    layer.set_composite_mode(old.get_composite_mode())
    return layer


def insert(source: Source, layer: Gimp.Layer) -> None:
    """Put the layer above the source. GIMP makes it the one that is painted on."""
    source.image.insert_layer(layer, source.layer.get_parent(), source.image.get_item_position(source.layer))


def _add_mask(layer: Gimp.Layer, area: Rectangle, mask: bytes) -> None:
    channel = layer.create_mask(Gimp.AddMaskType.WHITE)
    layer.add_mask(channel)
    write(channel, MASK_FORMAT, Rectangle(0, 0, area.width, area.height), memoryview(mask))
    layer.set_edit_mask(False)


def corner(source: Source, raster: Raster, scope: str) -> tuple[int, int]:
    """Where the result goes: with the source if the canvas was scaled, else centred, as GIMP's Scale Layer does; or
    where it belongs by itself."""
    if scope == OWN:
        return raster.x, raster.y
    x, y = source.corner
    if scope == IMAGE:
        return x, y
    return x - (raster.width - source.area.width) // 2, y - (raster.height - source.area.height) // 2


def write(drawable: Gimp.Drawable, format: str, area: Rectangle, pixels: memoryview) -> None:
    """Fill part of the drawable. GEGL takes a wrong length without a word and writes nothing: it was checked on
    receipt."""
    buffer: Gegl.Buffer = drawable.get_buffer()
    buffer.set(rectangle(area), format, pixels)
    buffer.flush()
    drawable.update(area.x, area.y, area.width, area.height)


def _copy(old: Gimp.Drawable, new: Gimp.Drawable, area: Rectangle) -> None:
    """Pixels alone, as they are: a copied text layer would be drawn anew some day, without the result."""
    box, buffer = rectangle(area), new.get_buffer()
    old.get_buffer().copy(box, Gegl.AbyssPolicy.NONE, buffer, box)
    buffer.flush()
