"""One job: read the layer, send it, wait, place the result.

    reading -> waiting (for a connection) -> running -> placing -> ended

Rules:
1. The document is touched in the last moment of placing and at no other time, except by `live.py`, which leaves
   nothing behind. So `cancel` and every failure leave it as it was.
2. A cancelled job is over at once for the user; what the daemon still sends of it is dropped.
3. `ended` is called exactly once, with one sentence.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace

from . import canvas, selection, strokes, viewport
from .canvas import Source, Unsuitable
from .live import Live
from .live_document import LiveDocument
from .live_layer import LiveLayer
from .placement import PLACEMENTS, Result
from .samovar_link.errors import remote_error
from .samovar_link.messages import (
    BATCH,
    Attach,
    Cancel,
    Done,
    Enough,
    Failed,
    Message,
    OperationInfo,
    Progress,
    Raster,
    Refused,
    Run,
    Value,
)  # fmt: skip
from .samovar_link.request import MASK, SCALE, blend, fills, guides, own_parameters, resizes, samples, seed, wraps
from .session import OFF, Session
from .session import READY as SESSION_READY
from .steps import HELD, REST, Steps
from .undertaking import Undertaking

READING, WAITING, RUNNING, PLACING, ENDED = "reading", "waiting", "running", "placing", "ended"

_READ, _PLACE = 0.05, 0.95
"""The progress bar's parts: reading below the one, placing above the other, the daemon's own progress between."""

LIVE: dict[str, type[Live]] = {"layer": LiveLayer, "document": LiveDocument, "image": Live}
"""By placement."""

BLENDING = {"": "normal", "color": "color", "multiply": "multiply"}
"""What the protocol calls it -> what Krita does."""


@dataclass(frozen=True)
class Request:
    """What the user asked for; remembered for "repeat last".

    guide : id of the layer with the strokes; "" for none
    """

    operation: OperationInfo
    parameters: dict[str, Value] = field(default_factory=dict)
    placement: str = "document"
    guide: str = ""

    @property
    def model(self) -> str:
        names = [each.name for each in self.operation.parameters if each.kind == "model"]
        return str(self.parameters.get(names[0], "")) if names else ""

    @property
    def sent(self) -> dict[str, Value]:
        """The parameters as they travel."""
        sent: dict[str, Value] = own_parameters(self.parameters)
        return sent

    @property
    def seed(self) -> int:
        return int(seed(self.parameters))

    @property
    def layer_name(self) -> str:
        return self.named(self.operation.title)

    def named(self, title: str) -> str:
        """Name of a layer, with the model."""
        return f"{title} ({self.model})" if self.model else title

    @property
    def resizes(self) -> bool:
        return bool(resizes(self.operation, self.parameters))

    @property
    def samples(self) -> bool:
        """Whether what is selected is a sample, and the result something new above the source, from its corner on."""
        return bool(samples(self.operation, self.parameters))

    @property
    def free(self) -> bool:
        """Whether the user decides where the result goes."""
        return self.resizes and not self.samples and not self.operation.creates

    @property
    def fills(self) -> bool:
        return bool(fills(self.operation, self.parameters))

    @property
    def blend(self) -> str:
        """How the result is laid over the source, as Krita calls it."""
        return BLENDING[blend(self.operation, self.parameters)]

    @property
    def factor(self) -> float:
        """By how much the picture grows, as far as that is known before the result."""
        scale = self.parameters.get(SCALE) if self.resizes else None
        return float(scale) if isinstance(scale, (int, float)) else 1.0


class Job(Undertaking):
    """What shows of one that is `live` can be kept with `enough`, once it is `keepable`.

    taken_up : id of a job that the daemon has already; its result goes to its own place above the source
    """

    def __init__(
        self, session: Session, source: Source, request: Request, *, progressed: Callable[[], None],
        ended: Callable[[str, bool], None], taken_up: str = "",
    ) -> None:  # fmt: skip
        super().__init__("reading", progressed, ended)
        self.id = taken_up or secrets.token_hex(16)
        self._taken_up = bool(taken_up)
        self.live = request.operation.live
        self._session, self._request = session, request
        self._source, self._sent, self._selected = source, source, None
        self._guide: Source | None = None
        if not taken_up:
            strokes.must_hold_colours(source, request.operation)
            if request.guide and guides(request.operation):
                self._guide = strokes.drawn(source, request.guide)
            self._sent, self._selected = selection.limited(source, request.operation, request.parameters)
        self._mask: memoryview | None = None
        self._drawn: memoryview | None = None
        self._pixels: memoryview | None = None
        live = Live if request.fills and not self.live else LIVE[request.placement]
        self._live = live(self._source, request.layer_name, request.factor)
        self._state = READING
        work = self._read() if not taken_up else _nothing()
        self._steps = Steps(work, progressed=self._read_some, done=self._have_read, failed=self._fail)

    def cancel(self) -> None:
        """End the job now and leave everything as it is. Too late once Krita is adding the result."""
        if self._steps.busy:
            return
        if self._state == RUNNING:
            self._session.send(Cancel(self.id))
        self._end("Cancelled.", False)

    def enough(self) -> None:
        """Have it end with what shows."""
        if self.keepable:
            self.keepable = False
            self._session.send(Enough(self.id))
            self._progressed()

    def session_changed(self) -> None:
        """The connection came or went."""
        if self._session.state == OFF:
            if self._state != PLACING:
                self._end(self._session.reason or "The connection to Samovar was closed.", False)
        elif self._session.state == SESSION_READY and self._state == WAITING:
            self._send()

    def take(self, message: Message, frames: list[memoryview]) -> None:
        """A message from the daemon; those of other jobs are left alone."""
        if isinstance(message, Refused) and message.kind == "Run":
            self._fail(remote_error(message.code, message.message, message.hint))
        elif getattr(message, "job", None) != self.id:
            return
        elif isinstance(message, Progress) and self._state == RUNNING:
            stage = "in Krita" if self._live.in_krita else message.stage or "working"
            self._show(_READ + (_PLACE - _READ) * message.fraction, stage)
            self._show_part(message, frames)
        elif isinstance(message, Failed):
            self._fail(remote_error(message.code, message.message, message.hint))
        elif isinstance(message, Done):
            self._place(message, frames)

    # --- the stages -------------------------------------------------------------------------------------------------

    def _read(self) -> Generator[float, None, memoryview]:
        if self._selected is not None:
            self._mask = yield from selection.read(self._selected, self._source.name)
        if self._guide is not None:
            self._drawn = yield from canvas.read(self._guide)
        return (yield from canvas.read(self._sent))

    def _read_some(self, fraction: float) -> None:
        self._show(_READ * fraction, "reading")

    def _have_read(self, pixels: memoryview | None) -> None:
        self._pixels, self._state = pixels, WAITING
        self._show(_READ, "connecting")
        self.session_changed()

    def _send(self) -> None:
        if self._taken_up:
            self._state = RUNNING
            self._session.send(Attach(self.id))
            return
        assert self._pixels is not None
        wrap_x, wrap_y = wraps(self._request.operation, self._request.parameters)
        run = Run(
            job=self.id, operation=self._request.operation.id, parameters=self._request.sent, seed=self._request.seed,
            images={"image": self._sent.raster}, viewport=viewport.of(self._sent), stream=self._live.wants_parts,
            priority=BATCH if self.live else "interactive", keep_result=self.live, wrap_x=wrap_x, wrap_y=wrap_y,
        )  # fmt: skip
        frames = [self._pixels]
        if self._selected is not None and self._mask is not None:
            run = replace(
                run, region=self._selected.region(self._sent.raster),
                images={**run.images, MASK: self._selected.raster},
            )  # fmt: skip
            frames.append(self._mask)
        if self._request.samples:
            # The result lies where the sample says it does: that is to be the layer's corner, also for who takes the
            # job up some day.
            x, y = self._source.bounds.x(), self._source.bounds.y()
            images = {role: replace(each, x=x, y=y) for role, each in run.images.items()}
            run = replace(run, region=None, viewport=None, images=images)
        if self._guide is not None and self._drawn is not None:
            role = guides(self._request.operation)[0]
            run = replace(run, images={**run.images, role: replace(self._guide.raster, frame=len(frames))})
            frames.append(self._drawn)
        self._state = RUNNING
        self._session.send(run, frames)
        self._show(_READ, "sending")

    def _show_part(self, progress: Progress, frames: list[memoryview]) -> None:
        if self._live.closed:
            self._session.send(Cancel(self.id))
            self._fail(Unsuitable("The picture was closed before its result came."))
        elif progress.whole is not None and "image" in progress.images:
            self.keepable = self.live
            self._know_place(progress.whole)
            part = progress.images["image"]
            self._live.add(part, progress.whole, frames[part.frame], self._patch)

    @property
    def _patch(self) -> memoryview | None:
        """How much of each pixel of the result shows, if it is a patch at a place of its own. A sample's shape is
        none of that."""
        return None if self._request.samples and not self._taken_up else self._mask

    def _know_place(self, whole: Raster) -> None:
        """What was taken up has its place in its own raster, as a patch has."""
        if self._taken_up and self._mask is None:
            self._mask = memoryview(b"\xff" * (whole.width * whole.height))

    def _place(self, done: Done, frames: list[memoryview]) -> None:
        self._report = done.report
        if self.live:
            self._session.send(Cancel(self.id))  # it is here: nobody needs to keep it any longer
        raster = done.images["image"]
        self._know_place(raster)
        growth = raster.width / self._source.raster.width if self._selected is None else 1.0
        factor = self._request.factor if self._request.factor != 1.0 else growth
        covered = done.images.get(MASK)  # of what fills: where anything changed
        mask = frames[covered.frame] if covered is not None else self._patch
        variants = [frames[each.frame] for role, each in done.images.items() if role not in ("image", MASK)]
        name, blending = self._request.layer_name, self._request.blend
        result = Result(raster, frames[raster.frame], factor, name, mask, tuple(variants), blending)
        place = PLACEMENTS[self._request.placement][1]
        self._pixels, self._state, self.keepable = None, PLACING, False
        self._live.stop()
        work = place(self._source, result, self._live)
        self._steps = Steps(work, progressed=self._placed_some, done=self._have_placed, failed=self._fail)
        self._show(_PLACE, "placing")

    def _placed_some(self, fraction: float) -> None:
        if fraction == HELD:
            self._show(self.fraction, "in Krita")
        elif fraction != REST:
            self._show(_PLACE + (1.0 - _PLACE) * fraction, "placing")

    def _release(self) -> None:
        self._state, self.keepable = ENDED, False
        self._steps.cancel()
        self._live.leave()
        self._pixels = self._mask = self._drawn = None


def _nothing() -> Generator[float, None, None]:
    """What is read of a layer for a job that is at work already."""
    yield 1.0
