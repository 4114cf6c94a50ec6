"""Which part of a layer a selection leaves to a job: what is sent of the layer, what comes back, what is shown of it.

Rules:
1. Only operations that take a mask are limited; those that resize work on the whole layer. What fills a selection needs
   one, may change a margin around it, and sees farther. To what grows from a sample the selection is the sample, and
   nothing around it is sent.
2. What comes back is the intersection of the selection's bounds with the layer's. Sent is that with a margin, more than
   any model looks around itself, so that the result is the same as if the whole layer had been sent; or all of it, if
   the operation needs to see that.
3. The selection goes as it is, soft or not. The daemon blends by it.
4. Where nothing is selected the patch is clear: a layer that is not opaque would else be seen twice there.
   Where something is, a see-through layer is seen twice as long as the user shows it under its patch: no alpha of a
   patch in normal mode can replace what lies below.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from mmap import mmap
from typing import Any

from .canvas import Source, Unsuitable, strips
from .qt import QtCore
from .samovar_link import request
from .samovar_link.messages import OperationInfo, Raster, Rectangle, Value
from .samovar_link.request import MASK

MARGIN_PIXELS = 128
"""Twice the largest receptive field of a model that keeps the size is 56."""

GRID_PIXELS = 32
"""Models see a grid of pitch 4 or so that begins at the layer's corner; what is sent begins on it too."""

_UNSELECTED = re.compile(rb"\0+")


@dataclass(frozen=True)
class Selected:
    """Part of a layer that is selected.

    bounds : what comes back, in the document's coordinates
    fetch : (x, y, width, height) -> one byte a pixel, 0 not selected, 255 fully
    """

    bounds: Any
    fetch: Callable[[int, int, int, int], Any]

    @property
    def raster(self) -> Raster:
        """Describes what `read` returns, the second frame of the job."""
        box = self.bounds
        return Raster(box.height(), box.width(), 1, "u8", "rgba", box.x(), box.y(), frame=1)

    def region(self, sent: Raster) -> Rectangle:
        """The bounds in pixels of what is sent of the layer."""
        box = self.bounds
        return Rectangle(box.x() - sent.x, box.y() - sent.y, box.width(), box.height())


def applies(operation: OperationInfo, values: Mapping[str, Value]) -> bool:
    """Whether a selection limits the operation with these parameters."""
    takes = MASK in operation.optional_roles and not request.resizes(operation, values)
    return takes or request.fills(operation, values) or request.samples(operation, values)


def limited(source: Source, operation: OperationInfo, values: Mapping[str, Value]) -> tuple[Source, Selected | None]:
    """What is to be sent of a layer, and which part of it is selected. None if nothing limits. Raises Unsuitable.

    values : of the operation's parameters
    """
    fills = request.fills(operation, values)
    selection = source.document.selection() if applies(operation, values) else None
    if selection is None:
        if fills:
            raise Unsuitable("Nothing is selected: select what is to be filled.")
        return source, None
    bounds = extent(selection).intersected(source.bounds)
    if bounds.isEmpty():
        raise Unsuitable(f"The selection holds nothing of “{source.name}”.")
    seen = MARGIN_PIXELS
    if fills:
        width, height = bounds.width(), bounds.height()
        margin = request.margin(values, width, height)
        bounds = bounds.adjusted(-margin, -margin, margin, margin).intersected(source.bounds)
        seen = request.context(values, width, height)
    if operation.whole:
        sent = source.bounds
    elif request.samples(operation, values):
        sent = bounds
    else:
        sent = _around(bounds, source.bounds, seen)
    # Of its own from here on: the user may select something else while it is being read.
    return replace(source, bounds=sent), Selected(bounds, selection.duplicate().pixelData)


def extent(selection: Any) -> Any:
    """The bounds of a selection in the document's coordinates."""
    return QtCore.QRect(selection.x(), selection.y(), selection.width(), selection.height())


def read(selected: Selected, name: str) -> Generator[float, None, memoryview]:
    """The selection's pixels. Yields the fraction done. Raises Unsuitable if none of them is selected."""
    raster = selected.raster
    pixels, found = memoryview(mmap(-1, raster.size_bytes)), False
    for top, rows in strips(raster.width, raster.height):
        strip = bytes(selected.fetch(raster.x, raster.y + top, raster.width, rows))
        if len(strip) != rows * raster.width:
            raise Unsuitable("Krita did not hand out the selection.")
        pixels[top * raster.width : (top + rows) * raster.width] = strip
        found = found or strip.count(0) < len(strip)
        yield (top + rows) / raster.height
    if not found:
        raise Unsuitable(f"The selection holds nothing of “{name}”.")
    return pixels


def clear_unselected(pixels: bytearray, mask: memoryview, pixel_bytes: int) -> None:
    """Make those pixels transparent whose byte of the mask is 0."""
    for run in _UNSELECTED.finditer(mask):
        start, stop = run.start() * pixel_bytes, run.end() * pixel_bytes
        pixels[start:stop] = bytes(stop - start)


def part_of(mask: memoryview, whole: Raster, part: Raster) -> memoryview:
    """The mask of a part of a result, cut out of the mask of the whole."""
    first = (part.y - whole.y) * whole.width + part.x - whole.x
    starts = range(first, first + part.height * whole.width, whole.width)
    return memoryview(b"".join(mask[start : start + part.width] for start in starts))


def _around(part: Any, layer: Any, margin: int) -> Any:
    """The part with so many pixels around it, within the layer, beginning on the layer's grid."""
    left, top = (
        at - (at - margin - start) % GRID_PIXELS - margin
        for at, start in ((part.x(), layer.x()), (part.y(), layer.y()))
    )
    right, bottom = part.x() + part.width() + margin, part.y() + part.height() + margin
    return QtCore.QRect(left, top, right - left, bottom - top).intersected(layer)
