"""Widgets for an operation's parameters, drawn from their declaration. In the declared order, with Krita's own look."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from .qt import QtCore, QtWidgets
from .samovar_link import request, words
from .samovar_link.messages import ModelInfo, OperationInfo, ParameterInfo, Value

NOISE = "noise"
"""The parameter that means something only for a model with noise levels."""

_LARGEST = 2**31 - 1
_MINIMUM_LETTERS = 12
Get = Callable[[], Value]


class ParameterForm(QtWidgets.QWidget):
    """One row for each parameter.

    models : all that the daemon offers; those of the operation are shown
    values : to begin with; what is missing or does not fit takes its default
    without : names of those that somebody else decides
    """

    changed = QtCore.pyqtSignal()

    def __init__(
        self, operation: OperationInfo, models: Sequence[ModelInfo], values: Mapping[str, Value],
        without: Collection[str] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self._operation = operation
        self._models = {each.id: each for each in models if operation.id in each.operations}
        self._widgets: dict[str, Any] = {}
        self._values: dict[str, Get] = {}
        self._model = ""
        layout = QtWidgets.QFormLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for info in request.parameters(operation):
            if info.name not in without:
                self._add(layout, info, values.get(info.name, info.default))
        self._fit_to_model()

    def values(self) -> dict[str, Value]:
        """Parameters as the daemon takes them. One that the model does not know is left out."""
        values = {name: get() for name, get in self._values.items() if self._widgets[name].isEnabled()}
        return {name: value for name, value in values.items() if value is not None}  # None: a list with nothing in it

    def put(self, values: Mapping[str, Value]) -> None:
        """Set some of them."""
        for name, value in values.items():
            widget = self._widgets.get(name)
            if isinstance(widget, QtWidgets.QComboBox):
                widget.setCurrentIndex(widget.findData(value))
            elif isinstance(widget, QtWidgets.QCheckBox):
                widget.setChecked(value is True)
            elif widget is not None:
                widget.setValue(value)

    def widget(self, name: str) -> Any:
        """The widget of a parameter."""
        return self._widgets[name]

    def _add(self, layout: Any, info: ParameterInfo, value: Value) -> None:
        title = info.title or info.name
        draw = {"bool": _check_box, "int": _spin_box, "float": _double_spin_box, "choice": _combo_box}
        if info.kind == "model":
            self._model = info.name
            widget, get, changed = _combo_box(info, value, self._model_items())
        elif info.kind in draw:
            widget, get, changed = draw[info.kind](info, value)
        else:
            return  # a kind of a newer daemon; it has a default
        changed.connect(self._on_change)
        label = QtWidgets.QLabel("" if info.kind == "bool" else f"{title}:")
        for each in (label, widget):
            each.setToolTip(info.help)
        widget.setObjectName(info.name)
        layout.addRow(label, _with_dice(widget) if request.is_seed(info) else widget)
        self._widgets[info.name], self._values[info.name] = widget, get

    def _model_items(self) -> list[tuple[str, str, str]]:
        return [(each.id, words.title(each), each.help) for each in self._models.values()]

    def _on_change(self, *_: object) -> None:
        self._fit_to_model()
        self.changed.emit()

    def _fit_to_model(self) -> None:
        idle = request.idle(self._operation, {name: get() for name, get in self._values.items()})
        for name, widget in self._widgets.items():
            widget.setEnabled(name not in idle)
        if NOISE in self._widgets and self._model:
            model = self._models.get(str(self._values[self._model]()))
            self._widgets[NOISE].setEnabled(model is not None and bool(model.noise_levels))


def _check_box(info: ParameterInfo, value: Value) -> tuple[Any, Get, Any]:
    box = QtWidgets.QCheckBox(info.title or info.name)
    box.setChecked(value is True)
    return box, box.isChecked, box.toggled


def _spin_box(info: ParameterInfo, value: Value) -> tuple[Any, Get, Any]:
    box = QtWidgets.QSpinBox()
    box.setRange(int(_or(info.minimum, -_LARGEST)), int(_or(info.maximum, _LARGEST)))
    box.setSingleStep(int(info.step or 1))
    box.setValue(int(_number(value, info.default)))
    return _with_unit(box, info), box.value, box.valueChanged


def _double_spin_box(info: ParameterInfo, value: Value) -> tuple[Any, Get, Any]:
    box = QtWidgets.QDoubleSpinBox()
    step = info.step or 0.1
    box.setDecimals(2 if step >= 0.01 else 4)
    box.setRange(_or(info.minimum, -_LARGEST), _or(info.maximum, _LARGEST))
    box.setSingleStep(step)
    box.setValue(_number(value, info.default))
    return _with_unit(box, info), box.value, box.valueChanged


def _combo_box(
    info: ParameterInfo, value: Value, items: Sequence[tuple[str, str, str]] | None = None
) -> tuple[Any, Get, Any]:
    """items : (value, text, tool tip); those of the declaration if None"""
    box = QtWidgets.QComboBox()
    box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(_MINIMUM_LETTERS)
    if items is None:
        items = [(each.id, each.title, "") for each in info.choices]
    for row, (id, text, tip) in enumerate(items):
        box.addItem(text, id)
        box.setItemData(row, tip, QtCore.Qt.ItemDataRole.ToolTipRole)
    found = [box.findData(each) for each in (value, info.default) if box.findData(each) >= 0]
    box.setCurrentIndex(found[0] if found else 0)
    return box, box.currentData, box.currentIndexChanged


def _with_unit(box: Any, info: ParameterInfo) -> Any:
    if info.unit:
        box.setSuffix(info.unit if info.unit in ("x", "%", "°") else f" {info.unit}")
    return box


def _with_dice(box: Any) -> Any:
    """The box with a button that draws another number."""
    row = QtWidgets.QWidget()
    layout = QtWidgets.QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    dice = QtWidgets.QToolButton()
    dice.setText("⚄")
    dice.setToolTip("Another number")
    dice.setObjectName("dice")
    dice.clicked.connect(lambda *_: box.setValue(random.randrange(box.maximum())))
    layout.addWidget(box, 1)
    layout.addWidget(dice)
    return row


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _number(value: Value, default: Value) -> float:
    """A remembered value may be of another type than the parameter has now."""
    return float(value if isinstance(value, (int, float)) and not isinstance(value, bool) else default)
