"""Frame 0: any bytes, and messages of every kind with wrong fields; with the compiled msgpack and with the plug-ins'.

What is decoded goes back to bytes that decode to the same. What is refused is refused by both readers, in one line.
"""

from __future__ import annotations

import json
import types
from pathlib import Path

import msgpack
import msgpack.fallback
import packing
from target import Choices, Finding, Target, one_line

from samovar.channel import KINDS
from samovar_link import codec, messages
from samovar_link.errors import BadRequest, ProtocolError
from samovar_link.messages import Message

GOLDEN = Path(__file__).parents[1] / "contract" / "golden" / "protocol-1.json"
COMPILED = types.SimpleNamespace(packb=msgpack.packb, unpackb=msgpack.unpackb)
PURE = types.SimpleNamespace(
    packb=lambda value: msgpack.fallback.Packer().pack(value), unpackb=msgpack.fallback.unpackb
)
KIND_LIST = tuple(KINDS.values())


def decoded(header: bytes, reader: object) -> Message | ProtocolError | BadRequest:
    """The message or why it is none."""
    theirs, codec.msgpack = codec.msgpack, reader
    try:
        found = codec.decode(header, KINDS)
    except (ProtocolError, BadRequest) as error:
        one_line(str(error))
        codec.job_of(header)
        return error
    else:
        again = codec.decode(codec.encode(found), KINDS)
        if _plain(again) != _plain(found):
            raise Finding(f"{found!r} became {again!r}")
        return found
    finally:
        codec.msgpack = theirs


def _plain(message: Message) -> str:
    """Where NaN is NaN; but -0.0 equals a default of 0.0, and is not sent."""
    return repr(message).replace("-0.0", "0.0")


def any_header(data: bytes) -> None:
    one, other = decoded(data, COMPILED), decoded(data, PURE)
    if any("StackError" in str(each) for each in (one, other) if isinstance(each, ProtocolError)):
        return  # how deep is too deep, each decides for itself
    if type(one) is not type(other) or (not isinstance(one, ProtocolError) and repr(one) != repr(other)):
        raise Finding(f"compiled msgpack: {one!r}; pure Python: {other!r}")


def any_fields(data: bytes) -> None:
    choices = Choices(data)
    header = packing.message(choices.pick(KIND_LIST), choices)
    for _ in range(choices.number() % 3):
        at = choices.number(2) % len(header)
        header = header[:at] + choices.take(choices.number() % 4) + header[at + choices.number() % 4 :]
    any_header(header)


def golden() -> dict[str, bytes]:
    """Every message that was ever on the wire."""
    return {name: bytes.fromhex(value) for name, value in json.loads(GOLDEN.read_text()).items()}


def headers() -> dict[str, bytes]:
    run = b"\x92\xa3Run\x81\xa1x"
    row = b"\xdc\x0f\xa0"
    return {
        **golden(),
        "deep field": b"\x92\xa4Pong\x81\xa5nonce" + b"\x91" * 1000 + b"\xc0",
        "too deep": b"\x91" * 5000,
        "nested claims": run + b"\xdc\x27\x10" * 1015,
        "nested claims that are allowed": run + b"\xdc\x0f\xff" * 1015,
        "half a megabyte of maps": run + b"\xdc\x00\x7f" + (row + b"\x80" * 4000) * 127,
        "a megabyte of maps": run + b"\xdc\x00\xf0" + (row + b"\x80" * 4000) * 240,
        "a quarter of a megabyte of nothing": run + (row + b"\xc0" * 3999) * 60,
        "small maps": run + b"\xdc\x00\x29" + (row + b"\x81\xa0\xc0" * 4000) * 41,
        "extensions": run + b"\xdc\x00\x29" + (row + b"\xc7\x00\x05" * 4000) * 41,
        "large bytes for a number": b"\x92\xa4Pong\x81\xa5nonce\xc6\x00\x07\x00\x00" + bytes(0x70000),
        "many keys that are no text": b"\x92\xa3Run\x83\xa3job\xa1a\xa9operation\xa1b\xa6images\xde\x0f\xa0"
        + b"".join(b"\xc4\x02" + number.to_bytes(2, "big") + b"\x01" for number in range(4000)),
    }


def instructions() -> dict[str, bytes]:
    """Each kind once, with all fields as they should be."""
    return {cls.__name__: bytes([index]) for index, cls in enumerate(KIND_LIST)}


WORDS = tuple(
    packing.pack(word)
    for cls in messages.MESSAGES.values()
    for word in (cls.__name__, *cls.__dataclass_fields__)  # type: ignore[attr-defined]
)

TARGETS = (
    Target("codec", any_header, headers, words=tuple(dict.fromkeys(WORDS)) + packing.ODD, most_bytes=256),
    Target("codec_fields", any_fields, instructions, most_bytes=128),
)
