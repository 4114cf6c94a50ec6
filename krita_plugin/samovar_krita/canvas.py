"""Reading: the pixels of the active layer, on their way out.

Rules:
1. Nothing here changes the document or its undo history. Conversions happen in nodes that are in no document.
2. What is read is the layer as it was when the job began: `duplicate` copies a paint layer without copying its pixels.
3. Layers whose look comes from elsewhere (groups, vectors, files, fills, clones, and layers with masks) are read as
   they look, as far as the canvas goes, straight from the document. There a stroke made during the fraction of a second
   of reading may come along.
4. A layer that cannot be read is refused with one sentence that names it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from mmap import mmap
from typing import Any

from .colorspace import ColorSpace
from .qt import QtCore
from .samovar_link.messages import Raster

STRIP_PIXELS = 1 << 14
"""Converting this many takes Krita two to four milliseconds."""

_SEEN = ("grouplayer", "vectorlayer", "filelayer", "filllayer", "clonelayer")


class Unsuitable(Exception):
    """There is nothing to work on. The message is one sentence for the user."""


@dataclass(frozen=True)
class Source:
    """The layer a job works on.

    node : may have left the document when the job ends; find it again by `identity`
    fetch : (x, y, width, height) -> bytes in the colour space `space`, in the document's coordinates
    """

    document: Any
    node: Any
    identity: str
    name: str
    space: ColorSpace
    bounds: Any
    fetch: Callable[[int, int, int, int], Any]

    @property
    def raster(self) -> Raster:
        """Describes the pixels that `read` returns."""
        sent = self.space.travels
        box = self.bounds
        return Raster(box.height(), box.width(), sent.channels, sent.dtype, sent.order, box.x(), box.y())


def active(document: Any) -> Source:
    """The active layer. Raises Unsuitable."""
    if document is None:
        raise Unsuitable("Open a picture first.")
    node = document.activeNode()
    if node is None:
        raise Unsuitable("Choose a layer first.")
    return source(document, node)


def source(document: Any, node: Any) -> Source:
    """A layer of a document. Raises Unsuitable."""
    kind, name = node.type(), node.name()
    if kind.endswith("mask"):
        raise Unsuitable(f"“{name}” is a mask; choose the layer it belongs to.")
    if kind != "paintlayer" and kind not in _SEEN:
        raise Unsuitable(f"“{name}” has no pixels of its own; choose a paint layer or a group.")
    bounds = node.bounds()
    masked = any(child.visible() and child.type() != "selectionmask" for child in node.childNodes())
    if kind == "paintlayer" and not masked:
        fetch = node.duplicate().pixelData
    else:
        bounds = bounds.intersected(QtCore.QRect(0, 0, document.width(), document.height()))
        fetch = node.projectionPixelData
    if bounds.isEmpty():
        raise Unsuitable(f"“{name}” is empty.")
    return Source(document, node, node.uniqueId().toString(), name, ColorSpace.of(node), bounds, fetch)


def read(source: Source) -> Generator[float, None, memoryview]:
    """The layer's pixels as they travel: sRGB-encoded, as `source.raster` says. Yields the fraction done."""
    raster, sent = source.raster, source.space.travels
    # Not a bytearray: filling 64 MB with zeros first would hold the GUI thread longer than all of a strip's work.
    pixels = memoryview(mmap(-1, raster.size_bytes))
    row_bytes = raster.width * sent.pixel_bytes
    for top, rows in strips(raster.width, raster.height):
        strip = source.fetch(raster.x, raster.y + top, raster.width, rows)
        if not source.space.is_encoded:
            strip = convert(source.document, strip, raster.width, rows, source.space, sent)
        if len(strip) != rows * row_bytes:
            raise Unsuitable(f"Krita did not hand out the pixels of “{source.name}”.")
        pixels[top * row_bytes : (top + rows) * row_bytes] = bytes(strip)
        yield (top + rows) / raster.height
    return pixels


def convert(document: Any, pixels: Any, width: int, height: int, old: ColorSpace, new: ColorSpace) -> Any:
    """Pixels in another colour space, through a node that is in no document."""
    carrier = document.createNode("samovar", "paintlayer")
    if ColorSpace.of(carrier) != old:
        old.apply(carrier)
    carrier.setPixelData(pixels, 0, 0, width, height)
    # In floats all the way: from or to integers Krita would clip what lies outside the narrower of the two. Not so
    # for inks, which have nothing outside, and which Krita turns into floats with other colours than it shows.
    floats = [replace(each, depth="F32") for each in (old, new) if each.model != "CMYKA"]
    way = [*floats, new]
    for space, before in zip(way, [old, *way[:-1]], strict=True):
        if space != before:
            space.apply(carrier)
    return carrier.pixelData(0, 0, width, height)


def strips(width: int, height: int) -> Iterator[tuple[int, int]]:
    """(top, rows) of the pieces into which a rectangle is cut."""
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        yield top, min(rows, height - top)
