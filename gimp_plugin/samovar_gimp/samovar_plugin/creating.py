"""What is made out of nothing: what is sent in place of a layer, and the layers that come of it.

The active layer, if there is one, says which kind of pixels is wanted, and the result lies above it, in the middle of
the image. What is in it, what is selected, whether it is hidden or locked makes no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi.repository import Gimp

from samovar_link.messages import Raster, Rectangle

from .placing import LAYER_TYPES, write
from .source import Unsuitable, babl_name, dtype, locked


@dataclass(frozen=True)
class Place:
    """Where in an image. layer : the one that is active; None if there is none, or a channel is"""

    image: Gimp.Image
    layer: Gimp.Layer | None

    def raster(self, width: int, height: int) -> Raster:
        """Describes the only pixel that is sent: its kind, and the corner of a result of that size."""
        x, y = (max(0, free // 2) for free in (self.image.get_width() - width, self.image.get_height() - height))
        layer = self.layer
        if layer is not None:
            return Raster(1, 1, _channels(layer), dtype(self.image, layer), x=x, y=y)
        gray = self.image.get_base_type() == Gimp.ImageBaseType.GRAY
        like = _new(self.image, "", 2 if gray else 4, 1, 1)
        try:
            return Raster(1, 1, _channels(like), dtype(self.image, like), x=x, y=y)
        finally:
            like.delete()

    def must_exist(self) -> None:
        """Raises Unsuitable if a result has no place any more."""
        if not self.image.is_valid():
            raise Unsuitable("The image was closed, so the result has no place.")

    def above(self) -> tuple[Gimp.Item | None, int]:
        """Group and position of what comes above the active layer, or above a locked group that it is in."""
        above: Gimp.Item | None = self.layer if self.layer is not None and self.layer.is_valid() else None
        if above is None:
            return None, 0
        while (parent := above.get_parent()) is not None and locked(parent):
            above = parent
        return parent, self.image.get_item_position(above)


def choose(image: Gimp.Image, drawables: Sequence[Gimp.Drawable]) -> Place:
    """The place above the active layer. Raises Unsuitable."""
    if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
        raise Unsuitable("The image has indexed colours; convert it first: Image > Mode > RGB.")
    if image.get_floating_sel() is not None:
        raise Unsuitable("There is a floating selection; anchor it or make it a new layer first.")
    return Place(image, next((each for each in drawables if isinstance(each, Gimp.Layer)), None))


@dataclass(frozen=True)
class Made:
    """A picture, and the name of its layer."""

    name: str
    raster: Raster
    pixels: memoryview


def place(at: Place, pictures: Sequence[Made], name: str) -> Gimp.Layer:
    """Put each into a layer of its own where its raster says, several of them into a group, and return that. One step
    of undo.

    pictures : the uppermost first; name : of the group
    """
    image = at.image
    image.undo_group_start()
    try:
        parent, position = at.above()
        whole: Gimp.Layer | None = None
        if len(pictures) > 1:
            whole = Gimp.GroupLayer.new(image, name)
            image.insert_layer(whole, parent, position)
            parent, position = whole, 0
        for index, each in enumerate(pictures):
            layer = _layer(image, each)
            image.insert_layer(layer, parent, position + index)
        made = layer if whole is None else whole
        image.set_selected_layers([made])
    finally:
        image.undo_group_end()
    return made


def _layer(image: Gimp.Image, made: Made) -> Gimp.Layer:
    """In no image yet."""
    raster = made.raster
    layer = _new(image, made.name, raster.channels, raster.width, raster.height)
    layer.set_offsets(raster.x, raster.y)
    write(layer, babl_name(raster), Rectangle(0, 0, raster.width, raster.height), made.pixels)
    return layer


def _channels(layer: Gimp.Layer) -> int:
    return (1 if layer.is_gray() else 3) + layer.has_alpha()


def _new(image: Gimp.Image, name: str, channels: int, width: int, height: int) -> Gimp.Layer:
    """A layer that is in no image yet."""
    kind = getattr(Gimp.ImageType, LAYER_TYPES[channels])
    return Gimp.Layer.new(image, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
