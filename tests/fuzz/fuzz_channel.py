"""The line between broker and worker, when the other end has lost its mind: the line ends, and nothing worse.

Native code in the worker may write anywhere; the broker must outlive that. Segments and descriptors that come along are
given back.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct

import packing
from target import Choices, Finding, Target, one_line

from samovar.channel import KINDS, Channel
from samovar.segment import SegmentPool
from samovar_link.errors import BadRequest, ProtocolError

KIND_LIST = tuple(KINDS.values())
IDS = (0, 1, 2, 3, 5, -1, 1 << 40, (1 << 64) - 1)
SIZES = (0, 1, 16, 1 << 16, (1 << 16) + 1, 1 << 40, -1, (1 << 64) - 1)


class Line:
    """The broker's end, which is tested, and a bare socket at the other."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.pool = SegmentPool(0, lambda: 0.0)
        self.channel = Channel(ours, self.pool)
        self.block = self.pool.take(16)  # segment 0 is in use
        self.open = True

    def say(self, data: bytes, descriptors: list[int]) -> None:
        with contextlib.suppress(OSError):  # it hung up, or its buffer is full
            socket.send_fds(self.peer, [data], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def listen(self) -> None:
        """As the broker does: until there is nothing more, or the line has ended."""
        try:
            while self.open and (packets := self.channel.receive()):
                for _, blocks in packets:
                    for block in blocks:
                        if len(block) != len(bytes(block.view)):
                            raise Finding("a block that cannot be read")
                        block.release()
        except (EOFError, ProtocolError, BadRequest) as error:
            one_line(str(error))
            self.open = False

    def close(self) -> None:
        self.channel.close()
        self.peer.close()
        self.block.release()
        if self.pool.used_bytes:
            raise Finding("memory that nobody will give back")
        self.pool.close()


def play(data: bytes, *, whole_packets: bool) -> None:
    choices = Choices(data)
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    line = Line()
    while choices.left:
        shared = [os.memfd_create("fuzz") for _ in range(choices.number() % 3)] if hasattr(os, "memfd_create") else []
        for descriptor in shared:
            os.ftruncate(descriptor, choices.pick((16, 1 << 16)))
        line.say(_packet(choices) if whole_packets else choices.take(choices.number(2) % 4096), shared)
        line.listen()
    line.close()
    del line  # and with it the maps
    if descriptors and len(os.listdir("/proc/self/fd")) > descriptors:
        raise Finding("descriptors were left open")


def _packet(choices: Choices) -> bytes:
    """Mostly well-formed: a message, and mentions of segments that may be there."""
    header = packing.message(choices.pick(KIND_LIST), choices)
    mentions = [_mention(choices) for _ in range(choices.number() % 3)]
    body = b"\x92" + packing.pack(header) + struct.pack(">BH", 0xDC, len(mentions)) + b"".join(mentions)
    if choices.chance(4):
        at = choices.number(2) % len(body)
        body = body[:at] + packing.anything(choices) + body[at + choices.number() % 4 :]
    length = choices.pick(packing.NUMBERS) & 0xFFFFFFFF if choices.chance(16) else len(body)
    return struct.pack("<I", length) + body


def _mention(choices: Choices) -> bytes:
    if choices.chance(8):
        return packing.anything(choices)
    ends = choices.pick((0, 16, -1)) if choices.chance(4) else choices.pick(SIZES)
    return packing.pack(
        [choices.pick(IDS), choices.pick(SIZES), ends, choices.pick(SIZES), choices.pick((None, None, "", "1000", 7))]
    )


def packets(data: bytes) -> None:
    play(data, whole_packets=True)


def raw(data: bytes) -> None:
    play(data, whole_packets=False)


def _raw(*pieces: bytes) -> bytes:
    return b"".join(b"\0" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


def _body(body: bytes) -> bytes:
    return _raw(struct.pack("<I", len(body)) + body)


def seeds() -> dict[str, bytes]:
    cancel = packing.pack(b"\x92\xa6Cancel\x81\xa3job\xa1j")
    drop = packing.pack(b"\x92\xa4Drop\x81\xa7segment\x05")
    return {
        "cancel": _body(b"\x92" + cancel + b"\x90"),
        "four gigabytes announced": _raw(b"\xff\xff\xff\xff" + bytes(1000)),
        "nothing": _body(b"\xc0"),
        "no header": _body(b"\x92\x01\x90"),
        "no mentions": _body(b"\x92" + cancel + b"\x07"),
        "mention of nothing": _body(b"\x92" + cancel + b"\x91\xc0"),
        "mention without descriptor": _body(b"\x92" + cancel + packing.pack([[1, 16, 0, 16, None]])),
        "drop of what never came": _body(b"\x92" + drop + b"\x90"),
        "claims": _body(b"\x92" + cancel + b"\xdc\x0f\xff" * 900),
    }


TARGETS = (
    Target("channel", raw, seeds, most_bytes=512),
    Target(
        "channel_packets", packets, lambda: {"each kind": bytes([1, 0, 3, 0, 0, 1, 1, 2, 0, 2]) * 8}, most_bytes=384
    ),
)
