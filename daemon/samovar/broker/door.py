"""The broker's sockets: one ROUTER for this machine, on ipc and loopback tcp, and one for others where that is wanted.

Who may talk is `gate`'s to say, how many and for how long `watch`'s. The ipc socket lies in a folder of mode 0700 that
belongs to this user. The local socket takes a token (PLAIN), that for other machines keys (CURVE); libzmq has one of
the two for each socket, hence two of them, and the names of clients begin with a letter that says which.

Results go out of shared memory without a copy: libzmq reads a segment in its own thread, and `Door` gives the
segment back when it is finished with it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import stat
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from samovar.broker.address import Address
from samovar.broker.gate import LOCAL_DOMAIN, REMOTE_DOMAIN, Gate
from samovar.broker.port import LOCAL, REMOTE, Bounds, Delivery
from samovar.broker.watch import Watch
from samovar.keys import AllowList, KeyPair
from samovar.segment import Block
from samovar_link import codec
from samovar_link.messages import Limits, Message

log = logging.getLogger(__name__)

_MAX_PATH_BYTES = 106
_DROPPED_AT_ONCE = 1000


class PortTaken(Exception):
    """A tcp port asked for is in use or cannot be opened; the message is for the user."""


@dataclass(frozen=True)
class Keys:
    """What the socket for other machines needs: our own pair, and whose keys are let in."""

    own: KeyPair
    allowed: AllowList


class Door:
    """Bound and open once constructed. Raises PortTaken.

    listen : addresses beside the local ones; those with `curve` need `keys`
    endpoints : of clients of this machine; remote_endpoints : of those of others
    """

    def __init__(
        self, token: str, limits: Limits, socket_path: Path | None, port: int = 0, *,
        listen: Sequence[Address] = (), keys: Keys | None = None, bounds: Bounds | None = None,
    ) -> None:  # fmt: skip
        self.endpoints: tuple[str, ...] = ()
        self.remote_endpoints: tuple[str, ...] = ()
        self._limits = limits
        self._bounds = bounds or Bounds()
        self._sending: list[tuple[zmq.MessageTracker, Block, bytes]] = []
        self._unread: Counter[bytes] = Counter()
        self._half_read: set[bytes] = set()
        self._socket_path = socket_path
        self._context = zmq.Context()
        self.gate = Gate(self._context, token, keys.allowed if keys else None)
        self.watch = Watch(self._bounds, self.gate.refusals, time.monotonic)
        self._routers: dict[bytes, zmq.Socket[bytes]] = {}
        try:
            # pyzmq opens a socket of its own for the first frame that is not copied: now, while there are descriptors.
            zmq.Frame(memoryview(bytearray(1)), copy=False, track=True)
            self._open_local(port, [each for each in listen if not each.curve])
            if keys is not None:
                self._open_remote([each for each in listen if each.curve], keys.own)
        except BaseException:
            self.close(linger_ms=0)
            raise

    def _open_local(self, port: int, more: Sequence[Address]) -> None:
        router = self._new_router(LOCAL, LOCAL_DOMAIN)
        router.plain_server = True
        router.ipv6 = False
        endpoints = []
        if self._socket_path is not None:
            try:
                router.bind(f"ipc://{self._socket_path}")
                os.chmod(self._socket_path, 0o600)
                endpoints.append(f"ipc://{self._socket_path}")
            except zmq.ZMQError as error:
                log.warning("no ipc socket at %s: %s", self._socket_path, error)
        for endpoint in (f"tcp://127.0.0.1:{port or '*'}", *(each.endpoint for each in more)):
            endpoints.append(_bind(router, endpoint))
        self.endpoints = tuple(endpoints)

    def _open_remote(self, addresses: Sequence[Address], own: KeyPair) -> None:
        router = self._new_router(REMOTE, REMOTE_DOMAIN)
        router.curve_server = True
        router.curve_secretkey = own.secret.encode()
        router.ipv6 = any(each.ipv6 for each in addresses)
        self.remote_endpoints = tuple(_bind(router, each.endpoint) for each in addresses)

    def _new_router(self, mark: bytes, domain: bytes) -> zmq.Socket[bytes]:
        router = self._routers[mark] = self._context.socket(zmq.ROUTER)
        router.zap_domain = domain
        router.router_mandatory = True
        router.linger = 0
        router.maxmsgsize = self._limits.max_pixels * 16
        router.rcvhwm = 16  # large frames wait with the client, not here
        router.sndhwm = 256
        router.handshake_ivl = round(self._bounds.handshake_seconds * 1000)
        router.heartbeat_ivl = 10_000  # the leases notice a dead client; this notices a dead connection
        router.heartbeat_timeout = 30_000
        self.watch.add(self._context, router, mark.decode())
        return router

    # --- who comes ----------------------------------------------------------------------------------------------------

    @property
    def routers(self) -> list[zmq.Socket[bytes]]:
        """Where messages come."""
        return list(self._routers.values())

    @property
    def sockets(self) -> list[zmq.Socket[bytes]]:
        """What to poll for reading; then call `attend`, and `receive` until there is nothing more."""
        return [*self.routers, self.gate.socket, *self.watch.monitors]

    def attend(self, ready: dict[Any, int]) -> int:
        """See to handshakes and connections that are due. Returns how many strangers were hung up on."""
        if self.gate.socket in ready and (peer := self.gate.answer()):
            self.watch.hear()
            self.watch.turn_away(peer, REMOTE.decode())
        if any(monitor in ready for monitor in self.watch.monitors):
            self.watch.hear()
        return self.watch.look_at_strangers() if self.watch.strangers else 0

    def tick(self, undelivered_bytes: int) -> list[bytes]:
        """Hang up on who stands still, and on whose key is allowed no longer. See `Watch.look_at_known`.

        Returns the clients that were hung up on.
        """
        self.watch.look_at_known(undelivered_bytes, lambda client: self._unread[client])
        if self.remote_endpoints:
            self.watch.look_at_users(self.gate.keys())
        return self.watch.hung_up()

    # --- messages -----------------------------------------------------------------------------------------------------

    def receive(self) -> tuple[bytes, list[zmq.Frame]] | None:
        """(client, frames) of one message of whoever has one, or None if there is no more now.

        Of one of more frames than any may have, one more than that many: the others are dropped, some at a time.
        """
        for mark, router in [*self._routers.items()]:
            received = self._receive(mark, router)
            if received is not None:
                self._routers[mark] = self._routers.pop(mark)  # the other one first the next time
                return received
        return None

    def _receive(self, mark: bytes, router: zmq.Socket[bytes]) -> tuple[bytes, list[zmq.Frame]] | None:
        if mark in self._half_read and not self._drop_rest(mark, router):
            return None
        try:
            first = router.recv(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        client = mark + first.bytes
        frames: list[zmq.Frame] = []
        last = first
        while last.more and len(frames) <= 1 + self._limits.max_frames:
            last = router.recv(copy=False)  # what has begun to come is all there
            frames.append(last)
        if last.more:
            self._half_read.add(mark)
        self.watch.heard(client, first)
        return client, frames

    def _drop_rest(self, mark: bytes, router: zmq.Socket[bytes]) -> bool:
        """Of a message of too many frames. False if that is not all of them yet."""
        for _ in range(_DROPPED_AT_ONCE):
            if not router.recv(copy=False).more:
                self._half_read.discard(mark)
                return True
        return False

    def send(self, client: bytes, message: Message, blocks: Sequence[Block] = ()) -> Delivery:
        """Hand a message to libzmq. On FULL the blocks stay with the caller, else they are released in time."""
        size = sum(map(len, blocks))
        if blocks and self._unread[client] and self._unread[client] + size > self._bounds.unread_bytes:
            return Delivery.FULL
        router, more = self._routers[client[:1]], zmq.NOBLOCK | zmq.SNDMORE
        try:
            router.send(client[1:], more)  # only this first part can fail
        except zmq.Again:
            return Delivery.FULL
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            for block in blocks:
                block.release()
            return Delivery.GONE
        router.send(codec.encode(message), more if blocks else zmq.NOBLOCK)
        for number, block in enumerate(blocks, 1):
            frame = zmq.Frame(block.view, copy=False, track=True)
            assert frame.tracker is not None
            self._sending.append((frame.tracker, block, client))
            self._unread[client] += len(block)
            router.send(frame, more if number < len(blocks) else zmq.NOBLOCK, copy=False)
        return Delivery.SENT

    @property
    def busy(self) -> bool:
        """Whether libzmq still reads from segments, or there is more to drop."""
        return bool(self._sending or self._half_read)

    def collect(self) -> None:
        """Give back the segments that libzmq has finished with."""
        if self._sending:
            sending, self._sending = self._sending, []
            for tracker, block, client in sending:
                if tracker.done:
                    self._unread[client] -= len(block)
                    if not self._unread[client]:
                        del self._unread[client]
                    block.release()
                else:
                    self._sending.append((tracker, block, client))

    def close(self, linger_ms: int = 300) -> None:
        """Close; what is on its way gets so long to leave."""
        for router in self._routers.values():
            router.close(linger=linger_ms)
        self.watch.close()
        self.gate.close()
        self._context.term()
        for _, block, _ in self._sending:
            block.release()
        self._sending.clear()
        if self._socket_path is not None:
            with contextlib.suppress(OSError):
                self._socket_path.unlink()


def _bind(router: zmq.Socket[bytes], endpoint: str) -> str:
    """Listen there; the endpoint with its port. Raises PortTaken."""
    try:
        router.bind(endpoint)
    except zmq.ZMQError as error:
        place = f"port {port}" if (port := endpoint.rpartition(":")[2]) != "*" else endpoint
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"{place} is taken by another program; choose another, or none") from error
        raise PortTaken(f"{place} cannot be opened: {error}") from error
    return router.getsockopt_string(zmq.LAST_ENDPOINT)


# --- where the ipc socket lies ----------------------------------------------------------------------------------------


def socket_path(home: Path) -> Path | None:
    """Where the ipc socket of the daemon of this home goes; None where there are no such sockets, or no safe place.

    The name follows from `home`, so that a daemon killed outright leaves a file that the next one takes over.
    """
    if sys.platform == "win32" or not zmq.has("ipc"):
        return None
    name = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16] + ".sock"
    for folder in _folders(home):
        if len(os.fsencode(folder / name)) <= _MAX_PATH_BYTES and _is_private(folder):
            return folder / name
    log.warning("no private folder for an ipc socket: tcp only")
    return None


def _folders(home: Path) -> list[Path]:
    folders = [home / "run"] if os.environ.get("SAMOVAR_HOME") else []
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        folders.append(Path(runtime) / "samovar")
    if sys.platform != "win32":
        folders.append(Path(tempfile.gettempdir()) / f"samovar-{os.getuid()}")
    return folders


def _is_private(folder: Path) -> bool:
    """Make the folder if need be; true if it is ours alone. Never follows a link that somebody left in /tmp."""
    if sys.platform == "win32":
        return False
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except OSError as error:
        log.info("folder %s cannot be used: %s", folder, error)
        return False
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077
    if not private:
        log.warning("folder %s is not used: it must be a folder of this user with mode 0700", folder)
    return private
