"""The command of an operation, drawn from its declaration.

Parameters become options with their range, unit and default; roles beyond the picture itself become options that take
a file. What the daemon would refuse about the parameters is refused here, before a file is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from samovar import card
from samovar.operation import Operation
from samovar_link.errors import BadRequest
from samovar_link.messages import OperationInfo, ParameterInfo, Value
from samovar_link.request import MASK, fills, may_fill, may_sample, resizes, samples

_INPUTS = "IN is a picture (PNG, TIFF, JPEG, WebP) or a folder of them; for several, OUT is a folder."
_FILE = click.Path(path_type=Path)
_GUIDES = {"hints": "Strokes of colour on transparency, as large as the picture."}


@dataclass(frozen=True)
class Task:
    """What to do with each picture.

    extra : role -> file, for the roles beyond the picture itself
    transparent : the mask is where the picture is transparent
    """

    operation: Operation
    parameters: dict[str, Value]
    extra: dict[str, Path]
    transparent: bool
    wrap_x: bool
    wrap_y: bool
    seed: int
    keep_alive_seconds: float


def command_for(operation: Operation) -> click.Command:
    """`samovar OPERATION IN [IN…] -o OUT [options]`."""

    def callback(**values: Any) -> None:
        from . import batch

        task = _task(operation, values)
        inputs = values.get("inputs", ())
        pairs = batch.pair(inputs, values["output"]) if inputs else [batch.made(operation.id, values["output"])]
        code = batch.run(task, pairs, several=batch.is_several(inputs), as_json=values["json"], quiet=values["quiet"])
        click.get_current_context().exit(code)

    return click.Command(
        operation.id,
        callback=callback,
        help=operation.help if operation.creates else f"{operation.help}\n\n{_INPUTS}",
        short_help=operation.help,
        options_metavar="-o OUT [OPTIONS]",
        params=[*_files(operation), *_declared(operation), *_common(operation)],
        hidden=operation.hidden,
    )


def _files(operation: Operation) -> Iterator[click.Parameter]:
    if not operation.creates:
        yield click.Argument(["inputs"], metavar="IN...", nargs=-1, required=True, type=_FILE)
    yield click.Option(["-o", "--output"], metavar="OUT", required=True, type=str, help="Picture or folder to write.")
    for role in (*operation.roles[1:], *operation.optional_roles):
        help = _GUIDES.get(role, _mask_help(operation) if role == MASK else "A picture.")
        required = role in operation.roles and role != MASK
        yield click.Option([f"--{role}", f"role_{role}"], metavar="FILE", required=required, type=_FILE, help=help)
    if may_fill(operation.info()):
        yield click.Option(["--alpha-mask"], is_flag=True, help="Fill where the picture is wholly transparent.")


def _mask_help(operation: Operation) -> str:
    if may_sample(operation.info()):
        return "White where the sample is, or what is to be filled."
    return f"White where the picture is to be {'filled' if MASK in operation.roles else 'changed'}."


def _common(operation: Operation) -> Iterator[click.Option]:
    if not operation.creates:
        yield click.Option(["--tile-x"], is_flag=True, help="The picture repeats from left to right, without a seam.")
        yield click.Option(["--tile-y"], is_flag=True, help="The picture repeats from top to bottom, without a seam.")
    yield click.Option(
        ["--seed"], metavar="NUMBER", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
        help="Same seed, same pixels.",
    )  # fmt: skip
    yield click.Option(
        ["--keep-alive"], metavar="SECONDS", type=click.FloatRange(-1), default=300.0, show_default=True,
        help="How long the model stays loaded afterwards; 0 unloads at once, -1 never.",
    )  # fmt: skip
    yield click.Option(["--json"], is_flag=True, help="Print a report of how each result came about.")
    yield click.Option(["--quiet", "-q"], is_flag=True, help="Print nothing but errors.")


def _declared(operation: Operation) -> Iterator[click.Option]:
    if may_sample(operation.info()):
        yield click.Option(["--size"], type=_Size(), help="Width and height of the result (px), in one.")
    for info in operation.info().parameters:
        flag = "--" + info.name.replace("_", "-")
        names = [f"{flag}/--no-{flag[2:]}" if info.kind == "bool" else flag, f"set_{info.name}"]
        choices = {choice.id: choice.title for choice in info.choices}
        if info.kind == "model":
            able = [each for each in card.discover() if operation.id in each.operations]
            choices = {each.id: f"{each.title}{', to be fetched' if each.missing() else ''}" for each in able}
        yield click.Option(
            names, type=_type(info, list(choices)), default=info.default, show_default=True, help=_help(info, choices),
            metavar={"model": "MODEL", "int": "NUMBER", "float": "NUMBER"}.get(info.kind),
        )  # fmt: skip


class _Size(click.ParamType):  # type: ignore[type-arg] # older ones of click take no argument
    """512x384 -> (512, 384)"""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        parts = str(value).lower().split("x")
        if len(parts) != 2 or not all(each.isdecimal() for each in parts):
            self.fail(f"{value!r} is no size; give width and height in pixels, as in 512x384", param, ctx)
        return int(parts[0]), int(parts[1])


def _type(info: ParameterInfo, choices: Sequence[str]) -> click.ParamType[Any]:
    if info.kind == "int":
        low, high = (None if limit is None else int(limit) for limit in (info.minimum, info.maximum))
        return click.IntRange(low, high)
    if info.kind == "float":
        return click.FloatRange(info.minimum, info.maximum)
    if info.kind in ("choice", "model"):
        return click.Choice(choices)
    return click.BOOL if info.kind == "bool" else click.STRING


def _help(info: ParameterInfo, choices: Mapping[str, str]) -> str:
    text = f"{(info.help or info.title).rstrip('.')}{f' ({info.unit})' if info.unit else ''}."
    listed = "; ".join(f"{id}: {title}" for id, title in choices.items())
    return f"{text} {listed}." if listed else text


def _check_masks(operation: OperationInfo, parameters: Mapping[str, Value], transparent: bool, given: bool) -> None:
    """Raises UsageError for a mask that is missing or of no use. given : as a file"""
    context = click.get_current_context()
    if fills(operation, parameters):
        if transparent == given:
            raise click.UsageError("give either --mask FILE or --alpha-mask", context)
    elif transparent:
        raise click.UsageError("--alpha-mask is for what fills a picture", context)
    elif given and resizes(operation, parameters) and not samples(operation, parameters):
        raise click.UsageError("--mask is of no use where the result has another size", context)


def _task(operation: Operation, values: dict[str, Any]) -> Task:
    parameters = {info.name: values[f"set_{info.name}"] for info in operation.info().parameters}
    if values.get("size") is not None:
        if parameters["width"] or parameters["height"]:
            raise click.UsageError("give either --size or --width and --height", click.get_current_context())
        parameters["width"], parameters["height"] = values["size"]
    transparent = bool(values.get("alpha_mask"))
    roles = (*operation.roles[1:], *operation.optional_roles)
    extra = {role: values[f"role_{role}"] for role in roles if values[f"role_{role}"] is not None}
    _check_masks(operation.info(), parameters, transparent, MASK in extra)
    try:
        operation.parse(parameters, card.discover().ids(operation.id))
    except BadRequest as error:
        raise click.UsageError(str(error), click.get_current_context()) from error
    return Task(
        operation, parameters, extra, transparent,
        values.get("tile_x", False), values.get("tile_y", False), values["seed"], values["keep_alive"],
    )  # fmt: skip
