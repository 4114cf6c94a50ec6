"""Pictures out of nothing: a sheet to choose from, and what is chosen of it as layers.

    connecting -> running, one run after another -> placing -> ended

Nothing of the picture goes to the daemon but one pixel, which says in what kind the result is to come. The document is
touched in the last moment of placing and at no other time, as in a `Job`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import viewport
from .canvas import Source, Unsuitable
from .colorspace import ColorSpace
from .job import Request
from .placement import Result, as_layers
from .qt import QtCore, QtGui
from .samovar_link import request
from .samovar_link.errors import remote_error
from .samovar_link.messages import Cancel, Done, Failed, Message, Progress, Raster, Refused, Run
from .session import OFF, READY, Session
from .steps import Steps, Work
from .undertaking import Undertaking

DECIDED = ("result", "only")
"""Parameters that are set here and by nobody else."""

CELL = "128"
"""Size of the faces that are chosen from."""

_PLACE = 0.95
"""Of the progress bar: placing lies above it."""

_PIXEL = Raster(1, 1, 4, "u8", "bgra")
_WHOLE = -1


@dataclass(frozen=True)
class Sheet:
    """One that was drawn.

    request : what it was drawn from
    picture : a QImage of all faces
    """

    request: Request
    picture: Any

    @property
    def count(self) -> int:
        return int(self.request.parameters.get("count", 1))

    @property
    def columns(self) -> int:
        return int(request.sheet(self.request.operation, self.request.parameters)[0])

    @property
    def is_new(self) -> bool:
        """Whether they are neither variations nor mixes."""
        return bool(self.request.parameters.get("way", "new") == "new")

    def face(self, index: int) -> Any:
        """Picture of one, counted from 0 row by row."""
        side = int(CELL)
        row, column = divmod(index, self.columns)
        return self.picture.copy(column * side, row * side, side, side)

    def name(self, index: int) -> str:
        return str(request.face(self.request.operation, self.request.parameters, index))

    def number(self, index: int) -> int | None:
        """By which it can be varied and mixed; None of one that has none of its own."""
        found: int | None = request.number(self.request.operation, self.request.parameters, index)
        return found if found is not None and found <= request.SEED.maximum else None


class Creation(Undertaking):
    """Stands where a `Job` would.

    runs : sent one after another, each with one pixel
    finish : called with all results; its work ends the job
    """

    def __init__(
        self, session: Session, runs: Sequence[Run], finish: Callable[[list[tuple[Raster, memoryview]]], Work], *,
        progressed: Callable[[], None], ended: Callable[[str, bool], None],
    ) -> None:  # fmt: skip
        super().__init__("connecting", progressed, ended)
        self._session, self._runs, self._finish = session, runs, finish
        self._results: list[tuple[Raster, memoryview]] = []
        self._running = False
        self._steps: Steps | None = None

    def begin(self) -> None:
        """As soon as there is a connection."""
        self._session.open(start=True)
        self.session_changed()

    def cancel(self) -> None:
        """End it now and leave everything as it is. Too late once Krita is adding the result."""
        if self._steps is not None and self._steps.busy:
            return
        if self._running:
            self._session.send(Cancel(self._run.job))
        self._end("Cancelled.", False)

    def session_changed(self) -> None:
        """The connection came or went."""
        if self._session.state == OFF and self._steps is None and (self._running or self._session.reason):
            self._end(self._session.reason or "The connection to Samovar was closed.", False)
        elif self._session.state == READY and not self._running and not self._over and self._steps is None:
            self._send()

    def take(self, message: Message, frames: list[memoryview]) -> None:
        """A message from the daemon; those of other jobs are left alone."""
        if not self._running:
            return
        if isinstance(message, Refused) and message.kind == "Run":
            self._fail(remote_error(message.code, message.message, message.hint))
        elif getattr(message, "job", None) != self._run.job:
            return
        elif isinstance(message, Progress):
            done = (len(self._results) + message.fraction) / len(self._runs)
            self._show(_PLACE * done, message.stage or "working")
        elif isinstance(message, Failed):
            self._fail(remote_error(message.code, message.message, message.hint))
        elif isinstance(message, Done):
            raster = message.images["image"]
            self._results.append((raster, frames[raster.frame]))
            self._report, self._running = message.report, False
            if len(self._results) < len(self._runs):
                self._send()
            else:
                self._place()

    @property
    def _run(self) -> Run:
        """The one under way."""
        return self._runs[len(self._results)]

    def _send(self) -> None:
        self._running = True
        self._session.send(self._run, [memoryview(bytes(self._run.images["image"].size_bytes))])
        self._show(self.fraction, "sending")

    def _place(self) -> None:
        self._show(_PLACE, "placing")
        self._steps = Steps(
            self._finish(self._results), progressed=_ignore, done=self._have_placed, failed=self._fail
        )  # fmt: skip

    def _release(self) -> None:
        self._running = False
        if self._steps is not None:
            self._steps.cancel()
        self._results = []


def _ignore(*_: object) -> None:
    """Placing takes a moment, and no pixels are read."""


# --- what is asked for ------------------------------------------------------------------------------------------------


def sheet_run(wanted: Request) -> Run:
    """For a sheet to choose from."""
    return _run(wanted, _PIXEL, _WHOLE, CELL)


def sheet_of(wanted: Request, raster: Raster, pixels: memoryview) -> Sheet:
    """What came of it."""
    image = QtGui.QImage(
        bytes(pixels), raster.width, raster.height, 4 * raster.width, QtGui.QImage.Format.Format_ARGB32
    )
    return Sheet(wanted, image.copy())  # which owns its pixels


class Layers:
    """What is chosen of a sheet, or all of it, as layers of a document; above the active layer, in the middle of what
    is seen. Raises Unsuitable without a document.

    wanted : what the sheet was drawn from, in the size that is wanted now
    chosen : places on the sheet; none for all of it as one layer
    """

    def __init__(self, document: Any, wanted: Request, chosen: Sequence[int]) -> None:
        if document is None:
            raise Unsuitable("Open a picture first.")
        self._wanted, self._chosen = wanted, chosen
        self._space = ColorSpace.of(document).travels
        self._source = _active(document, self._space)
        columns, rows, side = request.sheet(wanted.operation, wanted.parameters)
        if chosen:
            columns = min(len(chosen), max(request.grid(len(chosen))[0], document.width() // side))
            rows = -(-len(chosen) // columns)
        self._columns, self._side = columns, side
        self._left, self._top = _corner(document, columns * side, rows * side)

    @property
    def runs(self) -> list[Run]:
        """In the order of the results that `place` takes."""
        pixel = Raster(1, 1, self._space.channels, self._space.dtype, self._space.order, self._left, self._top)
        if not self._chosen:
            return [_run(self._wanted, pixel, _WHOLE)]
        runs = []
        for index, face in enumerate(self._chosen):
            row, column = divmod(index, self._columns)
            at = replace(pixel, x=self._left + column * self._side, y=self._top + row * self._side)
            runs.append(_run(self._wanted, at, face))
        return runs

    def place(self, results: list[tuple[Raster, memoryview]]) -> Work:
        """All in one step of undo."""
        wanted = self._wanted
        faces = [request.face(wanted.operation, wanted.parameters, each) for each in self._chosen]
        names = [wanted.named(each) for each in faces] or [wanted.layer_name]
        made = [Result(raster, pixels, 1.0, name) for name, (raster, pixels) in zip(names, results, strict=True)]
        return as_layers(self._source, made, wanted.layer_name)


def _run(wanted: Request, pixel: Raster, face: int, size: str = "") -> Run:
    """face : its place on the sheet, or all of it"""
    parameters = {**wanted.sent, "result": "sheet", "only": face + 1}
    if size:
        parameters["size"] = size
    return Run(
        secrets.token_hex(16), wanted.operation.id, parameters=parameters, images={"image": pixel}, seed=wanted.seed
    )


def _active(document: Any, space: ColorSpace) -> Source:
    """The place of the active layer, or of the one that the active mask belongs to; of its pixels nothing is read."""
    node = document.activeNode()
    while node is not None and node.type().endswith("mask"):
        node = node.parentNode()
    identity = node.uniqueId().toString() if node is not None else ""
    return Source(document, node, identity, "", space, QtCore.QRect(), _ignore)


def _corner(document: Any, width: int, height: int) -> tuple[int, int]:
    """Of what is to lie in the middle of what is seen, but within the canvas if it fits there."""
    whole = QtCore.QRect(0, 0, document.width(), document.height())
    seen = viewport.visible(document)
    part = seen.intersected(whole) if seen is not None else whole
    if part.isEmpty():
        part = whole
    x, y = part.x() + (part.width() - width) // 2, part.y() + (part.height() - height) // 2
    return max(0, min(x, whole.width() - width)), max(0, min(y, whole.height() - height))
