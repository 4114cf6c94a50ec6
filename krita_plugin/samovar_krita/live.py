"""The result while it grows: finished parts appear in a layer before the job is done.

    nothing -> shown, with the first part -> replaced by the result, or taken away

Rules:
1. It is only for looking at. All pixels come again at the end, so parts may be dropped, and if showing them fails the
   job goes on without.
2. It leaves no step of undo, and when it is taken away nothing of it is left (`traceless.py`).
3. Whatever it does takes short turns, and a job that ends does not wait for it: it goes away by itself.
"""

from __future__ import annotations

import traceback
from collections import deque
from dataclasses import dataclass
from typing import Any

from krita import Krita

from . import selection, traceless
from .canvas import Source, Unsuitable
from .placement import Result, blank, corner, find, prepared, show
from .qt import QtCore
from .samovar_link.messages import Raster
from .steps import HELD, REST, Steps, Work
from .traceless import Brush, Scratch

_WAITING_BYTES = 1 << 26
"""Of parts that wait to be shown; the oldest are dropped beyond it."""

_leaving: set[Steps] = set()
"""What is on its way out, and held by nobody else."""


@dataclass(frozen=True)
class _Part:
    """A part of a result; `mask` is that of the whole."""

    raster: Raster
    whole: Raster
    pixels: memoryview
    mask: memoryview | None

    @property
    def result(self) -> Result:
        """As if it were all."""
        mask = None if self.mask is None else selection.part_of(self.mask, self.whole, self.raster)
        return Result(self.raster, self.pixels, 1.0, "", mask)


class Live:
    """What is shown of one job's result: nothing, for the image in place, which Krita scales in one piece at the end.

    in_krita : whether a piece of it that is Krita's own is under way
    layer : what it is shown in, once there is one
    wants_parts : whether the daemon should send any
    """

    wants_parts = False

    def __init__(self, source: Source, name: str, factor: float) -> None:
        self.layer: Any = None
        self.in_krita = False
        self._source, self._name, self._factor = source, name, factor
        self._document: Any = None  # that of the layer
        self._parts: deque[_Part] = deque()
        self._shown = QtCore.QRect()
        self._scratch: Scratch | None = None
        self._brush: Brush | None = None
        self._handle: Any = None
        self._steps: Steps | None = None
        self._stopped = self._left = False

    @property
    def closed(self) -> bool:
        """The user closed the document in which it was shown."""
        return self._document is not None and not traceless.is_open(self._document)

    def add(self, part: Raster, whole: Raster, pixels: memoryview, mask: memoryview | None) -> None:
        """Show a part of the result, soon.

        mask : of a patch, how much of each pixel of `whole` was selected
        """
        if not self._stopped:
            self._parts.append(_Part(part, whole, pixels, mask))
            while sum(each.raster.size_bytes for each in self._parts) > _WAITING_BYTES and len(self._parts) > 1:
                self._parts.popleft()
            self._go_on()

    def stop(self) -> None:
        """Show no more parts."""
        self._stopped = True
        self._parts.clear()

    def settled(self) -> Work:
        """Until the turn under way is over, after `stop`. To be waited for by who goes on with the document."""
        while self._steps is not None and self._steps.busy:
            yield REST
        if self._steps is not None:
            self._steps.cancel()
            self._steps, self.in_krita = None, False

    def leave(self) -> None:
        """Stop, and go away without a trace. Nothing is left to do once `close` was called."""
        self.stop()
        if not self._left and (self._scratch is not None or self._steps is not None):
            self._left = True
            _leave(self._vanish())

    def make_way(self) -> None:
        """Take the layer out, for the result to be put in its place at once."""
        if self.layer is not None:
            traceless.remove(self.layer, self._handle)

    def finish(self, result: Result) -> Work:
        """Make the layer the result, where it is to stay. Returns it."""
        raise NotImplementedError

    def close(self) -> None:
        """Once the result is in its place and drawn."""
        if self._left:
            return  # it is going away by itself
        if self._brush is not None:
            self._brush.remove()
        if self._scratch is not None:
            self._scratch.close()
        self._scratch = self._brush = None

    # --- showing ----------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self._parts and self._steps is None:
            self._steps = Steps(self._show(), progressed=self._progressed, done=self._rested, failed=self._failed)

    def _progressed(self, fraction: float) -> None:
        self.in_krita = fraction == HELD

    def _rested(self, _: object) -> None:
        self._steps, self.in_krita = None, False
        self._go_on()

    def _failed(self, error: Exception) -> None:
        traceback.print_exception(type(error), error, error.__traceback__)
        self._steps = None
        self.leave()

    def _show(self) -> Work:
        if self._scratch is None:
            yield HELD
            self._scratch = Scratch()
        if self.layer is None and self._parts:
            yield from self._begin(self._scratch, self._parts[0].whole)
        while self._parts and self._brush is not None and not self.closed:
            part = self._parts.popleft()
            x, y = self._corner(part)
            for top, rows, strip in prepared(self._document, self.layer, part.result):
                self.layer.setPixelData(strip, x, y + top, part.raster.width, rows)
                yield 0.0
            region = QtCore.QRect(x, y, part.raster.width, part.raster.height)
            self._shown = self._shown.united(region)
            yield from self._brush.draw(region)

    def _begin(self, scratch: Scratch, whole: Raster) -> Work:
        """Put an empty layer and the brush in; or `stop`."""
        raise NotImplementedError

    def _corner(self, part: _Part) -> tuple[int, int]:
        """Where a part is shown."""
        raise NotImplementedError

    def _vanish(self) -> Work:
        """Go away. May be called with little or nothing there."""
        raise NotImplementedError

    def _make(self, scratch: Scratch) -> list[Any]:
        """The brush and the layer, not in the document yet, from below."""
        self.layer = self._document.createNode(self._name, "paintlayer")
        self.layer.setLocked(True)
        self._handle, self._brush = scratch.handle(self.layer), Brush(self._document, scratch)
        return [self._brush.node, self.layer]


class LiveLayer(Live):
    """In the source's document, above the source."""

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

    def _corner(self, part: _Part) -> tuple[int, int]:
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


class LiveDocument(Live):
    """In a new document, which is closed if no result comes."""

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

    def _corner(self, part: _Part) -> tuple[int, int]:
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


LIVE: dict[str, type[Live]] = {"layer": LiveLayer, "document": LiveDocument, "image": Live}
"""By placement."""


def _activate(document: Any) -> None:
    window = Krita.instance().activeWindow()
    for view in window.views() if window is not None else ():
        if view.document() == document:
            view.setVisible()
            return


def _leave(work: Work) -> None:
    def gone(outcome: object) -> None:
        _leaving.discard(steps)
        if isinstance(outcome, Exception):
            traceback.print_exception(type(outcome), outcome, outcome.__traceback__)

    steps = Steps(work, progressed=_ignore, done=gone, failed=gone)
    _leaving.add(steps)


def _ignore(_: object) -> None:
    pass
