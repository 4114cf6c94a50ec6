"""An operation's parameters as arguments of a GIMP procedure, and back.

The arguments are the dialog: GIMP draws it from them, remembers their last values and checks their ranges.
"""

from __future__ import annotations

from collections.abc import Iterable

from gi.repository import Gimp, GObject

from samovar_link import request, words
from samovar_link.messages import ModelInfo, OperationInfo, ParameterInfo, Value

from .offer import canonical

SCOPE = "scope"
FACTOR = request.SCALE
"""The canvas follows it, whatever rounding did to the layer."""

IMAGE, LAYER, SELECTION = "image", "layer", "selection"

_RESIZING = {
    IMAGE: ("Whole image", "Scale the image with all its layers, and put the result above the layer"),
    LAYER: ("Layer only", "Put the result above the layer, centred on it; the canvas stays as it is"),
    SELECTION: (
        "Selection to new layer",
        "Scale only what is selected; the result is centred on it, with a layer mask",
    ),
}
_KEEPING = {
    SELECTION: (
        "Selection",
        "Change only what is selected, softly where it is so; all of the layer without a selection",
    ),
    LAYER: ("Whole layer", "Change all of the layer, whatever is selected"),
}
"""The first one is the default: as in GIMP's own filters, a selection limits what keeps the size."""
_BOTH = {
    SELECTION: (
        "Selection",
        "Only what is selected: changed softly where it is so, or enlarged to a new layer; all of the layer without a"
        " selection",
    ),
    LAYER: ("Layer", "All of the layer, whatever is selected; the canvas stays as it is"),
    IMAGE: ("Whole image", "The layer; where it is enlarged, the image with all its layers"),
}
"""Of what does either, as it is set."""
_SAMPLING = {
    SELECTION: (
        "Selection",
        "What is selected is the sample, or the place to fill; all of the layer is the sample without a selection",
    ),
    LAYER: ("Layer", "All of the layer is the sample"),
}


def add(procedure: Gimp.Procedure, operation: OperationInfo, models: Iterable[ModelInfo]) -> None:
    """Declare the operation's parameters, and where the result goes, as the procedure's arguments."""
    adder = _Adder(procedure, [model for model in models if operation.id in model.operations])
    for info in request.parameters(operation):
        adder.parameter(info)
    for role in request.guides(operation):
        adder.layer(role)
    if not has_scope(operation):
        return
    scopes = [(id, *texts) for id, texts in _scopes(operation).items()]
    adder.choice(SCOPE, "Scope", "What is sent, and where the result goes", scopes, scopes[0][0])


def _scopes(operation: OperationInfo) -> dict[str, tuple[str, str]]:
    """Title and help of each that is offered."""
    if request.may_sample(operation):
        return _SAMPLING
    return _RESIZING if operation.resizes else _BOTH if request.may_resize(operation) else _KEEPING


def values(config: Gimp.ProcedureConfig, operation: OperationInfo) -> dict[str, Value]:
    """The parameters as they are set, by their own names; the seed with them."""
    return {info.name: config.get_property(canonical(info.name)) for info in request.parameters(operation)}


def guide(config: Gimp.ProcedureConfig, operation: OperationInfo) -> tuple[str, Gimp.Layer] | None:
    """Role and layer of the strokes, if there are any."""
    for role in request.guides(operation):
        if (layer := config.get_property(canonical(role))) is not None:
            return role, layer
    return None


def scope(config: Gimp.ProcedureConfig, operation: OperationInfo) -> str:
    """What is sent, and where the result goes."""
    parameters = values(config, operation)
    if request.fills(operation, parameters):
        return SELECTION
    chosen = str(config.get_property(SCOPE))
    return LAYER if chosen == IMAGE and not request.resizes(operation, parameters) else chosen


def has_scope(operation: OperationInfo) -> bool:
    """Whether there is anything to choose: what always fills has no scope but what is selected, and what creates takes
    nothing of the image."""
    return request.MASK not in operation.roles and not operation.creates


def scaled(side: int, factor: float) -> int:
    """Pixels of a side after scaling, rounded as the daemon does."""
    return max(1, int(side * factor + 0.5))


class _Adder:
    """Adds arguments to one procedure, each with a letter of its own to reach it by keyboard."""

    def __init__(self, procedure: Gimp.Procedure, models: list[ModelInfo]) -> None:
        self._procedure = procedure
        self._models = models
        self._letters = set("oschrl")  # of the dialog's buttons: OK, Save, Cancel, Help, Reset, Load

    def parameter(self, info: ParameterInfo) -> None:
        title = info.title or info.name
        label = f"{title} ({info.unit})" if info.unit else title
        low, high = info.minimum, info.maximum
        if info.kind == "bool":
            self._add("boolean", info.name, label, info.help, info.default)
        elif info.kind == "int":
            low, high = int(GObject.G_MININT if low is None else low), int(GObject.G_MAXINT if high is None else high)
            self._add("int", info.name, label, info.help, low, high, info.default)
        elif info.kind == "float":
            low, high = -GObject.G_MAXDOUBLE if low is None else low, GObject.G_MAXDOUBLE if high is None else high
            self._add("double", info.name, label, info.help, low, high, info.default)
        elif info.kind == "choice":
            self.choice(info.name, label, info.help, [(each.id, each.title, "") for each in info.choices], info.default)
        elif info.kind == "model":
            models = [(model.id, words.title(model), model.help) for model in self._models]
            self.choice(info.name, label, info.help, models, info.default)
        else:
            self._add("string", info.name, label, info.help, str(info.default))

    def layer(self, role: str) -> None:
        """A layer that may be left out."""
        self._add("layer", role, "Strokes", "A layer with strokes of colour on transparency, or none", True)

    def choice(self, name: str, label: str, help: str, items: Iterable[tuple[str, str, str]], default: Value) -> None:
        choice = Gimp.Choice.new()
        for index, (id, title, text) in enumerate(items):
            choice.add(id, index, title, text)
        self._add("choice", name, label, help, choice, default)

    def _add(self, kind: str, name: str, label: str, help: str, *rest: object) -> None:
        add = getattr(self._procedure, f"add_{kind}_argument")
        add(canonical(name), self._with_letter(label), help, *rest, GObject.ParamFlags.READWRITE)

    def _with_letter(self, label: str) -> str:
        """The label with "_" before the letter that Alt takes to it."""
        label = label.replace("_", "__")
        for index, letter in enumerate(label.lower()):
            if letter.isalpha() and letter not in self._letters:
                self._letters.add(letter)
                return f"{label[:index]}_{label[index:]}"
        return label
