"""The result while it grows: finished parts appear in a layer before the job is done.

    nothing -> shown, with the first part -> replaced by the result, or taken away

Rules:
1. It is only for looking at. All pixels come again at the end, so parts may be dropped, and if showing them fails the
   job goes on without.
2. It leaves no step of undo, and when it is taken away nothing of it is left (`traceless.py`).
3. Whatever it does takes short turns, and a job that ends does not wait for it: it goes away by itself.

Here is what all ways of showing it have in common; `live_layer.py` and `live_document.py` are the ways.
"""

from __future__ import annotations

import traceback
from collections import deque
from dataclasses import dataclass
from typing import Any

from . import selection, traceless
from .canvas import Source
from .placement import Result, prepared
from .qt import QtCore
from .samovar_link.messages import Raster
from .steps import HELD, REST, Steps, Work
from .traceless import Brush, Scratch

_WAITING_BYTES = 1 << 26
"""Of parts that wait to be shown; the oldest are dropped beyond it."""

_leaving: set[Steps] = set()
"""What is on its way out, and held by nobody else."""


@dataclass(frozen=True)
class Part:
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
        self._parts: deque[Part] = deque()
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
            self._parts.append(Part(part, whole, pixels, mask))
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

    def _corner(self, part: Part) -> tuple[int, int]:
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


def _leave(work: Work) -> None:
    def gone(outcome: object) -> None:
        _leaving.discard(steps)
        if isinstance(outcome, Exception):
            traceback.print_exception(type(outcome), outcome, outcome.__traceback__)

    steps = Steps(work, progressed=_ignore, done=gone, failed=gone)
    _leaving.add(steps)


def _ignore(_: object) -> None:
    pass
