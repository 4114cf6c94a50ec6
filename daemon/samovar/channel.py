"""The line between broker and worker: the messages of the protocol, with pixels in shared memory.

A packet is its length, then msgpack `[header, blocks]`: `header` is frame 0 as it travels to clients, each block is
`[segment, capacity, offset, length, name]`. The first time a segment is mentioned its file descriptor comes along
(SCM_RIGHTS), on Windows its name stands in the block; after that the number is enough, as both sides keep it mapped.

Every mention of a segment is a loan: its maker counts it as in use until the peer answers `Recycle`. When the
channel closes, all loans are void. A peer may mention a segment of the other side too: so a result that *is* the input
goes back without being copied.

Some messages never leave the machine: `Ready`, `Held`, `Spent`, the two about segments. The worker blocks on its end of
the channel, the broker never does: what does not go out at once waits in `_outbox` until `flush`.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Union, cast

import msgpack

from samovar.segment import Block, Segment, SegmentPool
from samovar_link import codec
from samovar_link.errors import ProtocolError
from samovar_link.messages import MESSAGES, LoadedModel, Message

_LENGTH = struct.Struct("<I")
_READ_BYTES = 1 << 18
_MAX_DESCRIPTORS = 64
_MAX_WAITING_DESCRIPTORS = 4 * _MAX_DESCRIPTORS
_MAX_BLOCKS = 4096
_MAX_PACKET_BYTES = codec.MAX_HEADER_BYTES + 64 * _MAX_BLOCKS


@dataclass(frozen=True)
class Ready:
    """Worker -> broker: imports are done, jobs are taken. `device` is where they will run."""

    device: str = ""


@dataclass(frozen=True)
class Held:
    """Worker -> broker, after every job and whenever it changes: the models in memory."""

    models: tuple[LoadedModel, ...] = ()


@dataclass(frozen=True)
class Spent:
    """Worker -> broker: after what has just gone wrong, libraries may not work rightly in this process any more."""


@dataclass(frozen=True)
class Recycle:
    """Either way: one mention of your segment is no longer needed."""

    segment: int


@dataclass(frozen=True)
class Drop:
    """Either way: my segment is gone, unmap it."""

    segment: int


Said = Union[Message, Ready, Held, Spent, Recycle, Drop]
KINDS: dict[str, type] = {**MESSAGES, **{cls.__name__: cls for cls in (Ready, Held, Spent, Recycle, Drop)}}


def open_end(handed: str) -> socket.socket:
    """A worker's end, as the broker handed it over: by the number of a descriptor, on Windows through stdin."""
    if sys.platform == "win32":
        return socket.fromshare(sys.stdin.buffer.read())
    return socket.socket(fileno=int(handed))


class Channel:
    """One end. `send` may be called from several threads, `receive` from one."""

    def __init__(self, end: socket.socket, pool: SegmentPool) -> None:
        self._socket = end
        self._pool = pool
        self._attached: dict[int, Segment] = {}  # the peer's segments
        self._shown: set[int] = set()  # our segments that the peer has mapped
        self._lent: dict[int, int] = {}
        self._descriptors: deque[int] = deque()
        self._incoming = bytearray()
        self._outbox: deque[tuple[memoryview, list[int]]] = deque()
        self._lock = threading.RLock()
        self._closed = False
        pool.dropped = self._forget

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def wants_write(self) -> bool:
        return bool(self._outbox)

    # --- out --------------------------------------------------------------------------------------------------------

    def send(self, message: Said, blocks: Sequence[Block] = ()) -> None:
        """Queue a packet and write what goes. The caller keeps its own hold on the blocks. A dead peer is no error
        here; it shows in `receive`. Raises MemoryError where no descriptor is left for a segment; nothing is sent then.
        """
        with self._lock:
            if self._closed:
                return
            header = codec.encode(cast(Message, message))  # first: what cannot be sent lends nothing
            handles, descriptors = self._handles(blocks)
            mentions = [self._mention(block, handles) for block in blocks]
            body = cast(bytes, msgpack.packb([header, mentions]))
            self._outbox.append((memoryview(_LENGTH.pack(len(body)) + body), descriptors))
            self.flush()

    def _handles(self, blocks: Sequence[Block]) -> tuple[dict[int, str], list[int]]:
        """What goes along for segments that the peer has not mapped: names by segment, and descriptors, in order."""
        fresh = {each.segment.id: each.segment.handle for each in blocks if each.segment.id not in self._shown}
        names = {id: handle for id, handle in fresh.items() if isinstance(handle, str)}
        descriptors: list[int] = []
        try:
            for handle in fresh.values():
                if isinstance(handle, int):
                    descriptors.append(os.dup(handle))
        except OSError as error:
            for descriptor in descriptors:
                os.close(descriptor)
            raise MemoryError(f"no way to hand over shared memory: {error.strerror}") from error
        return names, descriptors

    def _mention(self, block: Block, names: dict[int, str]) -> list[object]:
        segment, name = block.segment, None
        if segment.handle is not None:  # ours
            self._pool.hold(segment.id)
            self._lent[segment.id] = self._lent.get(segment.id, 0) + 1
            if segment.id not in self._shown:
                self._shown.add(segment.id)
                name = names.get(segment.id)
        return [segment.id, segment.capacity, block.offset, len(block), name]

    def flush(self) -> bool:
        """Write what goes; True when nothing is left."""
        with self._lock:
            while self._outbox:
                data, descriptors = self._outbox[0]
                try:
                    sent = (
                        socket.send_fds(self._socket, [data], descriptors) if descriptors else self._socket.send(data)
                    )
                except (BlockingIOError, InterruptedError):
                    return False
                except OSError:  # the peer is gone
                    self._clear_outbox()
                    return True
                for descriptor in descriptors:
                    os.close(descriptor)
                if sent == len(data):
                    self._outbox.popleft()
                else:
                    self._outbox[0] = (data[sent:], [])
            return True

    def _clear_outbox(self) -> None:
        for _, descriptors in self._outbox:
            for descriptor in descriptors:
                os.close(descriptor)
        self._outbox.clear()

    def _forget(self, id: int) -> None:
        with self._lock:
            if id in self._shown:
                self._shown.discard(id)
                self.send(Drop(id))

    # --- in ---------------------------------------------------------------------------------------------------------

    def receive(self) -> list[tuple[Said, list[Block]]]:
        """What has come, whole packets only. Raises EOFError when the peer is gone, ProtocolError or BadRequest when it
        says what no peer of ours would, or when a segment that it mentions did not come through: too many files are
        open here, or there is no memory to map it. The channel is of no further use then."""
        try:
            data = self._read()
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as error:
            raise EOFError(str(error)) from error
        if not data:
            raise EOFError("the other end closed")
        self._incoming += data
        packets: list[tuple[Said, list[Block]]] = []
        try:
            while (body := self._next_body()) is not None:
                header, mentions = _opened(body)
                message: Any = codec.decode(header, KINDS)
                blocks: list[Block] = []
                packets.append((cast(Said, message), blocks))
                for mention in mentions:
                    blocks.append(self._resolve(*_checked(mention)))
                if isinstance(message, (Recycle, Drop)):
                    _release([packets.pop()])
                    self._take_back(message)
        except BaseException:
            _release(packets)  # nobody hears of them any more
            raise
        return packets

    def _take_back(self, message: Recycle | Drop) -> None:
        if isinstance(message, Recycle):
            self._returned(message.segment)
        elif (segment := self._attached.pop(message.segment, None)) is not None:
            segment.close()
        else:
            raise ProtocolError(f"the peer drops segment {message.segment}, which never came")

    def _read(self) -> bytes:
        if sys.platform == "win32":
            return self._socket.recv(_READ_BYTES)
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        data, descriptors, _, _ = socket.recv_fds(self._socket, _READ_BYTES, _MAX_DESCRIPTORS, flags)
        self._descriptors += descriptors
        if len(self._descriptors) > _MAX_WAITING_DESCRIPTORS:
            raise ProtocolError(f"the peer sent {len(self._descriptors)} descriptors that no segment needs")
        return data

    def _next_body(self) -> bytes | None:
        if len(self._incoming) < _LENGTH.size:
            return None
        length = _LENGTH.unpack_from(self._incoming)[0]
        if length > _MAX_PACKET_BYTES:
            raise ProtocolError(f"packet of {length} bytes, at most {_MAX_PACKET_BYTES} allowed")
        end = _LENGTH.size + length
        if len(self._incoming) < end:
            return None
        body = bytes(self._incoming[_LENGTH.size : end])
        del self._incoming[:end]
        return body

    def _resolve(self, id: int, capacity: int, offset: int, length: int, name: str | None) -> Block:
        if id % 2 == self._pool.parity:
            segment = self._pool.hold(id)
            if segment is None:
                raise ProtocolError(f"the peer mentions segment {id}, which is not in use")
            block = Block(segment, offset, length, lambda: self._pool.release(id))
        else:
            if id not in self._attached:
                self._attached[id] = self._attach(id, capacity, name)
            block = Block(self._attached[id], offset, length, lambda: self.send(Recycle(id)))
        if len(block) != length:
            block.release()
            raise ProtocolError(f"the peer mentions {length} bytes from {offset} of segment {id}, which has fewer")
        return block

    def _attach(self, id: int, capacity: int, name: str | None) -> Segment:
        if sys.platform == "win32":
            handle: int | str | None = name
        else:  # never a number that the peer chose: it may be of a file of ours
            handle = self._descriptors.popleft() if self._descriptors and name is None else None
        if handle is None:
            # the system drops those that it cannot open here
            raise ProtocolError(f"segment {id} came without its memory: {os.strerror(errno.EMFILE)}, perhaps")
        try:
            return Segment.attach(id, capacity, handle)
        except (OSError, ValueError, OverflowError) as error:
            raise ProtocolError(f"segment {id} of {capacity} bytes cannot be mapped: {error}") from error

    def _returned(self, id: int) -> None:
        with self._lock:
            if id not in self._lent:
                return
            self._lent[id] -= 1
            if not self._lent[id]:
                del self._lent[id]
        self._pool.release(id)

    def close(self) -> None:
        """Hang up. Everything lent to the peer is ours again."""
        with self._lock:
            self._closed = True
            self._socket.close()
            self._clear_outbox()
            lent, self._lent = self._lent, {}
            self._shown.clear()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        for segment in self._attached.values():
            segment.close()
        self._attached.clear()
        for id, count in lent.items():
            for _ in range(count):
                self._pool.release(id)


def _opened(body: bytes) -> tuple[bytes, list[object]]:
    """Header and mentions of a packet. Raises ProtocolError."""
    try:
        header, mentions = msgpack.unpackb(body, max_array_len=_MAX_BLOCKS, max_map_len=0, max_ext_len=0)
    except Exception as error:  # see `codec`: msgpack raises a dozen types for one fact
        raise ProtocolError(f"a packet that is not msgpack: {type(error).__name__}") from error
    if not isinstance(header, bytes) or not isinstance(mentions, list):
        raise ProtocolError("a packet that is not header and mentions")
    return header, mentions


def _checked(mention: object) -> tuple[int, int, int, int, str | None]:
    """A mention of a segment. Raises ProtocolError."""
    if isinstance(mention, list) and len(mention) == 5 and isinstance(mention[4], (str, type(None))):
        numbers = mention[:4]
        if all(type(number) is int and 0 <= number < 1 << 62 for number in numbers) and numbers[1]:
            return cast("tuple[int, int, int, int, str | None]", tuple(mention))
    raise ProtocolError("the peer mentions what is no segment")


def _release(packets: Sequence[tuple[Said, list[Block]]]) -> None:
    for _, blocks in packets:
        for block in blocks:
            block.release()
