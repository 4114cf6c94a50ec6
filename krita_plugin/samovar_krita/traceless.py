"""Changing a document's layers without a step in its history, and without having all of it redrawn.

Krita's scripts offer neither, so this leans on how they are made; seen on 5.1.5 and 5.2.9:
1. `setChildNodes` makes no step. It takes out the first child only, then puts those of its list that have no parent on
   top of the rest. Called once for each child it thus turns the children around and lets new ones in between.
2. The nodes that a group hands out carry the document the group was created in, and what is done through them becomes
   a step of that one's history. So a group of a document that is never shown, `Scratch`, makes a second handle on a
   layer, by which it leaves the user's document without a trace.
3. Written pixels are not seen until Krita is told to draw. `refreshProjection` draws everything in one piece. Setting
   a blending mode draws as far as the node reaches, in the background: hence `Brush`, a hidden layer that reaches SIDE
   pixels, which is moved to wherever something is to be drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from krita import Krita

from .colorspace import RGBA_PROFILE
from .steps import HELD, REST, Work

SIDE = 512
"""Pixels of one redraw each way: costs the GUI thread 10 to 17 ms (4096 x 4096, no GPU), half as many hardly less."""

_RESTS_UNTIL_ACTIVE = 16
_MOST_SIBLINGS = 24
"""Turning one child takes Krita about 10 ms."""

_TURNED = (
    "paintlayer", "grouplayer", "vectorlayer", "filelayer", "filllayer", "clonelayer", "filterlayer", "selectionmask",
)  # fmt: skip
"""Seen to come out of `insert` as they went in."""


class Scratch:
    """A document of one pixel that is never shown."""

    def __init__(self) -> None:
        self._document = Krita.instance().createDocument(1, 1, "samovar", "RGBA", "U8", RGBA_PROFILE, 72.0)

    @property
    def turns(self) -> bool:
        """Whether `setChildNodes` does in this Krita what `insert` needs."""
        root = self._document.rootNode()
        lower, upper = (self._document.createNode(each, "paintlayer") for each in ("lower", "upper"))
        root.setChildNodes([lower, upper])
        root.setChildNodes([lower])
        return [each.name() for each in root.childNodes()] == ["upper", "lower"]

    def handle(self, node: Any) -> Any:
        """Another handle on a node that is in no document yet: what is done through it is no step of its document."""
        group = self._document.createGroupLayer("samovar")
        group.setChildNodes([node])
        (handle,) = group.childNodes()
        group.setChildNodes([])
        return handle

    def calm(self) -> None:
        """So that Krita neither saves a copy of it nor asks about it."""
        self._document.setModified(False)

    def close(self) -> None:
        self.calm()
        self._document.close()


class Brush:
    """What has parts of a document drawn anew.

    node : has to be put into the document before the first use
    """

    def __init__(self, document: Any, scratch: Scratch) -> None:
        self._document, self._scratch = document, scratch
        self.node = document.createNode("Samovar is working", "paintlayer")
        self.node.setVisible(False)
        self.node.setLocked(True)
        pixel = bytes(len(self.node.pixelData(0, 0, 1, 1)))
        for corner in (0, SIDE - 1):  # clear, but as far as Krita is concerned the layer reaches from one to the other
            self.node.setPixelData(pixel, corner, corner, 1, 1)
        self._handle = scratch.handle(self.node)

    def draw(self, region: Any) -> Work:
        """Have Krita draw a rectangle of the document, in the background."""
        for y in range(0, region.height(), SIDE):
            for x in range(0, region.width(), SIDE):
                if not is_open(self._document):
                    return
                self.node.move(region.x() + x, region.y() + y)
                self._handle.setBlendingMode("normal")
                self._scratch.calm()
                yield REST

    def remove(self) -> None:
        """Only once Krita is at rest: what it has not drawn by then would never be drawn."""
        remove(self.node, self._handle)


def can_insert(parent: Any) -> bool:
    """Whether the children are few and of kinds that `insert` brings back as they were."""
    children = parent.childNodes()
    return len(children) <= _MOST_SIBLINGS and all(each.type() in _TURNED and not each.animated() for each in children)


def insert(nodes: Sequence[Any], above: Any) -> None:
    """Put new nodes above one of a document, in one turn in which Krita is at rest. Krita makes others active then."""
    parent = above.parentNode()
    for child in parent.childNodes():
        parent.setChildNodes([child, *nodes] if child == above else [child])


def keep_active(document: Any, node: Any) -> Work:
    """Make a layer the active one, and again if Krita does otherwise as soon as it finds the time."""
    for _ in range(_RESTS_UNTIL_ACTIVE):
        if not is_open(document):
            return
        if document.activeNode() != node:
            document.setActiveNode(node)
        yield HELD


def remove(node: Any, handle: Any) -> None:
    """Take a node out of its document, if it is still in one."""
    if node.parentNode() is not None:
        handle.remove()


def rest(document: Any, until: float = REST) -> Work:
    """Until nobody paints and all is drawn. Yields `until`, at least once."""
    yield until
    while is_open(document) and not document.tryBarrierLock():
        yield until
    if is_open(document):
        document.unlock()


def is_open(document: Any) -> bool:
    return document in Krita.instance().documents()
