"""What both plug-ins have to know to ask for an operation: its parameters, and how much of a layer goes along.

Standard library only: this file is copied into the editors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from .messages import Choice, OperationInfo, ParameterInfo, Value

MASK = "mask"
"""Role of the picture that says where something is to be done."""

SEED = ParameterInfo("seed", "int", 0, "Seed", "Another number, another result", minimum=0, maximum=2**31 - 1)
"""`Run.seed`, as a dialog shows it beside an operation's own parameters."""

TILE_X = ParameterInfo("tile_x", "bool", True, "Tile X", "Repeats from left to right without a seam")
TILE_Y = ParameterInfo("tile_y", "bool", True, "Tile Y", "Repeats from top to bottom without a seam")
"""`Run.wrap_x` and `Run.wrap_y`, likewise."""

SCALE = "scale"
"""The parameter by which an operation resizes."""

GROWN = ("width", "height")
"""Those that say how large something is that is grown from a sample."""

USED = {"amount": ("vary",), "other": ("vary", "mix")}
"""Of what makes faces, parameters that mean nothing in another "way"."""

LEAST_MARGIN, MOST_MARGIN = 4, 128
CONTEXT, LEAST_CONTEXT, MOST_CONTEXT = 2 / 3, 128, 1024
"""Of the longer side of what is selected; pixels."""
CELL = 8
"""Pixels; the daemon looks at masks in squares of this side."""


def fills(operation: OperationInfo, values: Mapping[str, Value]) -> bool:
    """Whether it makes anew what is in its mask, and so cannot do without one."""
    return MASK in operation.roles or any(choice.fills for choice in _chosen(operation, values))


def may_fill(operation: OperationInfo) -> bool:
    """Whether it does with some values."""
    return MASK in operation.roles or any(each.fills for info in operation.parameters for each in info.choices)


def may_resize(operation: OperationInfo) -> bool:
    """Whether it does with some values."""
    return operation.resizes or any(each.resizes for info in operation.parameters for each in info.choices)


def resizes(operation: OperationInfo, values: Mapping[str, Value]) -> bool:
    """Whether the result has another size than the layer."""
    return operation.resizes or any(choice.resizes for choice in _chosen(operation, values))


def samples(operation: OperationInfo, values: Mapping[str, Value]) -> bool:
    """Whether what is selected is the sample that something new is grown from, see `Choice.samples`."""
    return any(choice.samples for choice in _chosen(operation, values))


def may_sample(operation: OperationInfo) -> bool:
    """Whether it does with some values."""
    return any(each.samples for info in operation.parameters for each in info.choices)


def grown_size(values: Mapping[str, Value], width: int, height: int) -> tuple[int, int]:
    """(width, height) of what is grown from a sample of the given size."""
    wide, high = (int(_number(values, name)) for name in GROWN)
    return wide or width, high or height


def grid(count: int) -> tuple[int, int]:
    """(columns, rows) of a sheet of so many faces, filled row by row."""
    columns = math.ceil(math.sqrt(count))
    return columns, math.ceil(count / columns)


def sheet(operation: OperationInfo, values: Mapping[str, Value]) -> tuple[int, int, int]:
    """(columns, rows, pixels of a cell's side) of what is made out of nothing."""
    count, only, side = (int(_set(operation, values, name)) for name in ("count", "only", "size"))
    return *grid(1 if only else count), side


def number(operation: OperationInfo, values: Mapping[str, Value], index: int) -> int | None:
    """Number of one face of a sheet, counted from 0 row by row; None of one on the way between others, or near one."""
    way, first, last = _set(operation, values, "way"), seed(values), int(_set(operation, values, "count")) - 1
    if way == "new":
        return first + index
    if way == "mix" and last:
        return {0: first, last: int(_set(operation, values, "other"))}.get(index)
    return first if way == "vary" and not index else None


def face(operation: OperationInfo, values: Mapping[str, Value], index: int) -> str:
    """Name of one face of a sheet, counted likewise."""
    own = number(operation, values, index)
    if own is not None:
        return f"Face {own}"
    if _set(operation, values, "way") == "vary":
        return f"Face {seed(values)}, variation {index}"
    last, other = int(_set(operation, values, "count")) - 1, _set(operation, values, "other")
    return f"Face {seed(values)} with {index / last if last else 0.5:.0%} of face {other}"


def idle(operation: OperationInfo, values: Mapping[str, Value]) -> frozenset[str]:
    """Names of parameters that mean nothing with these values."""
    found: set[str] = set()
    if may_resize(operation) and not resizes(operation, values):
        found |= {SCALE}
    if may_sample(operation) and not samples(operation, values):
        found |= {*GROWN, TILE_X.name, TILE_Y.name}
    if operation.creates:
        found |= {name for name, ways in USED.items() if values.get("way", "new") not in ways}
    return frozenset(found)


def blend(operation: OperationInfo, values: Mapping[str, Value]) -> str:
    """How the result is to be laid over the layer, see `Choice.blend`; "" where it takes its place."""
    return next((choice.blend for choice in _chosen(operation, values) if choice.blend), "")


def guides(operation: OperationInfo) -> tuple[str, ...]:
    """Roles of pictures on transparency, laid over the layer, that a user may choose among the other layers."""
    return tuple(role for role in operation.optional_roles if role != MASK)


def _chosen(operation: OperationInfo, values: Mapping[str, Value]) -> list[Choice]:
    infos = operation.parameters
    return [each for info in infos for each in info.choices if each.id == values.get(info.name, info.default)]


def _set(operation: OperationInfo, values: Mapping[str, Value], name: str) -> Value:
    """What a parameter is set to, or is by itself."""
    return values.get(name, next((each.default for each in operation.parameters if each.name == name), 0))


def parameters(operation: OperationInfo) -> tuple[ParameterInfo, ...]:
    """What a dialog shows."""
    tiling = (TILE_X, TILE_Y) if operation.seamless else ()
    return (*operation.parameters, *tiling, *((SEED,) if operation.random else ()))


def is_seed(info: ParameterInfo) -> bool:
    """Whether it is a number by which to find something, of which none is larger or smaller."""
    return info.kind == "int" and info.maximum == SEED.maximum


def own_parameters(values: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters as they travel, without what has fields of its own in `Run`."""
    beside = (SEED.name, TILE_X.name, TILE_Y.name)
    return {name: value for name, value in values.items() if name not in beside}


def seed(values: Mapping[str, Value]) -> int:
    found = values.get(SEED.name, 0)
    return found if isinstance(found, int) else 0


def wraps(operation: OperationInfo, values: Mapping[str, Value]) -> tuple[bool, bool]:
    """`Run.wrap_x` and `Run.wrap_y`. Only of what is grown: of a filling, part of a layer is sent, whose edges meet
    nothing."""
    grown = samples(operation, values)
    return grown and bool(values.get(TILE_X.name)), grown and bool(values.get(TILE_Y.name))


def margin(values: Mapping[str, Value], width: int, height: int) -> int:
    """Pixels around a selection of this size that a filling may change: its growth and its feather, and one more."""
    if values.get("exact"):
        return 0
    feather = math.ceil(math.hypot(width, height) * _number(values, "feather") / 100)
    if feather:
        feather = min(max(feather, LEAST_MARGIN), MOST_MARGIN)
    return math.ceil(_number(values, "grow")) + feather + 1


def context(values: Mapping[str, Value], width: int, height: int) -> int:
    """Pixels around what may change that have to be seen."""
    wanted = math.ceil(_number(values, "context"))
    return (wanted or min(max(math.ceil(max(width, height) * CONTEXT), LEAST_CONTEXT), MOST_CONTEXT)) + 2 * CELL


def _number(values: Mapping[str, Value], name: str) -> float:
    found = values.get(name, 0)
    return float(found) if isinstance(found, (int, float)) else 0.0
