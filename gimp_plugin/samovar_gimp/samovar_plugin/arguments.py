"""An operation's parameters as arguments of a GIMP procedure, and back.

The arguments are the dialog: GIMP draws it from them, remembers their last values and checks their ranges.
"""

from __future__ import annotations

from collections.abc import Iterable

from gi.repository import Gimp, GObject

from samovar_link.messages import ModelInfo, OperationInfo, ParameterInfo, Value

from .offer import canonical

SCOPE = "scope"
IMAGE, LAYER, SELECTION = "image", "layer", "selection"

_SCOPES = {
    IMAGE: ("Whole image", "Scale the image with all its layers, and put the result above the layer"),
    LAYER: ("Layer only", "Put the result above the layer, centred on it; the canvas stays as it is"),
    SELECTION: ("Selection to new layer", "Send only what is selected; the result is centred on it, with a layer mask"),
}


def add(procedure: Gimp.Procedure, operation: OperationInfo, models: Iterable[ModelInfo]) -> None:
    """Declare the operation's parameters, and where the result goes, as the procedure's arguments."""
    usable = [model for model in models if operation.id in model.operations]
    for info in operation.parameters:
        _add_parameter(procedure, info, usable)
    scopes = {id: texts for id, texts in _SCOPES.items() if operation.resizes or id != IMAGE}
    choice = _choice((id, title, help) for id, (title, help) in scopes.items())
    help = "What is sent, and where the result goes"
    procedure.add_choice_argument(SCOPE, "Scope", help, choice, next(iter(scopes)), GObject.ParamFlags.READWRITE)


def values(config: Gimp.ProcedureConfig, operation: OperationInfo) -> dict[str, Value]:
    """The parameters as they are set, by their own names."""
    return {info.name: config.get_property(canonical(info.name)) for info in operation.parameters}


def _add_parameter(procedure: Gimp.Procedure, info: ParameterInfo, models: Iterable[ModelInfo]) -> None:
    name = canonical(info.name)
    label = f"{info.title or info.name} ({info.unit})" if info.unit else info.title or info.name
    flags = GObject.ParamFlags.READWRITE
    if info.kind == "bool":
        procedure.add_boolean_argument(name, label, info.help, info.default, flags)
    elif info.kind == "int":
        low, high = _limits(info, GObject.G_MININT, GObject.G_MAXINT)
        procedure.add_int_argument(name, label, info.help, int(low), int(high), info.default, flags)
    elif info.kind == "float":
        low, high = _limits(info, -GObject.G_MAXDOUBLE, GObject.G_MAXDOUBLE)
        procedure.add_double_argument(name, label, info.help, low, high, info.default, flags)
    elif info.kind == "choice":
        choice = _choice((each.id, each.title, "") for each in info.choices)
        procedure.add_choice_argument(name, label, info.help, choice, info.default, flags)
    elif info.kind == "model":
        choice = _choice((model.id, model.title, model.help) for model in models)
        procedure.add_choice_argument(name, label, info.help, choice, info.default, flags)
    else:
        procedure.add_string_argument(name, label, info.help, str(info.default), flags)


def _limits(info: ParameterInfo, low: float, high: float) -> tuple[float, float]:
    return low if info.minimum is None else info.minimum, high if info.maximum is None else info.maximum


def _choice(items: Iterable[tuple[str, str, str]]) -> Gimp.Choice:
    choice = Gimp.Choice.new()
    for index, (id, title, help) in enumerate(items):
        choice.add(id, index, title, help)
    return choice
