"""Layers with strokes of colour, which lead an operation: those that there are, and the one that was chosen."""

from __future__ import annotations

from typing import Any

from . import canvas
from .canvas import Source, Unsuitable
from .placement import find
from .samovar_link.messages import OperationInfo


def layers(document: Any) -> list[tuple[str, str]]:
    """(name, id) of the layers that strokes may be on: all that have pixels and are not the active one."""
    active = document.activeNode()
    own = active.uniqueId().toString() if active is not None else ""
    found, waiting = [], list(reversed(document.rootNode().childNodes()))
    while waiting:
        node = waiting.pop(0)
        if node.type() in ("paintlayer", "grouplayer") and node.uniqueId().toString() != own:
            found.append((node.name(), node.uniqueId().toString()))
        waiting = [*reversed(node.childNodes()), *waiting]
    return found


def must_hold_colours(source: Source, operation: OperationInfo) -> None:
    """Raises Unsuitable for a picture that would show a coloured layer as gray."""
    if operation.colours and source.document.colorModel() == "GRAYA":
        raise Unsuitable(
            "This picture is gray throughout and shows no colours; convert it to RGB first:"
            " Image > Convert Image Color Space..."
        )


def drawn(source: Source, guide: str) -> Source:
    """The layer of that id, with the strokes. Raises Unsuitable if it cannot be read."""
    node = find(source.document.rootNode(), guide)
    if node is None:
        raise Unsuitable("The layer with the strokes is gone; choose another.")
    if guide == source.identity:
        raise Unsuitable("The strokes are on the layer itself; draw them on a layer of their own, above it.")
    return canvas.source(source.document, node)
