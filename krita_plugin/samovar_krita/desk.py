"""What all dockers and actions of one Krita share: the connection, the job, the status line, what was used last.

One job at a time: the user sees one progress bar. Every way in from Krita (a click, an action, a docker being shown)
goes through `entry`, the one place that catches everything, so that a defect becomes a sentence and no error dialog.
"""

from __future__ import annotations

import functools
import json
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from krita import Krita

from . import canvas, creation, fetching
from .canvas import Unsuitable
from .creation import Creation, Sheet
from .doctor import DoctorWindow
from .fetching import Fetching
from .job import Job, Request
from .placement import PLACEMENTS
from .qt import QtCore, QtGui
from .samovar_link import codec
from .samovar_link.messages import (
    JobInfo,
    Message,
    ModelInfo,
    OperationInfo,
    Raster,
    Run,
    Status,
    StatusReport,
    Value,
    Warm,
    Welcome,
)
from .samovar_link.request import MASK
from .session import CONNECTING, OFF, READY, STARTING, Session
from .steps import Work

GROUP = "samovar"
"""Group of our settings in Krita's own settings file."""

WARM_SECONDS = 300.0
"""How long models stay that were loaded in advance."""

_MESSAGE_MILLISECONDS = 4000
Function = TypeVar("Function", bound=Callable[..., Any])


def entry(function: Function) -> Function:
    """For methods of objects with a `desk` that Krita or Qt calls: whatever goes wrong becomes one sentence."""

    @functools.wraps(function)
    def guarded(self: Any, *arguments: Any) -> Any:
        try:
            return function(self, *arguments)
        except Unsuitable as error:
            self.desk.say(str(error), aloud=True)
        except Exception as error:
            traceback.print_exc()
            self.desk.say(f"Samovar's plug-in failed ({type(error).__name__}: {error}).", aloud=True)

    return guarded  # type: ignore[return-value]


class Desk(QtCore.QObject):
    """changed : something that a docker shows is different; chosen : a docker should show this operation."""

    changed = QtCore.pyqtSignal()
    chosen = QtCore.pyqtSignal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self.desk = self
        self.status = ""
        self.job: Job | Creation | Fetching | None = None
        self.sheet: Sheet | None = None
        self.waiting: tuple[JobInfo, ...] = ()
        self.question: Any = None
        self.doctor: Any = None
        self._wanted: Warm | None = None
        self._warmed: tuple[Warm | None, float] = None, 0.0
        self._state = OFF
        self._offer = _installed_offer()
        version = self._offer.version if self._offer is not None else ""
        self.session = Session(version, self._session_changed, self._arrived)

    @property
    def offer(self) -> Welcome | None:
        """What can be done: by the running daemon, or by the one that was installed with the plug-in."""
        if self.session.welcome is not None:
            self._offer = self.session.welcome
        return self._offer

    @property
    def operations(self) -> list[OperationInfo]:
        """Those a docker shows: the only pictures that they need are the layer and what is selected."""
        offered = self.offer.operations if self.offer is not None else ()
        return [each for each in offered if not each.hidden and set(each.roles) <= {"image", MASK}]

    def missing(self, request: Request) -> ModelInfo | None:
        """The model of a request, if it has to be fetched first."""
        models = self.offer.models if self.offer is not None else ()
        return next((each for each in models if each.id == request.model and not each.available), None)

    # --- ways in ----------------------------------------------------------------------------------------------------

    @entry
    def connect(self, start: bool = False) -> None:
        """Connect, without a word if no daemon runs, unless one is to be started."""
        self.session.open(start=start)

    @entry
    def warm(self, request: Request | None) -> None:
        """Have the models of a request loaded, now or as soon as a daemon is there; but none is started for it."""
        if request is not None and self.missing(request) is None:
            self._wanted = Warm(request.operation.id, request.sent, WARM_SECONDS)
            self._send_warm()

    @entry
    def run(self, request: Request) -> None:
        """Begin a job on the active layer; of what creates, put all that it makes into the picture."""
        if request.operation.creates:
            self.place(request)
            return
        self._must_be_free()
        source = canvas.active(Krita.instance().activeDocument())

        def still_there() -> None:
            if _is_active(source):  # the user may be somewhere else by then
                self.run(request)

        if self._has_model(request, still_there):
            self.job = Job(self.session, source, request, progressed=self.changed.emit, ended=self._ended)
            self.say("")
            self.session.open(start=True)

    @entry
    def draw(self, request: Request) -> None:
        """Have a sheet of what is made out of nothing drawn to choose from; the dockers show it."""

        def keep(results: list[tuple[Raster, memoryview]]) -> Work:
            yield 1.0
            self.sheet = creation.sheet_of(request, *results[0])

        self._create(request, [creation.sheet_run(request)], keep, lambda: self.draw(request))

    @entry
    def place(self, request: Request, chosen: Sequence[int] = ()) -> None:
        """Put what is chosen of a sheet, or all of it, into the picture."""
        layers = creation.Layers(Krita.instance().activeDocument(), request, chosen)
        self._create(request, layers.runs, layers.place, lambda: self.place(request, chosen))

    def _create(
        self, request: Request, runs: Sequence[Run], finish: Callable[[list[tuple[Raster, memoryview]]], Work],
        again: Callable[[], None],
    ) -> None:  # fmt: skip
        self._must_be_free()
        if self._has_model(request, again):
            job = Creation(self.session, runs, finish, progressed=self.changed.emit, ended=self._ended)
            self.job = job
            self.say("")
            job.begin()

    def _must_be_free(self) -> None:
        if self.job is not None:
            raise Unsuitable("A job is running; cancel it or wait for it.")

    def _has_model(self, request: Request, again: Callable[[], None]) -> bool:
        """Whether its model is here. Otherwise it is fetched if the user agrees, and then they go on with `again`."""
        self.remember(request)
        missing = self.missing(request)
        if missing is not None:
            window = Krita.instance().activeWindow()
            parent = window.qwindow() if window is not None else None
            self.question = fetching.ask(missing, parent, lambda: self.fetch(missing, again))
        return missing is None

    @entry
    def fetch(self, model: ModelInfo, again: Callable[[], None]) -> None:
        """Fetch a model, then go on."""
        self._must_be_free()

        def ended(sentence: str, succeeded: bool) -> None:
            self._ended(sentence, succeeded)
            if succeeded:
                again()

        fetch = Fetching(self.session, model, progressed=self.changed.emit, ended=ended)
        self.job = fetch
        self.say("")
        fetch.begin()

    @entry
    def repeat(self) -> None:
        """The last request again, on the layer that is active now."""
        request = self.last_request()
        if request is None:
            raise Unsuitable("Nothing was run yet; open Samovar: Upscale... first.")
        self.run(request)

    @entry
    def show_doctor(self) -> None:
        """Open the window that tells what is wrong with the installation."""
        window = Krita.instance().activeWindow()
        self.doctor = DoctorWindow(window.qwindow() if window is not None else None)
        self.doctor.show()

    @entry
    def cancel(self) -> None:
        """End the running job, if any."""
        if self.job is not None:
            self.job.cancel()

    @entry
    def take_up(self, info: JobInfo) -> None:
        """Go on with a job that the daemon has and nobody waits for; its result comes above the active layer."""
        self._must_be_free()
        source = canvas.active(Krita.instance().activeDocument())
        operations = {each.id: each for each in self.operations}
        if info.operation not in operations:
            raise Unsuitable(f"This plug-in does not know what “{info.operation}” is; update it.")
        request = Request(operations[info.operation], {}, "layer")
        self.waiting = tuple(each for each in self.waiting if each != info)
        self.job = Job(
            self.session, source, request, progressed=self.changed.emit, ended=self._ended, taken_up=info.job
        )
        self.say("")

    @entry
    def look_for_jobs(self) -> None:
        """See what the daemon goes on with, or keeps, since an editor was closed."""
        if self.session.state == READY and self.job is None:
            self.session.send(Status())

    @entry
    def enough(self) -> None:
        """Have the running job end with what shows of it."""
        if isinstance(self.job, Job):
            self.job.enough()

    # --- words ------------------------------------------------------------------------------------------------------

    def say(self, sentence: str, *, aloud: bool = False) -> None:
        """Put a sentence into the status line of the dockers, and aloud also over the canvas."""
        self.status = sentence
        self.changed.emit()
        window = Krita.instance().activeWindow()
        view = window.activeView() if window is not None else None
        if aloud and view is not None:
            view.showFloatingMessage(sentence, QtGui.QIcon(), _MESSAGE_MILLISECONDS, 1)

    # --- memory -----------------------------------------------------------------------------------------------------

    def remember(self, request: Request) -> None:
        """For `last_request` and `remembered`, also after a restart."""
        operation = request.operation.id
        write = Krita.instance().writeSetting
        write(GROUP, "last", json.dumps([operation, request.parameters, request.placement]))
        write(GROUP, f"parameters-{operation}", json.dumps(request.parameters))
        if request.free:
            write(GROUP, "placement", json.dumps(request.placement))

    @property
    def placement(self) -> str:
        """The one last chosen, where there was a choice."""
        found = _read_json("placement")
        return found if found in PLACEMENTS else "document"

    def remembered(self, operation: str) -> dict[str, Value]:
        """The parameters last used with an operation."""
        found = _read_json(f"parameters-{operation}")
        return found if isinstance(found, dict) else {}

    def last_request(self) -> Request | None:
        """None if there is none, or it is of an operation that is not offered any more."""
        found = _read_json("last")
        if not (isinstance(found, list) and len(found) == 3 and found[2] in PLACEMENTS and self.offer is not None):
            return None
        operations = {each.id: each for each in self.offer.operations}
        return Request(operations[found[0]], found[1], found[2]) if found[0] in operations else None

    # --- what comes back --------------------------------------------------------------------------------------------

    def _session_changed(self) -> None:
        if self.session.state != self._state:  # a new offer is no new state
            self._state = self.session.state
            words = {STARTING: "Starting Samovar...", CONNECTING: "", READY: ""}
            self.status = words.get(self._state, self.session.reason)
        if self.job is not None:
            self.job.session_changed()
        if self.session.state != READY:
            self._warmed, self.waiting = (None, 0.0), ()
        else:
            self.look_for_jobs()
        self._send_warm()
        self.changed.emit()

    def _send_warm(self) -> None:
        """A job loads its own models, and the same again so soon is no news."""
        wanted, now = self._wanted, time.monotonic()
        if wanted is None or self.session.state != READY or self.job is not None:
            return
        asked, when = self._warmed
        if wanted != asked or now - when > WARM_SECONDS / 2:
            self._warmed = wanted, now
            self.session.send(wanted)
        self._wanted = None

    def _arrived(self, message: Message, frames: list[memoryview]) -> None:
        if isinstance(message, StatusReport):
            self.waiting = tuple(each for each in message.jobs if each.orphan)
            self.changed.emit()
        if self.job is not None:
            self.job.take(message, frames)

    def _ended(self, sentence: str, succeeded: bool) -> None:
        self.job = None
        self.say(sentence, aloud=True)


def _is_active(source: canvas.Source) -> bool:
    """Whether the layer is still the one that a run would take."""
    try:
        now = canvas.active(Krita.instance().activeDocument())
    except Unsuitable:
        return False
    return now.identity == source.identity


def _installed_offer() -> Welcome | None:
    """`operations.json`, which `samovar install krita` wrote: so that the docker can be drawn before a daemon runs."""
    try:
        fields = json.loads(Path(__file__).with_name("operations.json").read_text(encoding="utf-8"))
        offer = codec.decode(codec.msgpack.packb(["Welcome", fields]))  # the same checks as for a daemon's
    except Exception:  # missing or damaged: the first connection brings the offer
        return None
    return offer if isinstance(offer, Welcome) else None


def _read_json(key: str) -> Any:
    try:
        return json.loads(Krita.instance().readSetting(GROUP, key, "null"))
    except ValueError:
        return None
