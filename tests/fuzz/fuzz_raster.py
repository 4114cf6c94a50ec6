"""What a `Run` announces: rasters against the frames that came, and the whole of it against all that the daemon offers.

Whatever passes can be allocated and addressed: no side, no sum and no number beyond what the daemon counts with.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import packing
from target import Choices, Finding, Target, one_line

from samovar import card, operation
from samovar.broker.intake import Offer
from samovar.card import Catalogue
from samovar_link import codec, messages
from samovar_link.errors import BadRequest, ProtocolError
from samovar_link.messages import Limits, Raster, Run, Value, Warm

SMALL = (1, 1, 2, 3, 5, 8, 17)
ROLES = ("image", "mask", "hints", "sample", "", "a\nb", "\0", "x" * 3000)


@functools.cache
def offer() -> Offer:
    """Everything that is installed; cards without a look at the folder of models each time."""
    return Offer(operation.discover(), Catalogue(list(card.discover())), Limits())


def any_images(data: bytes) -> None:
    choices = Choices(data)
    images, sizes = _images(choices, ROLES)
    limits = choices.pick((Limits(), Limits(max_pixels=100, max_side=16)))
    try:
        codec.check_images(images, sizes, limits)
    except BadRequest as error:
        one_line(str(error))
        return
    _sound(images, sizes, limits)


def _sound(images: dict[str, Raster], sizes: Sequence[int], limits: Limits) -> None:
    for raster in images.values():
        size = raster.height * raster.width * raster.channels * messages.DTYPE_BYTES[raster.dtype]
        if sizes[raster.frame] != size or not 0 < raster.height * raster.width <= limits.max_pixels:
            raise Finding(f"{raster} passed with a frame of {sizes[raster.frame]} bytes")
        if max(abs(raster.x), abs(raster.y)) > 1 << 40:  # times the largest factor it must still fit the wire
            raise Finding(f"{raster} passed, but a result would lie where no number leads to")


def _images(choices: Choices, roles: Sequence[str]) -> tuple[dict[str, Raster], list[int]]:
    """Rasters, often with frames that fit."""
    images: dict[str, Raster] = {}
    sizes: list[int] = []
    for _ in range(choices.number() % 4):
        side = functools.partial(choices.pick, packing.NUMBERS if choices.chance(4) else SMALL)
        raster = Raster(
            side(), side(), choices.pick((1, 2, 3, 4, 4, 4, 0, -1, 5)),
            choices.pick((*messages.DTYPE_BYTES, "u8", "f64", "")), choices.pick((*messages.ORDERS, "rgba", "argb")),
            choices.pick(packing.NUMBERS), choices.pick(packing.NUMBERS),
            choices.pick(packing.NUMBERS) if choices.chance(6) else len(sizes),
        )  # fmt: skip
        images[choices.pick(roles)] = raster
        if not choices.chance(8):
            fits = raster.dtype in messages.DTYPE_BYTES and not choices.chance(8)
            sizes.append(raster.size_bytes if fits else choices.pick(packing.NUMBERS))
    return images, sizes


def any_run(data: bytes) -> None:
    """A `Run` made of choices, as it is and over the wire; and a `Warm` of the same operation."""
    choices = Choices(data)
    operations = list(offer().registry)
    chosen = choices.pick(operations)
    images, sizes = _images(choices, (*chosen.roles, *chosen.optional_roles, *chosen.roles, "newer\n"))
    part = functools.partial(choices.pick, packing.NUMBERS if choices.chance(3) else SMALL)
    rectangle = messages.Rectangle(part(), part(), part(), part()) if choices.chance(3) else None
    run = Run(
        choices.pick(packing.TEXTS), choices.pick(packing.TEXTS) if choices.chance(12) else chosen.id,
        _parameters(chosen, choices), images, choices.chance(2), choices.chance(2), rectangle,
        priority=choices.pick((*messages.PRIORITIES, "", "x")) if choices.chance(4) else "interactive",
        keep_alive_seconds=choices.pick(packing.FLOATS), seed=choices.pick(packing.NUMBERS),
    )  # fmt: skip
    try:
        back = codec.decode(codec.encode(run))
        if back != run and "nan" not in repr(run):
            raise Finding(f"{run!r} became {back!r}")
        offer().check(run, sizes)
    except (BadRequest, ProtocolError) as error:
        one_line(str(error))
    else:
        _sound(run.images, sizes, offer().limits)
    try:
        offer().check_warm(Warm(run.operation, run.parameters, run.keep_alive_seconds))
    except BadRequest as error:
        one_line(str(error))


def _parameters(chosen: operation.Operation, choices: Choices) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for info in chosen.info().parameters:
        kind = choices.number() % 8
        if kind == 0:
            values[info.name] = info.default
        elif kind == 1:
            values[info.name] = choices.pick(packing.FLOATS)
        elif kind == 2:
            values[info.name] = choices.pick(packing.NUMBERS)
        elif kind == 3:
            values[info.name] = choices.pick([*packing.TEXTS, *(choice.id for choice in info.choices)])
        elif kind == 4:
            values[info.name] = choices.pick(
                [bound for bound in (info.minimum, info.maximum) if bound is not None] or [0]
            )
    if choices.chance(8):
        values[choices.pick(packing.TEXTS)] = choices.pick(packing.NUMBERS)
    return values


def runs() -> dict[str, bytes]:
    """One for each operation, with as many different choices behind."""
    return {each.id: bytes([index, 1, 0, 2, 2]) + bytes(range(60)) for index, each in enumerate(offer().registry)}


TARGETS = (
    Target(
        "raster",
        any_images,
        lambda: {"one": b"\x01\0\3\3\3\0\0", "three": bytes([3]) + bytes(range(60))},
        most_bytes=96,
    ),
    Target("run", any_run, runs, most_bytes=160),
)
