"""What the user sees of a document: its tiles are computed first.

Krita 5.2 and later say how the canvas lies over the picture. Before, zoom and scroll bars tell the same, unless the
canvas is turned or mirrored. Where neither helps there is no viewport, which only means another order of tiles.
"""

from __future__ import annotations

from typing import Any

from krita import Krita

from .canvas import Source
from .qt import QtCore, QtGui, QtWidgets
from .samovar_link.messages import Rectangle

_CONTROLLER = "KisCanvasController"
_INCH_POINTS = 72.0


def of(source: Source) -> Rectangle | None:
    """The visible part of what is sent of a layer, in its pixels; None if that is nothing or not known."""
    seen = visible(source.document)
    part = seen.intersected(source.bounds) if seen is not None else QtCore.QRect()
    if part.isEmpty():
        return None
    return Rectangle(
        part.x() - source.bounds.x(), part.y() - source.bounds.y(), part.width(), part.height()
    )  # fmt: skip


def visible(document: Any) -> Any:
    """The rectangle of a document's pixels that the active window shows; None if it shows another, or is turned."""
    window = Krita.instance().activeWindow()
    view = window.activeView() if window is not None else None
    if window is None or view is None or view.document() != document:
        return None
    area = _canvas_area(window.qwindow())
    if area is None:
        return None
    to_image = _to_image(view, area, document)
    return None if to_image is None else to_image.mapRect(QtCore.QRectF(area.viewport().rect())).toAlignedRect()


def _to_image(view: Any, area: Any, document: Any) -> Any:
    """The transform from the canvas widget's pixels to the document's."""
    if hasattr(view, "flakeToCanvasTransform"):
        from_canvas, invertible = view.flakeToCanvasTransform().inverted()
        return from_canvas * view.flakeToImageTransform() if invertible else None
    canvas = view.canvas()
    if canvas.rotation() != 0.0 or canvas.mirror():
        return None
    scale = canvas.zoomLevel() * _INCH_POINTS / document.resolution()
    left, top = area.horizontalScrollBar().value(), area.verticalScrollBar().value()
    return QtGui.QTransform(1 / scale, 0.0, 0.0, 1 / scale, left / scale, top / scale)


def _canvas_area(window: Any) -> Any:
    """The scroll area around the canvas of the active view."""
    tabs = window.findChild(QtWidgets.QMdiArea)
    inner = tabs.currentSubWindow() if tabs is not None else None
    areas = inner.findChildren(QtWidgets.QAbstractScrollArea) if inner is not None else []
    return next((each for each in areas if each.metaObject().className() == _CONTROLLER), None)
