"""One non-blocking socket to an endpoint, `ipc://PATH` or `tcp://127.0.0.1:PORT`, and waiting for it.

Knows sockets and their errors, nothing of what the bytes mean. Every failure is an `OSError`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Sequence

SOCKET_BUFFER_BYTES = 2 << 20
"""Asked of the system for each direction; it may give less. Large ones mean fewer wake-ups per 64 MB."""

CHUNK_BYTES = 1 << 20
"""Most that one read or write moves: well under a millisecond, so that a time budget can be kept."""

_IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, errno.EALREADY, errno.EINTR)
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)  # no descriptor of its own, none over 1024


class Transport:
    """A connection in the making, then made. `address` is the endpoint it goes to."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.connected = False
        scheme, _, place = endpoint.partition("://")
        self._address: str | tuple[str, int]
        if scheme == "ipc" and hasattr(socket, "AF_UNIX"):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._address = place
        elif scheme == "tcp":
            host, _, port = place.rpartition(":")
            if not (port.isascii() and port.isdigit()) or int(port) > 65535:
                raise OSError(errno.EINVAL, f"{endpoint} has no valid port")
            self._address = (host, int(port))
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            raise OSError(errno.EPROTONOSUPPORT, f"endpoints like {endpoint} cannot be used on this system")
        try:
            self._socket.setblocking(False)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                with contextlib.suppress(OSError):  # BSD refuses what Linux would round down
                    self._socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
            self._start_connecting()
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def advance(self) -> bool:
        """Go on connecting. True once connected; raises OSError when that failed."""
        if self.connected:
            return True
        if isinstance(self._address, str):  # a full backlog of an ipc socket is not announced: ask again
            self._start_connecting()
        elif wait(self._socket, 0.0, write=True):
            self._check(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            self.connected = True
        return self.connected

    def read_into(self, buffer: memoryview) -> int | None:
        """How many bytes came; 0 at the end of the stream, None when there is nothing to read just now."""
        try:
            return self._socket.recv_into(buffer[:CHUNK_BYTES])
        except (BlockingIOError, InterruptedError):
            return None

    def write(self, buffers: Sequence[memoryview]) -> int | None:
        """How many bytes went; None when the socket takes none just now.

        A peer that has gone is no error here: reading tells it, after what the peer said last.
        """
        try:
            if hasattr(self._socket, "sendmsg"):
                return self._socket.sendmsg(buffers)
            return self._socket.send(buffers[0])  # Windows
        except (BlockingIOError, InterruptedError, BrokenPipeError, ConnectionResetError, ConnectionAbortedError):
            return None

    def close(self) -> None:
        self._socket.close()

    def _start_connecting(self) -> None:
        try:
            code = self._socket.connect_ex(self._address)
        except ValueError as error:  # a NUL in the path
            raise OSError(errno.EINVAL, f"{self.endpoint!r} is no address") from error
        if code in (0, errno.EISCONN):
            self.connected = True
        elif code not in _IN_PROGRESS:
            self._check(code)

    def _check(self, code: int) -> None:
        if code:
            raise OSError(code, os.strerror(code))


def wait(file: socket.socket | int, seconds: float, *, write: bool) -> bool:
    """Wait until the socket can be read, or with `write` also until it can be written. False when time ran out.

    A socket that is both idle and full wakes up for whichever comes first.
    """
    with _Selector() as selector:
        selector.register(file, selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0))
        return bool(selector.select(max(0.0, seconds)))


def clock() -> float:
    """Seconds; never goes back."""
    return time.monotonic()
