"""The docker: what to do, how, where the result goes; Run, progress, Cancel, and one line that says what happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from krita import DockWidget, Krita

from . import selection, strokes
from .contact_sheet import ContactSheet
from .creation import DECIDED
from .desk import Desk, entry
from .job import Request
from .parameters import ParameterForm
from .placement import PLACEMENTS, scaled_size
from .qt import QtCore, QtWidgets
from .samovar_link import words
from .samovar_link.messages import OperationInfo, Value
from .samovar_link.request import grown_size, guides, sheet
from .session import OFF

DOCKER_ID = "samovar_docker"
_SETTLED_MILLISECONDS = 400
"""For so long nothing was changed: who drags a slider passes values that they do not mean."""

_NOT_RUNNING = "Samovar is not running; it starts with the first run."
_NOTHING = "Samovar is not running. Start it to see what it can do."
_OUTSIDE = "the selection is outside the layer"


class SamovarDocker(DockWidget):
    """One per Krita window; all show the same desk."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self.setWindowTitle("Samovar")
        self._offered: Any = None
        self._form: ParameterForm | None = None
        self._settled = QtCore.QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.timeout.connect(self._warm)
        self._build()
        desk.changed.connect(self.refresh)
        desk.chosen.connect(self.open)
        self._draw_offer()
        self.refresh()

    # --- what Krita calls -------------------------------------------------------------------------------------------

    @entry
    def canvasChanged(self, canvas: Any) -> None:
        """Another picture, or none."""
        self._show_size()
        self.contact_sheet.refresh()

    @entry
    def enterEvent(self, event: Any) -> None:
        """The pointer comes: the picture may have been resized since, or something selected. And a job may come."""
        self._show_size()
        self._warm()
        self.desk.look_for_jobs()

    @entry
    def showEvent(self, event: Any) -> None:
        """The first look at the docker is the first use: see whether a daemon runs."""
        self.desk.connect()

    # --- drawing ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        self.operation_box, self.placement_box = QtWidgets.QComboBox(), QtWidgets.QComboBox()
        for id, (title, _) in PLACEMENTS.items():
            self.placement_box.addItem(title, id)
        self.placement_box.setCurrentIndex(max(0, self.placement_box.findData(self.desk.placement)))
        self.guide_box = QtWidgets.QComboBox()
        self.guide_box.setToolTip("A layer with strokes of colour on transparency; without one the model decides alone")
        self.size_label, self.status_label = QtWidgets.QLabel(), QtWidgets.QLabel()
        self.run_button, self.cancel_button = QtWidgets.QPushButton("Run"), QtWidgets.QPushButton("Cancel")
        self.use_button = QtWidgets.QPushButton("Use this")
        self.use_button.setToolTip("End the job with what shows now")
        self.waiting_box, self.take_up_button = QtWidgets.QComboBox(), QtWidgets.QPushButton("Take up")
        self.waiting_box.setToolTip("Jobs that go on, or are done, since the program that wanted them was closed")
        self.take_up_button.setToolTip("Show it above the active layer, at its place")
        self.take_up_button.clicked.connect(self._take_up)
        self.doctor_button = QtWidgets.QToolButton()
        self.doctor_button.setText("?")
        self.doctor_button.setToolTip("Samovar: Doctor... looks for what is wrong with the installation")
        self.doctor_button.clicked.connect(self._show_doctor)
        self.contact_sheet = ContactSheet(self.desk, self.request, self._put)
        self.progress_bar = QtWidgets.QProgressBar()
        self.progress_bar.setRange(0, 1000)
        self.status_label.setWordWrap(True)
        self.status_label.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
        self.operation_box.currentIndexChanged.connect(self._draw_form)
        self.placement_box.currentIndexChanged.connect(self._show_size)
        self.run_button.clicked.connect(self.run)
        self.cancel_button.clicked.connect(self._cancel)
        self.use_button.clicked.connect(self._use)
        self._lay_out()

    def _lay_out(self) -> None:
        content = QtWidgets.QWidget()
        column = QtWidgets.QVBoxLayout(content)
        self._form_place = QtWidgets.QVBoxLayout()
        buttons = QtWidgets.QHBoxLayout()
        buttons.addWidget(self.run_button)
        buttons.addWidget(self.use_button)
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.doctor_button)
        self._waiting_row = QtWidgets.QWidget()
        waiting = QtWidgets.QHBoxLayout(self._waiting_row)
        waiting.setContentsMargins(0, 0, 0, 0)
        waiting.addWidget(self.waiting_box, 1)
        waiting.addWidget(self.take_up_button)
        self._guide_row = QtWidgets.QWidget()
        guide = QtWidgets.QFormLayout(self._guide_row)
        guide.setContentsMargins(0, 0, 0, 0)
        guide.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        guide.addRow("Strokes:", self.guide_box)
        self._result_row = QtWidgets.QWidget()
        result = QtWidgets.QFormLayout(self._result_row)
        result.setContentsMargins(0, 0, 0, 0)
        result.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        result.addRow("Result:", self.placement_box)
        column.addWidget(self.operation_box)
        column.addLayout(self._form_place)
        column.addWidget(self._guide_row)
        column.addWidget(self._result_row)
        column.addWidget(self.size_label)
        column.addLayout(buttons)
        column.addWidget(self.progress_bar)
        column.addWidget(self.status_label)
        column.addWidget(self._waiting_row)
        column.addWidget(self.contact_sheet, 1)
        column.addStretch()
        self.setWidget(content)

    def _draw_offer(self) -> None:
        """The list of operations, when what is offered has changed."""
        if self.desk.offer is self._offered:
            return
        self._offered = self.desk.offer
        last = self.desk.last_request()
        shown = self.operation_box.currentData()
        wanted = shown.id if shown is not None else last.operation.id if last is not None else "upscale"
        self.operation_box.blockSignals(True)
        self.operation_box.clear()
        for each in self.desk.operations:
            self.operation_box.addItem(each.title, each)
        self.operation_box.blockSignals(False)
        self.operation_box.setVisible(self.operation_box.count() > 1)
        for each in ("upscale", wanted):  # the latter may not be offered any more
            self.choose(each)
        self._draw_form()

    @entry
    def _draw_form(self, *_: object) -> None:
        operation = self.operation
        remembered = self.desk.remembered(operation.id) if operation is not None else {}
        if self._form is not None:
            if operation is not None and self._form.objectName() == operation.id:
                remembered = {**remembered, **self._form.values()}  # drawn anew for a new offer: keep what is set
            self._form_place.removeWidget(self._form)
            self._form.hide()
            self._form.deleteLater()
            self._form = None
        if operation is not None and self.desk.offer is not None:
            decided = DECIDED if operation.creates else ()
            self._form = ParameterForm(operation, self.desk.offer.models, remembered, decided)
            self._form.setObjectName(operation.id)
            self._form.changed.connect(self._changed)
            self._form_place.addWidget(self._form)
        self.contact_sheet.setVisible(operation is not None and operation.creates)
        self.contact_sheet.refresh()
        self._show_size()

    @entry
    def refresh(self) -> None:
        """Show the desk's state."""
        self._draw_offer()
        job = self.desk.job
        self.run_button.setEnabled(job is None and (self.operation is not None or self.desk.session.state == OFF))
        self.cancel_button.setEnabled(job is not None)
        self.use_button.setVisible(job is not None and job.live)
        self.use_button.setEnabled(job is not None and job.keepable)
        self.progress_bar.setValue(round(1000 * job.fraction) if job is not None else 0)
        self.progress_bar.setFormat(f"{job.stage} %p%" if job is not None else "")
        self.contact_sheet.refresh()
        self._show_waiting()
        status = self.desk.status
        if not status and job is None and self.desk.session.state == OFF:
            status = _NOT_RUNNING if self.operation is not None else _NOTHING
        self.status_label.setText(status)

    @entry
    def _show_size(self, *_: object) -> None:
        document, request = Krita.instance().activeDocument(), self.request()
        self._result_row.setVisible(request is not None and request.free)
        self._show_guides(document)
        text = _size(document, request) if document is not None and request is not None else ""
        self.size_label.setText(text)
        self.size_label.setVisible(bool(text))
        missing = request is not None and self.desk.missing(request) is not None
        run = "Draw" if request is not None and request.operation.creates else "Run"
        run = f"Fetch and {run.lower()}..." if missing else run
        self.run_button.setText("Start Samovar" if request is None else run)

    def _show_guides(self, document: Any) -> None:
        """The list of layers that may hold strokes, if the operation takes any."""
        takes = self.operation is not None and bool(guides(self.operation))
        self._guide_row.setVisible(takes)
        found = strokes.layers(document) if takes and document is not None else []
        shown = [(self.guide_box.itemText(row), self.guide_box.itemData(row)) for row in range(self.guide_box.count())]
        if shown != [("None", ""), *found]:
            chosen = self.guide_box.currentData()
            self.guide_box.clear()
            for name, identity in [("None", ""), *found]:
                self.guide_box.addItem(name, identity)
            self.guide_box.setCurrentIndex(max(0, self.guide_box.findData(chosen)))

    @entry
    def _changed(self, *_: object) -> None:
        """Something was set otherwise."""
        self._show_size()
        self._settled.start(_SETTLED_MILLISECONDS)

    @entry
    def _warm(self, *_: object) -> None:
        self.desk.warm(self.request())

    # --- what the user does -----------------------------------------------------------------------------------------

    @property
    def operation(self) -> OperationInfo | None:
        """The one that is shown."""
        found: OperationInfo | None = self.operation_box.currentData()
        return found

    @entry
    def choose(self, operation: str) -> None:
        """Show an operation, if it is offered."""
        for row in range(self.operation_box.count()):
            if self.operation_box.itemData(row).id == operation:
                self.operation_box.setCurrentIndex(row)

    @entry
    def open(self, operation: str) -> None:
        """Show an operation that somebody is about to run."""
        self.choose(operation)
        self._warm()

    def request(self) -> Request | None:
        """What is set now."""
        if self.operation is None or self._form is None:
            return None
        values = self._form.values()
        guide = str(self.guide_box.currentData() or "") if guides(self.operation) else ""
        request = Request(self.operation, values, "layer", guide)
        return replace(request, placement=self.placement_box.currentData()) if request.free else request

    def _put(self, values: Mapping[str, Value]) -> None:
        """Set some of the parameters."""
        if self._form is not None:
            self._form.put(values)

    @entry
    def run(self, *_: object) -> None:
        """The button: run what is set, or start the daemon if what it can do is not even known."""
        self._show_size()  # what is selected may be news
        request = self.request()
        if request is None:
            self.desk.connect(True)
        elif request.operation.creates:
            self.desk.draw(request)
        else:
            self.desk.run(request)

    @entry
    def _show_doctor(self, *_: object) -> None:
        self.desk.show_doctor()

    def _show_waiting(self) -> None:
        """The list of jobs that nobody waits for."""
        shown = [self.waiting_box.itemData(row) for row in range(self.waiting_box.count())]
        if shown != [each.job for each in self.desk.waiting]:
            titles = {each.id: each.title for each in self.desk.operations}
            self.waiting_box.clear()
            for each in self.desk.waiting:
                self.waiting_box.addItem(words.job(each, titles.get(each.operation, each.operation)), each.job)
        self._waiting_row.setVisible(bool(self.desk.waiting) and self.desk.job is None)

    @entry
    def _take_up(self, *_: object) -> None:
        row = self.waiting_box.currentIndex()
        if 0 <= row < len(self.desk.waiting):
            self.desk.take_up(self.desk.waiting[row])

    @entry
    def _use(self, *_: object) -> None:
        self.desk.enough()

    @entry
    def _cancel(self, *_: object) -> None:
        self.desk.cancel()


def _size(document: Any, request: Request) -> str:
    """What becomes of the picture's size, or which part of it is worked on. Empty if neither is news."""
    if request.operation.creates:
        columns, rows, side = sheet(request.operation, request.parameters)
        return f"one: {side} × {side} px, the sheet: {columns * side} × {rows * side} px"
    if request.samples:
        return _grown_size(document, request)
    width, height = document.width(), document.height()
    if not request.resizes:
        applies = selection.applies(request.operation, request.parameters)
        return _selected_size(document, request.fills) if applies else ""
    if request.placement == "layer":
        return f"layer × {request.factor:g}, canvas stays {width} × {height}"
    new_width, new_height = scaled_size(document, request.factor)
    return f"{width} × {height} → {new_width} × {new_height} px"


def _grown_size(document: Any, request: Request) -> str:
    """How large the sample is, and what is grown from it."""
    selected, node = document.selection(), document.activeNode()
    if node is None:
        return ""
    sample = node.bounds()
    if selected is not None:
        sample = selection.extent(selected).intersected(sample)
        if sample.isEmpty():
            return _OUTSIDE
    width, height = grown_size(request.parameters, sample.width(), sample.height())
    return f"sample {sample.width()} × {sample.height()} → new layer {width} × {height} px"


def _selected_size(document: Any, needed: bool) -> str:
    selected, node = document.selection(), document.activeNode()
    if selected is None or node is None:
        return "select what is to be filled" if needed else ""
    part = selection.extent(selected).intersected(node.bounds())
    if part.isEmpty():
        return _OUTSIDE
    return f"selection only: {part.width()} × {part.height()} px"
