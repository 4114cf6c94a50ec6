"""Faces to choose from, under the docker's form: placed, varied, mixed, or thrown away for new ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from krita import Krita

from .creation import Sheet
from .desk import Desk, entry
from .job import Request
from .qt import QtCore, QtGui, QtWidgets
from .samovar_link import request
from .samovar_link.messages import Value

_OF_THE_NEXT = ("count", "size", "amount", "other")
"""Parameters that say nothing of what a face of a sheet looks like."""

_LEAST_SIDE, _MOST_SIDE, _BORDER = 48, 128, 4
"""Pixels of a face on the screen, and around it."""

_LEAST_HEIGHT = 2 * (_LEAST_SIDE + 2 * _BORDER) + 4
"""Two rows: Krita's window grows if its dockers ask for more than it has."""

_BUSY = "A job is running; cancel it or wait for it."
_NOTHING = "Draw first."
_NO_PICTURE = "Open a picture first."
_NO_NUMBER = "Variations and mixes have no number of their own, by which to draw them otherwise."


class ContactSheet(QtWidgets.QWidget):
    """Shows the sheet of the desk.

    settings : what is set now
    put : sets parameters where the user does
    """

    def __init__(
        self, desk: Desk, settings: Callable[[], Request | None], put: Callable[[Mapping[str, Value]], None]
    ) -> None:
        super().__init__()
        self.desk = desk
        self._settings, self._put = settings, put
        self._sheet: Sheet | None = None
        self._next: int | None = None
        self.faces = FaceList()
        self.faces.wanted.connect(self._place)
        self.faces.itemSelectionChanged.connect(self.refresh)
        self.place_button = self._button("Place", self._place)
        self.whole_button = self._button("Place the sheet", self._place_whole)
        self.vary_button = self._button("Vary", self._vary)
        self.mix_button = self._button("Mix", self._mix)
        self.new_button = self._button("New", self._draw_new)
        upper, lower = QtWidgets.QHBoxLayout(), QtWidgets.QHBoxLayout()
        for each in (self.place_button, self.whole_button):
            upper.addWidget(each, 1)
        for each in (self.vary_button, self.mix_button, self.new_button):
            lower.addWidget(each, 1)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.faces, 1)
        column.addLayout(upper)
        column.addLayout(lower)

    @entry
    def refresh(self, *_: object) -> None:
        """Show the desk's state, and what is chosen."""
        settings, sheet = self._settings(), self.desk.sheet
        if settings is None or not settings.operation.creates:
            return  # nobody sees it; what is chosen stays so
        if sheet is not None and sheet.request.operation.id != settings.operation.id:
            sheet = None
        if sheet is not self._sheet:
            self._sheet = sheet
            self.faces.show_sheet(sheet)
            if sheet is not None and sheet.is_new:
                self._next = sheet.request.seed + sheet.count
        chosen = self.faces.chosen
        numbers = [sheet.number(each) for each in chosen] if sheet is not None else []
        busy = _BUSY if self.desk.job is not None else ""
        idle = busy or (_NOTHING if sheet is None else "")
        document = "" if Krita.instance().activeDocument() is not None else _NO_PICTURE
        no_number = _NO_NUMBER if None in numbers else ""
        first = self._first(settings)
        for button, reason, use in (
            (
                self.place_button,
                idle or document or ("" if chosen else "Choose some of them first."),
                "Put what is chosen above the active layer, in the size that is set; a double click does the same",
            ),
            (self.whole_button, idle or document, "Put all of them above the active layer, as one layer"),
            (
                self.vary_button,
                idle or ("" if len(chosen) == 1 else "Choose one of them.") or no_number,
                "Draw others like the chosen one",
            ),
            (
                self.mix_button,
                idle or ("" if len(chosen) == 2 else "Choose two of them, the second one with Ctrl.") or no_number,
                "Draw what lies between the two",
            ),
            (self.new_button, busy, f"Draw the next ones, from number {first} on"),
        ):
            button.setEnabled(not reason)
            button.setToolTip(reason or use)

    # --- what the user does -----------------------------------------------------------------------------------------

    @entry
    def _place(self, *_: object) -> None:
        if self.faces.chosen:
            self.desk.place(self._wanted(), self.faces.chosen)

    @entry
    def _place_whole(self, *_: object) -> None:
        self.desk.place(self._wanted())

    @entry
    def _vary(self, *_: object) -> None:
        assert self._sheet is not None
        (chosen,) = self.faces.chosen
        self._draw({**self._looks(), "way": "vary", request.SEED.name: self._sheet.number(chosen)})

    @entry
    def _mix(self, *_: object) -> None:
        assert self._sheet is not None
        one, other = (self._sheet.number(each) for each in self.faces.chosen)
        self._draw({**self._looks(), "way": "mix", request.SEED.name: one, "other": other})

    @entry
    def _draw_new(self, *_: object) -> None:
        if (settings := self._settings()) is not None:
            self._draw({"way": "new", request.SEED.name: self._first(settings)})

    def _draw(self, values: Mapping[str, Any]) -> None:
        self._put(values)
        if (settings := self._settings()) is not None:
            self.desk.draw(settings)

    def _first(self, settings: Request) -> int:
        """Number of the first of new faces that were not seen yet."""
        if self._next is None:
            return settings.seed
        return self._next if self._next <= request.SEED.maximum else 0

    def _wanted(self) -> Request:
        """What the sheet was drawn from, in the size that is set now."""
        assert self._sheet is not None
        drawn, settings = self._sheet.request, self._settings()
        size = {} if settings is None else {"size": settings.parameters["size"]}
        return replace(drawn, parameters={**drawn.parameters, **size})

    def _looks(self) -> dict[str, Value]:
        assert self._sheet is not None
        drawn = self._sheet.request.parameters
        return {name: value for name, value in drawn.items() if name not in _OF_THE_NEXT}

    def _button(self, text: str, pressed: Callable[..., None]) -> Any:
        button = QtWidgets.QPushButton(text)
        button.clicked.connect(pressed)
        return button


class FaceList(QtWidgets.QListWidget):
    """The faces, as large as all of them fit.

    wanted : by a double click, or Return
    """

    wanted = QtCore.pyqtSignal()

    def __init__(self) -> None:
        super().__init__()
        self._drawing = _Drawing(self)
        self.setItemDelegate(self._drawing)
        self.setViewMode(QtWidgets.QListView.ViewMode.IconMode)
        self.setResizeMode(QtWidgets.QListView.ResizeMode.Adjust)
        self.setMovement(QtWidgets.QListView.Movement.Static)
        self.setSelectionMode(QtWidgets.QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setVerticalScrollMode(QtWidgets.QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.setMinimumHeight(_LEAST_HEIGHT)
        self.itemDoubleClicked.connect(lambda *_: self.wanted.emit())

    @property
    def chosen(self) -> list[int]:
        """Places on the sheet, from the first on."""
        return sorted(index.row() for index in self.selectedIndexes())

    def show_sheet(self, sheet: Sheet | None) -> None:
        """These instead of those, and nothing chosen."""
        self.clear()
        if sheet is None:
            return
        for index in range(sheet.count):
            item = QtWidgets.QListWidgetItem(QtGui.QIcon(QtGui.QPixmap.fromImage(sheet.face(index))), "")
            name = sheet.name(index)
            item.setToolTip(name)
            item.setData(QtCore.Qt.ItemDataRole.AccessibleTextRole, name)
            self.addItem(item)
        self._fit()

    def resizeEvent(self, event: Any) -> None:
        """As large as fits."""
        super().resizeEvent(event)
        self._fit()

    def keyPressEvent(self, event: Any) -> None:
        """Return places what is chosen; the rest is Qt's: arrows, Space, Ctrl+A."""
        if event.key() in (QtCore.Qt.Key.Key_Return, QtCore.Qt.Key.Key_Enter):
            self.wanted.emit()
        else:
            super().keyPressEvent(event)

    def event(self, event: Any) -> bool:
        """Krita has shortcuts for some of these keys, which are not meant while one is in here."""
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and (
            event.key() in _OWN_KEYS or event.matches(QtGui.QKeySequence.StandardKey.SelectAll)
        ):
            event.accept()
            return True
        return bool(super().event(event))

    def _fit(self) -> None:
        frame = 2 * self.frameWidth() + 2
        width, height = self.width() - frame - self.verticalScrollBar().sizeHint().width(), self.height() - frame
        count = max(1, self.count())
        cell = max(min(width // columns, height // -(-count // columns)) for columns in range(1, count + 1))
        side = max(_LEAST_SIDE, min(_MOST_SIDE, cell - 2 * _BORDER))
        self.setIconSize(QtCore.QSize(side, side))
        self.setGridSize(QtCore.QSize(side + 2 * _BORDER, side + 2 * _BORDER))


class _Drawing(QtWidgets.QStyledItemDelegate):
    """Faces as they are, on a colour where they are chosen: styles tint them, and mark the text that is not there."""

    def paint(self, painter: Any, option: Any, index: Any) -> None:
        states = QtWidgets.QStyle.StateFlag
        if option.state & states.State_Selected:
            painter.fillRect(option.rect, option.palette.highlight())
        inner = option.rect.adjusted(_BORDER, _BORDER, -_BORDER, -_BORDER)
        index.data(QtCore.Qt.ItemDataRole.DecorationRole).paint(painter, inner)
        if option.state & states.State_HasFocus:
            painter.setPen(option.palette.color(QtGui.QPalette.ColorRole.Text))
            painter.drawRect(option.rect.adjusted(0, 0, -1, -1))

    def sizeHint(self, option: Any, index: Any) -> Any:
        border = QtCore.QSize(2 * _BORDER, 2 * _BORDER)
        return option.decorationSize + border


_OWN_KEYS = [
    getattr(QtCore.Qt.Key, f"Key_{name}")
    for name in ("Return", "Enter", "Space", "Left", "Right", "Up", "Down", "Home", "End", "PageUp", "PageDown")
]
