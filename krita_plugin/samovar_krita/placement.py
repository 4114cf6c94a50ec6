"""Writing: where a result goes.

Rules:
1. Pixels go into a node that is in no document yet; adding it is the last thing that happens. So a job that is
   cancelled or fails leaves no trace, and adding the layer is one step of undo, "Add Layer". What was shown of the
   result before (`live.py`) makes way for it; only a new document that is open already gets its last pixels in place.
2. The source layer is never touched.
3. `in_place` makes two steps of undo, "Scale Image" and "Add Layer": Krita's scripts cannot join them.
4. The last step of each is Krita's own work in one piece: it opens a window, scales every layer, or composes the
   picture anew. For large pictures it holds the canvas longer than all else here, and cannot be cut up from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from krita import Krita

from .canvas import Source, Unsuitable, convert, strips
from .colorspace import ColorSpace
from .samovar_link.messages import Raster
from .selection import clear_unselected
from .steps import HELD, Work

if TYPE_CHECKING:
    from .live import Live

RESOLUTION_STRATEGY = "Bicubic"


@dataclass(frozen=True)
class Result:
    """What came back for a source.

    factor : by how much the picture grew; tells the size of a new document
    mask : for a patch, how much of each pixel was selected, or changed
    variants : further results for the same place
    blending : how it is laid over the source, in Krita's words
    """

    raster: Raster
    pixels: memoryview
    factor: float
    name: str
    mask: memoryview | None = None
    variants: tuple[memoryview, ...] = ()
    blending: str = "normal"


Placement = Callable[[Source, Result, "Live"], Work]


def as_layer(source: Source, result: Result, live: Live) -> Work:
    """A layer above the source with the same upper left corner, or a patch at its place; the canvas keeps its size.

    Variants come together in a group, of which the first is shown. Returns the layer, or the group.
    """
    document = _open(source)
    yield from live.settled()
    results = [result, *(replace(result, pixels=each) for each in result.variants)]
    nodes = []
    for index, each in enumerate(results):
        name = result.name if len(results) == 1 else f"{result.name} {index + 1}"
        node = document.createNode(name, "paintlayer")
        yield from fill(document, node, each, *corner(source, result.raster, result.mask))
        node.setVisible(not index)
        node.setBlendingMode(result.blending)
        nodes.append(node)
    node = _together(document, nodes, result.name)
    yield HELD
    document = _open(source)
    live.make_way()
    _add_above(document, node, source)
    live.close()
    return node


def as_layers(source: Source, results: Sequence[Result], name: str) -> Work:
    """A layer for each result, where its raster says, above the source; several come together in a group of that name.

    Returns the layer, or the group.
    """
    document = _open(source)
    nodes = []
    for each in results:
        node = document.createNode(each.name, "paintlayer")
        yield from fill(document, node, each, each.raster.x, each.raster.y)
        nodes.append(node)
    node = _together(document, nodes, name)
    yield HELD
    _add_above(_open(source), node, source)
    return node


def in_place(source: Source, result: Result, live: Live) -> Work:
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


def new_document(source: Source, result: Result, live: Live) -> Work:
    """A document of the new size, of the same colour space, with the result as its only layer. Returns the layer."""
    yield from live.settled()
    if live.layer is not None:
        return (yield from live.finish(result))
    yield HELD
    document = blank(source, result.factor, result.name)
    try:
        node = document.createNode(result.name, "paintlayer")
        yield from fill(document, node, result, result.raster.x, result.raster.y)
        yield HELD
    except BaseException:
        document.close()
        raise
    document.rootNode().setChildNodes([node])  # in place of the white background, without a step of undo
    document.setModified(True)
    show(document)
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


def corner(source: Source, whole: Raster, mask: memoryview | None) -> tuple[int, int]:
    """Where a result that becomes a layer of the source's document has its upper left corner."""
    return (source.bounds.x(), source.bounds.y()) if mask is None else (whole.x, whole.y)


def blank(source: Source, factor: float, name: str) -> Any:
    """A document like the source's and larger by a factor, not shown yet."""
    old, space = source.document, ColorSpace.of(source.document)
    width, height = scaled_size(old, factor)
    resolution = float(old.resolution())
    return Krita.instance().createDocument(width, height, name, space.model, space.depth, space.profile, resolution)


def show(document: Any) -> None:
    """Open a document in a view of the active window."""
    if (window := Krita.instance().activeWindow()) is not None:
        window.addView(document)


def fill(document: Any, node: Any, result: Result, x: int, y: int) -> Generator[float, None, None]:
    """Write the result's pixels into a node that is in no document. Yields the fraction done."""
    for top, rows, strip in prepared(document, node, result):
        node.setPixelData(strip, x, y + top, result.raster.width, rows)
        yield (top + rows) / result.raster.height


def prepared(document: Any, node: Any, result: Result) -> Iterator[tuple[int, int, Any]]:
    """(top, rows, pixels) of strips of the result, in the colour space of the node that they are for."""
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
        yield top, rows, strip


def _open(source: Source) -> Any:
    if source.document not in Krita.instance().documents():
        raise Unsuitable("The picture was closed before its result came.")
    return source.document


def _together(document: Any, nodes: Sequence[Any], name: str) -> Any:
    """A node of its own, or a group of several, the first one uppermost."""
    if len(nodes) == 1:
        return nodes[0]
    group = document.createNode(name, "grouplayer")
    for each in reversed(nodes):
        group.addChildNode(each, None)
    return group


def _add_above(document: Any, node: Any, source: Source) -> None:
    """Above the source, or on top if the source was deleted meanwhile."""
    above = find(document.rootNode(), source.identity)
    parent = above.parentNode() if above is not None else document.rootNode()
    if above is None:
        layers = [each for each in parent.childNodes() if not each.type().endswith("mask")]
        above = layers[-1] if layers else None
    parent.addChildNode(node, above)
    if node.type() == "grouplayer":
        document.refreshProjection()  # Krita draws a layer that is added, but not what is in a group


def find(parent: Any, identity: str) -> Any:
    """The node of that id below `parent`, or None."""
    for node in parent.childNodes():
        if node.uniqueId().toString() == identity:
            return node
        if (found := find(node, identity)) is not None:
            return found
    return None
