"""Finished parts of a result, seen in the image while the rest is worked on.

They lie in a layer of their own above the source, which is there to look at and goes before the job ends, however it
ends. Rules:

1. Undo never hears of it. The history is frozen for the two calls by which it comes or goes and at no other time,
   because the user goes on painting and undoing meanwhile.
2. The image is as saved or unsaved as before, and the same layers or channels are chosen.
3. GIMP kills a plug-in that writes to a layer that is gone or locked: look first, every time. Without the layer the job
   goes on. A layer that goes between the look and the write, a few milliseconds, ends the run all the same, by GIMP's
   own message; the source is as it was, and the daemon remembers the tiles for the next run.
4. Should this process die all the same, what stays is an ordinary layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from gi.repository import Gegl, Gimp

from samovar_link.messages import Progress, Raster, Rectangle

from .arguments import scaled
from .placing import OWN, corner, empty, insert, write
from .source import MASK_FORMAT, Source, babl_name, locked, rectangle

_WITH_ALPHA = {1: 2, 2: 2, 3: 4, 4: 4}
"""Channels, for what is not there yet to be seen through."""


class Live:
    """The layer of one job, as a context. It comes with the first part.

    scope : as of `Placing`, but not IMAGE: the canvas is scaled only once the result is there
    factor : by which the result is larger than the source's area
    mask : of the source's area, linear u16; None if all of it shows
    improves : the whole result comes again and again, better each time
    """

    def __init__(
        self, source: Source, name: str, scope: str, factor: float, mask: bytes | None, improves: bool = False
    ) -> None:
        self._improves = improves
        self._source, self._name, self._scope, self._factor, self._mask = source, name, scope, factor, mask
        self._layer: Gimp.Layer | None = None

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        Gimp.displays_flush()

    def end(self) -> None:
        """Take the layer away. What GIMP shows changes only with the next flush, so a result that follows at once takes
        its place without a flicker. It must follow: what undo knows of goes before the image counts as unsaved."""
        layer, self._layer = self._layer, None
        if layer is not None and layer.is_valid():
            with _unheard(self._source.image):
                self._source.image.remove_layer(layer)

    @property
    def on_canvas(self) -> Rectangle | None:
        """What of the pixels sent will be on the canvas, as a viewport; None if all or nothing is.

        GIMP tells nobody what its windows show, but it is not what lies beyond the canvas: three quarters of a layer
        that filled it and grew to twice its size.
        """
        if self._scope == OWN:
            return None  # no part of it comes of any one part of what is sent
        image, area, seen = self._source.image, self._source.area, self._source.seen
        whole = Raster(scaled(area.height, self._factor), scaled(area.width, self._factor), channels=4)
        x, y = corner(self._source, whole, self._scope)
        left, right = self._within(x, image.get_width(), area.x - seen.x, seen.width)
        top, bottom = self._within(y, image.get_height(), area.y - seen.y, seen.height)
        if left >= right or top >= bottom or (right - left, bottom - top) == (seen.width, seen.height):
            return None
        return Rectangle(left, top, right - left, bottom - top)

    def _within(self, start: int, canvas: int, margin: int, sent: int) -> tuple[int, int]:
        """First and last pixel of those sent along one side, when the result begins at `start` on the canvas."""
        first, last = ((edge - start) / self._factor + margin for edge in (0, canvas))
        return max(0, math.floor(first)), min(sent, math.ceil(last))

    def show(self, progress: Progress, frames: list[memoryview]) -> None:
        """Put a part in its place."""
        part, whole = progress.images.get("image"), progress.whole
        if part is None or whole is None:
            return
        if not self._improves and (part.width, part.height) == (whole.width, whole.height):
            return  # the result itself comes right behind
        if self._layer is None:
            self._layer = self._insert(whole)
        if not _takes(self._layer, whole):
            return
        area = Rectangle(part.x - whole.x, part.y - whole.y, part.width, part.height)
        write(self._layer, babl_name(part), area, frames[part.frame])
        Gimp.displays_flush()

    def _insert(self, whole: Raster) -> Gimp.Layer:
        source = self._source
        layer = empty(source, self._name, _WITH_ALPHA[whole.channels], whole.width, whole.height)
        layer.set_offsets(*corner(source, whole, self._scope))
        if self._mask is not None:
            channel = layer.create_mask(Gimp.AddMaskType.WHITE)
            layer.add_mask(channel)
            box = Rectangle(0, 0, whole.width, whole.height)
            write(channel, MASK_FORMAT, box, memoryview(_enlarged(self._mask, source.area, box)))
            layer.set_edit_mask(False)
        with _unheard(source.image):
            insert(source, layer)
        return layer


def shows(source: Source) -> bool:
    """Whether parts of the result over the source look about like the result."""
    return source.layer.get_mode() == Gimp.LayerMode.NORMAL


def _takes(layer: Gimp.Layer, whole: Raster) -> bool:
    """Whether the user left it as it was made: neither deleted nor locked nor resized."""
    if not layer.is_valid() or locked(layer):
        return False
    return (layer.get_width(), layer.get_height()) == (whole.width, whole.height)


def _enlarged(mask: bytes, area: Rectangle, box: Rectangle) -> bytes:
    """The mask in the result's size, without smoothing: it is looked at for a moment only."""
    if (area.width, area.height) == (box.width, box.height):
        return mask
    buffer = Gegl.Buffer.new(MASK_FORMAT, 0, 0, area.width, area.height)
    buffer.set(rectangle(Rectangle(0, 0, area.width, area.height)), MASK_FORMAT, mask)
    return buffer.get(rectangle(box), box.width / area.width, MASK_FORMAT, Gegl.AbyssPolicy.CLAMP)


@contextmanager
def _unheard(image: Gimp.Image) -> Iterator[None]:
    """What is done to the image meanwhile is in no history and leaves no trace but itself. Keep it short: what the user
    does in that moment is in no history either."""
    saved = not image.is_dirty()
    channels, layers = image.get_selected_channels(), image.get_selected_layers()
    image.undo_freeze()
    try:
        yield
        if channels:
            image.set_selected_channels(channels)
        else:
            image.set_selected_layers([each for each in layers if each.is_valid()])
        if saved:
            image.clean_all()
        elif not image.is_dirty():
            # GIMP counts changes since the last save, and downwards in undo: these here have just made it 0.
            image.delete_guide(image.add_hguide(0))
    finally:
        image.undo_thaw()
