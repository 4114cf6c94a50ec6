"""How an operation is declared, and the registry that finds the declarations.

An operation is one file in `samovar/operations/`. Its parameters are declared once, here dialogs, CLI options and docs
get them from. Importing an operation's file must not import torch: the broker and the CLI do it. The function's body
does its heavy imports itself.

    @dataclass(frozen=True)
    class Params:
        amount: float = param(1.0, title="Amount", help="0 leaves the image as it is", minimum=0.0, maximum=1.0)

    @operation("invert", title="Invert", params=Params)
    def invert(image: Image, params: Params, job: Job) -> Image:
        "Blend the image with its negative."
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from samovar import submodules
from samovar_link.errors import BadRequest
from samovar_link.messages import Choice, OperationInfo, ParameterInfo, Run, Value
from samovar_link.request import MASK, fills, resizes, samples

if TYPE_CHECKING:
    from samovar.card import Catalogue, ModelCard

_KEY = "samovar"


def param(
    default: Value,
    *,
    title: str,
    help: str,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    step: float | None = None,
    choices: Mapping[str, str | Choice] | None = None,
    model: bool = False,
) -> Any:
    """Declare one parameter as a dataclass field.

    minimum, maximum : both belong to the range
    choices : id -> title, or all about it, for a text parameter with a fixed list
    model : the value is the id of a model whose card lists this operation
    """
    info = {
        "title": title, "help": help, "unit": unit, "minimum": minimum, "maximum": maximum, "step": step,
        "choices": tuple(Choice(id, each) if isinstance(each, str) else each for id, each in (choices or {}).items()),
        "model": model,
    }  # fmt: skip
    return dataclasses.field(default=default, metadata={_KEY: info})


@dataclasses.dataclass(frozen=True)
class Edge:
    """How a mask becomes a hole.

    grow : pixels by which it is widened; margin : pixels around that which may change, too, to meet the picture
    fade : over how many of the margin's outer pixels the change fades
    """

    grow: int = 0
    margin: int = 0
    fade: int = 0


@dataclasses.dataclass(frozen=True)
class Filling:
    """Of an operation that makes what is in the mask anew from what is around it.

    edge : (params, diagonal of the mask in pixels, id of a model -> its card) -> how the mask is widened
    context : (params, longer side of a part of the mask) -> pixels around it that are seen
    variants : params -> how many results are wanted, each from another seed
    """

    edge: Callable[[Any, float, Callable[[str], ModelCard]], Edge]
    context: Callable[[Any, int], int]
    variants: Callable[[Any], int]


@dataclasses.dataclass(frozen=True)
class Operation:
    """A declared operation.

    function : (image: Image, params, job) -> Image. Of one that fills: (image, alpha, hole: Hole, params, job) ->
        (image, alpha), where alpha is None unless it varies and so has to be filled, too. Of a `raw` one: (rasters,
        params, job) -> rasters, which gets pixels as they came, for measuring the way to the worker
    output_size : (width, height, params) of the result, for the check before anything is allocated; None keeps the size
    check : raises BadRequest for a combination of parameters that the ranges alone do not exclude
    filling : set if the operation makes anew what is in its mask
    random : whether another seed gives another result
    weights : (params, catalogue) -> the (model, variant) pairs that a run applies, to have them loaded beforehand
    own_way : the function sees to pixels, masks and pieces itself: (way: Way, scope: Box, frames, allocate) -> (rasters
        by role, pixels)
    live, whole, colours, menu, seamless, creates : see `OperationInfo`
    guides : roles of pictures drawn on transparency, beside the layer, that a client may leave out
    """

    id: str
    title: str
    help: str
    params: type
    function: Callable[..., Any]
    roles: tuple[str, ...] = ("image",)
    output_size: Callable[[int, int, Any], tuple[int, int]] | None = None
    check: Callable[[Any], None] | None = None
    weights: Callable[[Any, Catalogue], Sequence[tuple[str, str]]] | None = None
    raw: bool = False
    hidden: bool = False
    filling: Filling | None = None
    random: bool = False
    own_way: bool = False
    live: bool = False
    whole: bool = False
    colours: bool = False
    menu: str = "enhance"
    seamless: bool = False
    creates: bool = False
    guides: tuple[str, ...] = ()

    @property
    def optional_roles(self) -> tuple[str, ...]:
        """Roles that a client may leave out. Whatever keeps the size can be limited by a mask."""
        masked = not self._always_resizes and not self.raw and MASK not in self.roles
        return (*self.guides, MASK) if masked else self.guides

    @property
    def _always_resizes(self) -> bool:
        chooses = any(choice.resizes for info in _parameters(self.params) for choice in info.choices)
        return self.output_size is not None and not chooses

    def info(self) -> OperationInfo:
        """The declaration as it travels in `Welcome`."""
        return OperationInfo(
            self.id, self.title, self.help, self.roles, _parameters(self.params),
            resizes=self._always_resizes, hidden=self.hidden, optional_roles=self.optional_roles,
            random=self.random, live=self.live, whole=self.whole, colours=self.colours, menu=self.menu,
            seamless=self.seamless, creates=self.creates,
        )  # fmt: skip

    def parse(self, values: Mapping[str, Value], models: Iterable[str]) -> Any:
        """`Params` from what a client sent; what is missing takes its default.

        models : ids that a "model" parameter may take

        Raises BadRequest naming the parameter, its value and what is allowed.
        """
        infos = {info.name: info for info in _parameters(self.params)}
        for name in values:
            if name not in infos:
                raise BadRequest.field(f"{self.id} parameter", name, ", ".join(infos) or "none")
        params = self.params(**{name: self._checked(infos[name], value, models) for name, value in values.items()})
        if self.check is not None:
            self.check(params)
        return params

    def _checked(self, info: ParameterInfo, value: Value, models: Iterable[str]) -> Value:
        where = f"{self.id}.{info.name}"
        expected = {"bool": bool, "int": int, "float": float}.get(info.kind, str)
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is not expected:
            raise BadRequest.field(where, value, {bool: "true or false", str: "text"}.get(expected, "a number"))
        if info.kind == "model" and value not in (allowed := sorted(models)):
            raise BadRequest.field(where, value, ", ".join(allowed))
        if info.kind == "choice" and value not in (allowed := [choice.id for choice in info.choices]):
            raise BadRequest.field(where, value, ", ".join(allowed))
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            low = -math.inf if info.minimum is None else info.minimum
            high = math.inf if info.maximum is None else info.maximum
            if not (math.isfinite(value) and low <= value <= high):
                raise BadRequest.field(where, value, f"{low:g}..{high:g}{' ' + info.unit if info.unit else ''}")
        return value


@functools.cache
def _parameters(params: type) -> tuple[ParameterInfo, ...]:
    hints = typing.get_type_hints(params)
    infos = []
    for f in dataclasses.fields(params):
        info = dict(f.metadata[_KEY])
        is_model = info.pop("model")
        kind = "model" if is_model else "choice" if info["choices"] else hints[f.name].__name__
        infos.append(ParameterInfo(f.name, kind, typing.cast(Value, f.default), **info))
    return tuple(infos)


def operation(id: str, *, title: str, params: type, **options: Any) -> Callable[[Callable[..., Any]], Operation]:
    """Declare the decorated function as an operation; its docstring's first paragraph is the help text."""

    def declare(function: Callable[..., Any]) -> Operation:
        help = " ".join((function.__doc__ or "").split("\n\n")[0].split())
        return Operation(id=id, title=title, help=help, params=params, function=function, **options)

    return declare


class Registry:
    """Operations by id. A value: tests make their own."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._operations: dict[str, Operation] = {}
        for each in operations:
            if each.id in self._operations:
                raise ValueError(f"operation {each.id!r} is declared twice")
            self._operations[each.id] = each

    def __iter__(self) -> typing.Iterator[Operation]:
        return iter(self._operations.values())

    def get(self, id: str) -> Operation:
        """Raises BadRequest for an unknown id."""
        if id not in self._operations:
            visible = ", ".join(sorted(each.id for each in self if not each.hidden))
            raise BadRequest.field("operation", id, visible)
        return self._operations[id]

    def check(self, run: Run, models: Iterable[str]) -> Any:
        """The `Params` of a `Run` whose operation, roles, parameters all fit; BadRequest otherwise."""
        found = self.get(run.operation)
        missing = [role for role in found.roles if role not in run.images]
        known = found.roles + found.optional_roles
        unknown = [role for role in run.images if role not in known]
        if missing or unknown:
            raise BadRequest.field(f"{run.operation} images", sorted(run.images), ", ".join(known))
        for role in found.guides:
            if role in run.images and run.images[role].channels not in (2, 4):
                raise BadRequest.field(
                    f"{run.operation} {role} channels", run.images[role].channels, "2 or 4: with transparency",
                    "draw them on a layer of their own",
                )  # fmt: skip
        params = found.parse(run.parameters, models)
        info = found.info()
        if MASK not in run.images and fills(info, run.parameters):
            raise BadRequest.field(f"{run.operation} images", sorted(run.images), f"{', '.join(found.roles)}, {MASK}")
        if MASK in run.images and resizes(info, run.parameters) and not samples(info, run.parameters):
            raise BadRequest.field(
                f"{run.operation} images", sorted(run.images), f"{', '.join(found.roles)}: the result has another size"
            )
        return params


def discover() -> Registry:
    """Every `Operation` in the modules of `samovar.operations`."""
    modules = submodules.load("samovar.operations")
    return Registry(value for module in modules for value in vars(module).values() if isinstance(value, Operation))
