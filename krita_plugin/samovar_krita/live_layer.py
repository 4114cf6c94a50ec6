"""The result while it grows, in a layer above its source."""

from __future__ import annotations

from typing import Any

from . import traceless
from .live import Live, Part
from .placement import corner, find
from .samovar_link.messages import Raster
from .steps import HELD, Work
from .traceless import Scratch


class LiveLayer(Live):
    """In the source's document."""

    wants_parts = True
    _active: Any = None

    def _begin(self, scratch: Scratch, whole: Raster) -> Work:
        document = self._source.document
        yield from traceless.rest(document, HELD)  # not in the middle of a stroke
        if self._stopped or not traceless.is_open(document):
            return
        above = find(document.rootNode(), self._source.identity)
        if above is None or not scratch.turns or not traceless.can_insert(above.parentNode()):
            self.stop()
            return
        self._document, self._active = document, document.activeNode()
        traceless.insert(self._make(scratch), above)
        yield from traceless.keep_active(document, self._active)

    def _corner(self, part: Part) -> tuple[int, int]:
        x, y = corner(self._source, part.whole, part.mask)
        return x + part.raster.x - part.whole.x, y + part.raster.y - part.whole.y

    def _vanish(self) -> Work:
        yield from self.settled()
        document = self._document
        if document is not None and self._brush is not None and traceless.is_open(document):
            active = document.activeNode()
            self.make_way()
            if active in (None, self.layer, self._brush.node):
                yield from traceless.keep_active(document, self._active)
            yield from self._brush.draw(self._shown)
            yield from traceless.rest(document)
            if traceless.is_open(document):
                self._brush.remove()
        yield HELD
        if self._scratch is not None:
            self._scratch.close()
