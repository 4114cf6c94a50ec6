"""Writing: where a result goes.

Rules:
1. Pixels go into a node that is in no document yet; adding it is the last thing that happens. So a job that is
   cancelled or fails leaves no trace, and adding the layer is one step of undo, "Add Layer".
2. The source layer is never touched.
3. `in_place` makes two steps of undo, "Scale Image" and "Add Layer": Krita's scripts cannot join them.
4. The last step of each is Krita's own work in one piece: it opens a window, scales every layer, or composes the
   picture anew. For large pictures it holds the canvas longer than all else here, and cannot be cut up from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from krita import Krita

from .canvas import Source, Unsuitable, convert, strips
from .colorspace import ColorSpace
from .samovar_link.messages import Raster
from .selection import clear_unselected
from .steps import HELD, Work

RESOLUTION_STRATEGY = "Bicubic"


@dataclass(frozen=True)
class Result:
    """What came back for a source.

    factor : by how much the picture grew; tells the size of a new document
    mask : for a patch, how much of each pixel was selected
    """

    raster: Raster
    pixels: memoryview
    factor: float
    name: str
    mask: memoryview | None = None


Placement = Callable[[Source, Result], Work]


def as_layer(source: Source, result: Result) -> Work:
    """A layer above the source with the same upper left corner, or a patch at its place; the canvas keeps its size.

    Returns the layer.
    """
    document = _open(source)
    node = document.createNode(result.name, "paintlayer")
    corner = (source.bounds.x(), source.bounds.y()) if result.mask is None else (result.raster.x, result.raster.y)
    yield from fill(document, node, result, *corner)
    yield HELD
    _add_above(document, node, source)
    return node


def in_place(source: Source, result: Result) -> Work:
    """The whole image scaled, and the result at its place above the source. Returns the layer."""
    document = _open(source)
    node = document.createNode(result.name, "paintlayer")
    yield from fill(document, node, result, result.raster.x, result.raster.y)
    yield HELD
    document = _open(source)
    width, height = scaled_size(document, result.factor)
    document.scaleImage(width, height, int(document.xRes()), int(document.yRes()), RESOLUTION_STRATEGY)
    _add_above(document, node, source)
    return node


def new_document(source: Source, result: Result) -> Work:
    """A document of the new size, of the same colour space, with the result as its only layer. Returns the layer."""
    old = source.document
    width, height = scaled_size(old, result.factor)
    space = ColorSpace.of(old)
    resolution = float(old.resolution())
    yield HELD
    document = Krita.instance().createDocument(
        width, height, result.name, space.model, space.depth, space.profile, resolution
    )
    try:
        node = document.createNode(result.name, "paintlayer")
        yield from fill(document, node, result, result.raster.x, result.raster.y)
        yield HELD
    except BaseException:
        document.close()
        raise
    document.rootNode().setChildNodes([node])  # in place of the white background, without a step of undo
    document.setModified(True)
    if (window := Krita.instance().activeWindow()) is not None:
        window.addView(document)
    return node


PLACEMENTS: dict[str, tuple[str, Placement]] = {
    "document": ("New document", new_document),
    "image": ("Whole image in place", in_place),
    "layer": ("New layer only", as_layer),
}
"""Id (remembered in the settings) -> title and function."""


def scaled_size(document: Any, factor: float) -> tuple[int, int]:
    """Width and height of a document enlarged by a factor; rounded as the daemon rounds, half up."""
    return max(1, int(document.width() * factor + 0.5)), max(1, int(document.height() * factor + 0.5))


def fill(document: Any, node: Any, result: Result, x: int, y: int) -> Generator[float, None, None]:
    """Write the result's pixels into a node that is in no document. Yields the fraction done."""
    raster, space = result.raster, ColorSpace.of(node)
    received = ColorSpace.of_raster(raster)
    direct = space.is_encoded and space.travels == received
    row_bytes = raster.width * received.pixel_bytes
    for top, rows in strips(raster.width, raster.height):
        strip: Any = bytearray(result.pixels[top * row_bytes : (top + rows) * row_bytes])  # Krita takes no memoryview
        if result.mask is not None:
            mask = result.mask[top * raster.width : (top + rows) * raster.width]
            clear_unselected(strip, mask, received.pixel_bytes)
        if not direct:
            strip = convert(document, strip, raster.width, rows, received, space)
        node.setPixelData(strip, x, y + top, raster.width, rows)
        yield (top + rows) / raster.height


def _open(source: Source) -> Any:
    if source.document not in Krita.instance().documents():
        raise Unsuitable("The picture was closed before its result came.")
    return source.document


def _add_above(document: Any, node: Any, source: Source) -> None:
    """Above the source, or on top if the source was deleted meanwhile."""
    above = find(document.rootNode(), source.identity)
    parent = above.parentNode() if above is not None else document.rootNode()
    if above is None:
        layers = [each for each in parent.childNodes() if not each.type().endswith("mask")]
        above = layers[-1] if layers else None
    parent.addChildNode(node, above)


def find(parent: Any, identity: str) -> Any:
    """The node of that id below `parent`, or None."""
    for node in parent.childNodes():
        if node.uniqueId().toString() == identity:
            return node
        if (found := find(node, identity)) is not None:
            return found
    return None
