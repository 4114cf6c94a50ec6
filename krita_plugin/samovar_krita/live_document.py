"""The result while it grows, in a new document."""

from __future__ import annotations

from typing import Any

from krita import Krita

from . import traceless
from .canvas import Unsuitable
from .live import Live, Part
from .placement import Result, blank, prepared, show
from .qt import QtCore
from .samovar_link.messages import Raster
from .steps import HELD, Work
from .traceless import Brush, Scratch


class LiveDocument(Live):
    """The document is closed if no result comes."""

    wants_parts = True

    def finish(self, result: Result) -> Work:
        """Write what differs."""
        assert self._brush is not None
        yield from self._correct(result, self._brush)
        yield from traceless.rest(self._document)
        yield HELD
        self._check()
        self.layer.setLocked(False)
        self.close()
        self._document.setModified(True)
        return self.layer

    def _correct(self, result: Result, brush: Brush) -> Work:
        raster, first = result.raster, None
        for top, rows, strip in prepared(self._document, self.layer, result):
            self._check()
            place = (raster.x, raster.y + top, raster.width, rows)
            if bytes(self.layer.pixelData(*place)) != bytes(strip):
                self.layer.setPixelData(strip, *place)
                first = top if first is None else first
            done = top + rows
            if first is not None and (done - first >= traceless.SIDE or done == raster.height):
                yield from brush.draw(QtCore.QRect(raster.x, raster.y + first, raster.width, done - first))
                first = None
            yield done / raster.height

    def _check(self) -> None:
        if self.closed:
            raise Unsuitable("The new picture was closed before its result came.")

    def _begin(self, scratch: Scratch, whole: Raster) -> Work:
        factor = self._factor if self._factor != 1.0 else whole.width / self._source.raster.width
        yield HELD
        if self._stopped:
            return
        self._document = blank(self._source, factor, self._name)
        self._document.rootNode().setChildNodes(self._make(scratch))
        show(self._document)
        yield from traceless.rest(self._document, HELD)

    def _corner(self, part: Part) -> tuple[int, int]:
        return part.raster.x, part.raster.y

    def _vanish(self) -> Work:
        yield from self.settled()
        if self._document is not None:
            yield from traceless.rest(self._document)
            yield HELD
            if traceless.is_open(self._document):
                was_active = Krita.instance().activeDocument() == self._document
                self._document.setModified(False)  # so that Krita does not ask
                self._document.close()
                if was_active:
                    _activate(self._source.document)
        yield HELD
        if self._scratch is not None:
            self._scratch.close()


def _activate(document: Any) -> None:
    window = Krita.instance().activeWindow()
    for view in window.views() if window is not None else ():
        if view.document() == document:
            view.setVisible()
            return
