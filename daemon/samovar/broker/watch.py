"""Every connection to the daemon's sockets: how many there are, whether they have said anything yet, when to hang up.

libzmq takes whoever comes, as many as come, and takes memory for a frame as soon as its size is announced, before it
asks who sends it. Its one bound for that is the size of a frame, and that has to let in the largest layer. So:

1. A connection is a stranger until a message of it has come through, `Hello`, which is sent at once. There are never
   more than a few strangers, none stays for long, and none gets to send more than a `Hello` takes.
2. Who is known is hung up on when it stands still over something large: a message that it does not end, or results
   that it does not read. Whoever waits for something says so all the time, so silence tells the two apart.
3. libzmq tells only the number of a descriptor, which may stand for another connection by now. So each is looked at
   through a copy of the descriptor, after its inode was compared, and hanging up is a shutdown of that copy: libzmq
   then sees the end of the stream, and closes.

What a stranger has sent is known on Linux only. On Windows (not tried yet) nothing here has an effect.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import zmq

from samovar.broker.gate import LOCAL_PROCESS, Refusals
from samovar.broker.job import Clock
from samovar.broker.port import Bounds

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.005
"""Between two looks at strangers: how far beyond its bound one can get."""

_EVENT = struct.Struct("=Hi")
_EVENTS = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED
_RECEIVED = struct.Struct("=128xQ")
"""tcpi_bytes_received in Linux's struct tcp_info, uapi/linux/tcp.h."""

_HEARD_AT_ONCE = 64
_ROUNDS = 8
"""In a flood others came before it. Who is not found is looked for again with its next message."""


@dataclass
class Connection:
    """peer, socket : where it comes from, and to; client : who sent its first message, b"" of a stranger; user : its
    key; heard : last message; leaving : it was hung up on"""

    descriptor: int
    inode: int
    peer: str
    socket: str
    since: float
    heard: float
    client: bytes = b""
    user: str = ""
    leaving: bool = False


class Watch:
    """refusals : told of those that never became more than strangers"""

    def __init__(self, bounds: Bounds, refusals: Refusals, clock: Clock) -> None:
        self.monitors: list[zmq.Socket[bytes]] = []
        self._names: list[str] = []
        self._bounds = bounds
        self._refusals = refusals
        self._clock = clock
        self._connections: OrderedDict[int, Connection] = OrderedDict()  # by descriptor, oldest first
        self._known: dict[bytes, Connection] = {}
        self._next_look = 0.0
        self._hung_up: list[bytes] = []

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._connections.values()))

    @property
    def strangers(self) -> int:
        return len(self._connections) - len(self._known)

    def add(self, context: zmq.Context[zmq.Socket[bytes]], router: zmq.Socket[bytes], name: str) -> None:
        """Watch a socket from now on; before it is bound."""
        router.monitor(f"inproc://watch-{name}", _EVENTS)
        monitor = context.socket(zmq.PAIR)
        monitor.linger = 0
        monitor.rcvhwm = 0  # libzmq waits for room, and with it everybody
        monitor.connect(f"inproc://watch-{name}")
        self.monitors.append(monitor)
        self._names.append(name)

    # --- what happens -----------------------------------------------------------------------------------------------

    def hear(self) -> None:
        """Take note of who came and who went."""
        for monitor, name in zip(self.monitors, self._names, strict=True):
            for _ in range(_HEARD_AT_ONCE):
                try:
                    event, endpoint = monitor.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                kind, descriptor = _EVENT.unpack(event)
                if kind == zmq.EVENT_ACCEPTED:
                    self._came(descriptor, endpoint.decode(errors="replace"), name)
                else:
                    self._went(descriptor, endpoint.decode(errors="replace"))

    def _came(self, descriptor: int, endpoint: str, name: str) -> None:
        if descriptor in self._connections:  # its end is still to be told, by another monitor
            self._forget(descriptor)
        now = self._clock()
        with contextlib.suppress(OSError), _copy(descriptor) as copy:
            peer = _peer(copy, endpoint)
            inode = os.fstat(copy.fileno()).st_ino
            connection = self._connections[descriptor] = Connection(descriptor, inode, peer, name, now, now)
            if len(self._connections) > self._bounds.max_connections:
                self.hang_up(connection, "there are too many connections")

    def _went(self, descriptor: int, endpoint: str) -> None:
        connection = self._forget(descriptor)
        if connection is None:  # too quick to be looked at
            self._refusals.note(_somebody_at(endpoint), "no handshake")
        elif not connection.client:
            self._refusals.note(connection.peer, "no handshake")

    def _forget(self, descriptor: int) -> Connection | None:
        connection = self._connections.pop(descriptor, None)
        if connection is not None and connection.client:
            self._known.pop(connection.client, None)
        return connection

    def heard(self, client: bytes, first: zmq.Frame) -> None:
        """A message came. first : its first frame"""
        connection = self._known.get(client) or self._introduced(client, first)
        if connection is not None:
            connection.heard = self._clock()

    def _introduced(self, client: bytes, first: zmq.Frame) -> Connection | None:
        descriptor = _source(first)
        for _ in range(_ROUNDS):
            if descriptor in self._connections:
                break
            self.hear()  # it came after the last look
        connection = self._connections.get(descriptor)
        if connection is None or connection.client or connection.leaving:
            return None
        connection.client = client
        with contextlib.suppress(zmq.ZMQError, KeyError):
            connection.user = str(first.get("User-Id"))
        self._known[client] = connection
        return connection

    # --- the clock --------------------------------------------------------------------------------------------------

    def look_at_strangers(self) -> int:
        """Hang up on those that are too many, take too long, or send too much, if it is time to look. How many."""
        now, bounds = self._clock(), self._bounds
        if now < self._next_look:
            return 0
        self._next_look = now + LOOK_SECONDS
        strangers = [each for each in self if not each.client and not each.leaving]
        surplus = len(strangers) - bounds.max_strangers
        gone = 0
        for number, each in enumerate(strangers):
            if number < surplus:
                gone += self.hang_up(each, "no handshake, and others come")
            elif now - each.since > bounds.stranger_seconds:
                gone += self.hang_up(each, "it has not said Hello in time")
            elif _received_bytes(each) > bounds.stranger_bytes:
                gone += self.hang_up(each, "it sent much before Hello")
        return gone

    def turn_away(self, peer: str, name: str) -> None:
        """Somebody there was refused. libzmq closes such a connection at once or when its handshake has lasted too
        long, as it happens; so strangers of the same peer are hung up on, and who means well tries again.

        name : of the socket
        """
        for each in self:
            if not each.client and (each.peer, each.socket) == (peer, name):
                self.hang_up(each, "refused")

    def look_at_known(self, undelivered_bytes: int, unread_bytes: Callable[[bytes], int]) -> None:
        """Hang up on those that stand still over something large.

        undelivered_bytes : in messages that have begun to come, of all clients
        unread_bytes : of what was sent to one and has not left yet
        """
        now, bounds = self._clock(), self._bounds
        patience = bounds.half_seconds if undelivered_bytes <= bounds.max_bytes else bounds.silent_seconds
        for each in list(self._known.values()):
            silent = now - each.heard
            if silent > bounds.unread_seconds and unread_bytes(each.client):
                self.hang_up(each, f"it has read nothing for {silent:.0f} s")
            elif silent > patience and undelivered_bytes > bounds.half_bytes:
                self.hang_up(each, f"{undelivered_bytes >> 20} MiB of messages have begun to come and do not end")

    def look_at_users(self, allowed: frozenset[str]) -> None:
        """Hang up on those whose key was taken from the list."""
        for each in list(self._known.values()):
            if each.user and each.user not in allowed:
                self.hang_up(each, "its key is allowed no longer")

    def hang_up(self, connection: Connection, why: str) -> bool:
        """End it; its client sees the end of the stream. False if it is gone already."""
        if connection.leaving:
            return False
        with contextlib.suppress(OSError), _copy(connection.descriptor, connection.inode) as copy:
            copy.shutdown(socket.SHUT_RDWR)
            connection.leaving = True
            if connection.client:
                self._hung_up.append(connection.client)
                log.warning("hung up on a client at %s: %s", connection.peer, why)
            else:
                self._refusals.note(connection.peer, why)
            return True
        return False

    def hung_up(self) -> list[bytes]:
        """Clients that were hung up on since the last time."""
        clients, self._hung_up = self._hung_up, []
        return clients

    def close(self) -> None:
        for monitor in self.monitors:
            monitor.close(linger=0)
        self.monitors.clear()


def _somebody_at(endpoint: str) -> str:
    """Who was gone before we looked: what is known of that from where it came to."""
    if endpoint.startswith("ipc://"):
        return LOCAL_PROCESS
    return "127.0.0.1" if endpoint.startswith("tcp://127.0.0.1:") else f"somebody at {endpoint}"


def _peer(line: socket.socket, endpoint: str) -> str:
    """Who is at the other end. Raises OSError if it is no connection to that endpoint: the one that came is gone, and
    its descriptor stands for something of our own by now, such as the line to the worker."""
    if line.family in (socket.AF_INET, socket.AF_INET6):
        if endpoint.startswith("tcp://") and line.getsockname()[1] == int(endpoint.rpartition(":")[2]):
            return str(line.getpeername()[0])
    elif line.getsockname() == endpoint.removeprefix("ipc://"):
        return LOCAL_PROCESS
    raise OSError("it is another connection by now")


def _copy(descriptor: int, inode: int | None = None) -> socket.socket:
    """The same connection by a descriptor that nobody else closes. Raises OSError if it is another one by now."""
    if sys.platform == "win32" or descriptor < 0:
        raise OSError("descriptors of sockets cannot be copied here")
    number = os.dup(descriptor)
    try:
        if inode is not None and (os.fstat(number).st_ino != inode or not inode):
            raise OSError("it is another connection by now, or the system does not tell them apart")
        return socket.socket(fileno=number)
    except BaseException:
        os.close(number)
        raise


def _received_bytes(connection: Connection) -> int:
    """What came over tcp; 0 where the system does not tell."""
    if sys.platform != "linux" or connection.peer == LOCAL_PROCESS:
        return 0
    with contextlib.suppress(OSError, struct.error), _copy(connection.descriptor, connection.inode) as copy:
        found: int = _RECEIVED.unpack(copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.size))[0]
        return found
    return 0


def _source(frame: zmq.Frame) -> int:
    """The descriptor that a frame came by, -1 if libzmq does not tell."""
    try:
        return int(frame.get(zmq.SRCFD))
    except (zmq.ZMQError, KeyError, ValueError):
        return -1
