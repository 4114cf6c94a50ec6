"""Messages to frame 0 and back.

Reflective: the dataclasses of `messages` are the schema, so a new message needs no code here. A field that has its
default value is not sent; an unknown field is skipped; a known field of a wrong type raises. Nothing here looks at
pixels: `check_images` only compares their announced sizes with the frames that came.

Two kinds of bad input are told apart. Bytes that are no message at all raise `ProtocolError`. A message of ours with
a bad field raises `BadRequest`, which can be answered; `job_of` finds whom to answer.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import TypeVar

from . import messages
from .errors import BadRequest, ProtocolError, name_of
from .messages import Limits, Message, Raster

try:  # an installed plug-in carries msgpack's pure-Python part under this private name
    from . import _msgpack as msgpack  # type: ignore[attr-defined,unused-ignore]
except ImportError:
    import msgpack  # type: ignore[import-untyped,unused-ignore,no-redef]

_Container = TypeVar("_Container", list[object], dict[str, object])

MAX_HEADER_BYTES = 1 << 19
"""Frame 0 holds names and numbers; a larger one is an attack or a bug. The offer of 33 models takes 17 KB."""

_MAX_ITEMS = 4096
"""Of one list or map. Compiled msgpack takes memory for as many as a list claims to have, at each of 1024 levels."""

_MAX_VALUES = 1 << 16
"""In all lists and maps together: an empty map is one byte here and 88 in memory, and a second of pure Python reads
a million."""

_FARTHEST = 1 << 31
"""Pixels to where a raster may lie: it comes back scaled, and has to fit the wire then."""

ANY_SIZE = Limits(max_pixels=1 << 40, max_side=1 << 30)
"""Of results: whether one is too large was the daemon's to say."""

_SCALARS = frozenset((bool, int, float, str))


def encode(message: Message) -> bytes:
    """Frame 0 of a message."""
    return bytes(msgpack.packb([type(message).__name__, _fields(message)]))


def decode(header: bytes | bytearray | memoryview, kinds: Mapping[str, type] = messages.MESSAGES) -> Message:
    """The message of a frame 0.

    kinds : what may come; the channel between broker and worker knows a few more than a client

    Raises ProtocolError if the bytes are no message of any kind (`UnknownKind` for a kind that is only unknown),
    BadRequest if a field of a known kind has a wrong type.
    """
    kind, fields = _unpack(header)
    cls = kinds.get(kind)
    if cls is None:
        raise UnknownKind(kind)
    return typing.cast(Message, _build(cls, fields, kind))


class UnknownKind(ProtocolError):
    """Well-formed, but of a kind this version does not know. Answer it, do not drop the connection."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"unknown message kind {kind[:60]!r}")
        self.kind = kind[:60]


def job_of(header: bytes | bytearray | memoryview) -> tuple[str, str]:
    """(kind, job) of a message that `decode` refused, for the answer; job is "" where there is none."""
    try:
        kind, fields = _unpack(header)
    except ProtocolError:
        return "", ""
    job = fields.get("job", "")
    return kind[:60], job[:64] if isinstance(job, str) else ""


def check_images(images: dict[str, Raster], frame_sizes: Sequence[int], limits: Limits) -> None:
    """Compare announced rasters with the pixel frames that came along, each of which must belong to one.

    frame_sizes : bytes of each pixel frame (frame 0, the header, left out)

    Raises BadRequest naming the role and field.
    """
    used = check_rasters(images, frame_sizes, limits)
    if len(used) != len(frame_sizes):
        raise BadRequest.field("frames", len(frame_sizes), f"{len(used)}, one for each image")


def check_rasters(images: dict[str, Raster], frame_sizes: Sequence[int], limits: Limits) -> set[int]:
    """The same without regard to further frames. Returns which frames there is a raster for."""
    used = set()
    for role, raster in images.items():
        where = f"images[{name_of(role)}]"
        _check_raster(where, raster, limits)
        if not 0 <= raster.frame < len(frame_sizes):
            raise BadRequest.field(f"{where}.frame", raster.frame, f"0..{len(frame_sizes) - 1}")
        if raster.packed:
            _check_packed(where, raster, frame_sizes[raster.frame])
        elif frame_sizes[raster.frame] != raster.size_bytes:
            raise BadRequest(
                f"{where}: {raster.width}x{raster.height}, {raster.channels} channels of {raster.dtype} need "
                f"{raster.size_bytes} bytes, but its frame has {frame_sizes[raster.frame]}"
            )
        used.add(raster.frame)
    return used


def _check_packed(where: str, raster: Raster, size_bytes: int) -> None:
    if raster.packed not in messages.PACKINGS:
        raise BadRequest.field(f"{where}.packed", raster.packed, f"nothing, {', '.join(messages.PACKINGS)}")
    if not 0 < size_bytes < raster.size_bytes:
        raise BadRequest(
            f"{where}: its packed frame has {size_bytes} bytes; allowed: fewer than the {raster.size_bytes} "
            "that are in it"
        )


def _check_raster(where: str, raster: Raster, limits: Limits) -> None:
    for name, size in (("width", raster.width), ("height", raster.height)):
        if not 1 <= size <= limits.max_side:
            raise BadRequest.field(f"{where}.{name}", size, f"1..{limits.max_side} pixels")
    if raster.width * raster.height > limits.max_pixels:
        raise BadRequest.field(
            f"{where} size", f"{raster.width}x{raster.height}", f"at most {limits.max_pixels} pixels",
            "work on a selection or a smaller layer",
        )  # fmt: skip
    if raster.channels not in messages.CHANNEL_NAMES:
        raise BadRequest.field(f"{where}.channels", raster.channels, "1, 2, 3, 4")
    if raster.dtype not in messages.DTYPE_BYTES:
        raise BadRequest.field(f"{where}.dtype", raster.dtype, ", ".join(messages.DTYPE_BYTES))
    if raster.order not in messages.ORDERS:
        raise BadRequest.field(f"{where}.order", raster.order, ", ".join(messages.ORDERS))
    for name, place in (("x", raster.x), ("y", raster.y)):
        if abs(place) > _FARTHEST:
            raise BadRequest.field(f"{where}.{name}", place, f"{-_FARTHEST}..{_FARTHEST} pixels")


# --- packing --------------------------------------------------------------------------------------------------------


def _fields(value: object) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, default in _defaults(type(value)):  # type: ignore[arg-type,unused-ignore]
        item = getattr(value, name)
        if type(item) is not type(default) or item != default:
            fields[name] = _plain(item)
    return fields


@functools.cache
def _defaults(cls: type) -> tuple[tuple[str, object], ...]:
    return tuple(
        (f.name, f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default)
        for f in dataclasses.fields(cls)
    )


def _plain(value: object) -> object:
    if type(value) in _SCALARS:
        return value
    if dataclasses.is_dataclass(value):
        return _fields(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


# --- unpacking ------------------------------------------------------------------------------------------------------


def _unpack(header: bytes | bytearray | memoryview) -> tuple[str, dict[str, object]]:
    if len(header) > MAX_HEADER_BYTES:
        raise ProtocolError(f"header of {len(header)} bytes, at most {MAX_HEADER_BYTES} allowed")
    counted = _Count()
    try:
        body = msgpack.unpackb(
            bytes(header), raw=False, strict_map_key=True, use_list=True,
            max_array_len=_MAX_ITEMS, max_map_len=_MAX_ITEMS, max_bin_len=MAX_HEADER_BYTES, max_ext_len=0,
            list_hook=counted, object_hook=counted, ext_hook=_no_extension,
        )  # fmt: skip
    except Exception as error:  # msgpack raises a dozen types, RecursionError among them, for one fact: no msgpack
        reason = f"{type(error).__name__}: {name_of(str(error), 200)}"
        raise ProtocolError(f"frame 0 is not msgpack: {reason}") from error
    if not (isinstance(body, list) and len(body) == 2 and isinstance(body[0], str) and isinstance(body[1], dict)):
        raise ProtocolError("frame 0 is not [kind, fields]")
    return body[0], body[1]


class _Count:
    """Takes every list and map that is read, and stops when there are too many values in them."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES

    def __call__(self, found: _Container) -> _Container:
        self._left -= 1 + len(found)
        if self._left < 0:
            raise ValueError(f"more than {_MAX_VALUES} values")
        return found


def _no_extension(code: int, data: bytes) -> object:
    raise ValueError(f"extension type {code}")


@functools.cache
def _schema(cls: type) -> tuple[tuple[str, object, bool], ...]:
    hints = typing.get_type_hints(cls)
    return tuple(
        (f.name, hints[f.name], f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING)
        for f in dataclasses.fields(cls)
    )


def _build(cls: type, fields: object, where: str) -> object:
    if not isinstance(fields, dict):
        raise BadRequest.field(where, fields, "a map of fields")
    values = {}
    for name, hint, required in _schema(cls):
        if name in fields:
            value = fields[name]
            fits = type(value) is hint and hint in _SCALARS  # most do, and there are many
            values[name] = value if fits else _convert(value, hint, f"{where}.{name}")
        elif required:
            raise BadRequest(f"{where}.{name} is missing")
    return cls(**values)


def _convert(value: object, hint: object, where: str) -> object:
    """`value` as read from msgpack, as the type `hint` says; BadRequest if it is another."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(value, arguments, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(item, arguments[0], f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise BadRequest.field(where, value, "a map with text keys")
        return {key: _convert(item, arguments[1], f"{where}[{name_of(key)}]") for key, item in value.items()}
    if isinstance(hint, type):
        if dataclasses.is_dataclass(hint):
            return _build(hint, value, where)
        if hint is float and type(value) is int:
            return float(value)
        if type(value) is hint:
            return value
    raise BadRequest.field(where, value, _name(hint))


def _convert_union(value: object, options: Sequence[object], where: str) -> object:
    if value is None and type(None) in options:
        return None
    if any(type(value) is option for option in options):  # exact first: True is not 1, 1 is not 1.0
        return value
    rest = [option for option in options if option is not type(None)]
    if len(rest) == 1:
        return _convert(value, rest[0], where)
    raise BadRequest.field(where, value, " or ".join(_name(option) for option in options))


def _name(hint: object) -> str:
    names = {bool: "true or false", int: "an integer", float: "a number", str: "text", type(None): "nothing"}
    if isinstance(hint, type) and hint in names:
        return names[hint]
    return "a list" if typing.get_origin(hint) is tuple else "a map"
