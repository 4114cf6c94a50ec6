"""msgpack written by hand from choices: messages as they should be, and as nobody's library would write them."""

from __future__ import annotations

import dataclasses
import struct
import types
import typing

from msgpack.fallback import Packer  # the same bytes, and it can be led by coverage
from target import Choices

NUMBERS = (0, 1, 2, 3, 4, 255, 256, 65535, 65536, -1, -2, 1 << 28, (1 << 31) - 1, 1 << 31, 1 << 62, (1 << 63) - 1,
           1 << 63, (1 << 64) - 1, -(1 << 31), -(1 << 63))  # fmt: skip
FLOATS = (0.0, -0.0, 0.5, 1.0, -1.0, 300.0, 1e300, 1e-300, float("inf"), float("-inf"), float("nan"), 1e19)
TEXTS = ("", "a", "image", "mask", "hints", "sample", "u8", "u16", "f32", "rgba", "bgra", "batch", "\0", "a\nb",
         "\u202e", "\U0001f375", "x" * 300, "é" * 40, "upscale", "identity",
         "0123456789abcdef0123456789abcdef")  # fmt: skip
ODD = (
    b"\xc1",  # never used
    b"\xa2\xff\xfe",  # text that is none
    b"\xa3\xed\xa0\x80",  # half of a surrogate pair
    b"\xc7\x00\x05", b"\xd4\x01\x00", b"\xd6\xff\x00\x00\x00\x00", b"\xc7\x0c\xff" + b"\xff" * 12,  # extensions
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",  # claims
    b"\xc9\xff\xff\xff\xff\x01", b"\xdc\x0f\xff", b"\xde\x0f\xff",
    b"\x82\xa1a\xc0\xa1a\xc0",  # a key twice
    b"\x81\x90\xc0", b"\x81\x80\xc0", b"\x81\x01\xc0", b"\x81\xc0\xc0", b"\x81\xc4\x01a\xc0",  # keys that are no text
)  # fmt: skip


def pack(value: object) -> bytes:
    return typing.cast(bytes, Packer(use_bin_type=True).pack(value))


def anything(choices: Choices, depth: int = 0) -> bytes:
    """Any value at all."""
    kind = choices.number() % (12 if depth < 4 else 8)
    if kind == 0:
        return b"\xc0"
    if kind == 1:
        return pack(choices.chance(2))
    if kind == 2:
        return pack(choices.pick(NUMBERS))
    if kind == 3:
        return pack(choices.pick(FLOATS))
    if kind == 4:
        return pack(choices.pick(TEXTS))
    if kind == 5:
        return pack(choices.take(choices.number() % 40))
    if kind == 6:
        return choices.pick(ODD)
    if kind == 7:
        return choices.pick((b"\x91", b"\x81\xa1a")) * (choices.number() * 5) + b"\xc0"  # deep
    count = choices.number() % 4
    if kind in (8, 9):
        return bytes([0x90 + count]) + b"".join(anything(choices, depth + 1) for _ in range(count))
    return bytes([0x80 + count]) + b"".join(
        pack(choices.pick(TEXTS)) + anything(choices, depth + 1) for _ in range(count)
    )


def fitting(hint: object, choices: Choices) -> bytes:
    """A value of a field of this type; now and then another."""
    if choices.chance(12):
        return anything(choices)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return fitting(choices.pick(arguments), choices)
    if origin is tuple:
        count = choices.number() % 3
        return bytes([0x90 + count]) + b"".join(fitting(arguments[0], choices) for _ in range(count))
    if origin is dict:
        count = choices.number() % 3
        return bytes([0x80 + count]) + b"".join(
            pack(choices.pick(TEXTS)) + fitting(arguments[1], choices) for _ in range(count)
        )
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return fields(hint, choices)
    if hint is bool:
        return pack(choices.chance(2))
    if hint is int:
        return pack(choices.pick(NUMBERS))
    if hint is float:
        return b"\xcb" + struct.pack(">d", choices.pick(FLOATS))
    if hint is str:
        return pack(choices.pick(TEXTS))
    return b"\xc0"


def fields(cls: type, choices: Choices) -> bytes:
    """The map of a message's fields: some left out, some wrong, perhaps one that nobody knows or one twice."""
    hints = typing.get_type_hints(cls)
    parts = []
    for field in dataclasses.fields(cls):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if not choices.chance(8 if required else 2):
            parts.append(pack(field.name) + fitting(hints[field.name], choices))
    if choices.chance(6):
        parts.append(pack(choices.pick(("newer", "job", "images", ""))) + anything(choices))
    return struct.pack(">BH", 0xDE, len(parts)) + b"".join(parts)


def message(cls: type, choices: Choices) -> bytes:
    """Frame 0 of a message of this kind."""
    return b"\x92" + pack(cls.__name__) + fields(cls, choices)
