"""The broker's sockets: one ROUTER on ipc and tcp, and the check of the token.

Who may talk: libzmq hands each handshake's user name and password to the ZAP socket, which this loop serves. The ipc
socket lies in a folder of mode 0700 that belongs to this user; tcp listens on the loopback address only.

Results go out of shared memory without a copy: libzmq reads a segment in its own thread, and `Door` gives the
segment back when it is finished with it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import logging
import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import zmq

from samovar.broker.port import Delivery
from samovar.segment import Block
from samovar_link import codec
from samovar_link.messages import Limits, Message

log = logging.getLogger(__name__)

USER = b"samovar"
_MAX_PATH_BYTES = 106
_MAX_LOGGED_PEERS = 1000


class PortTaken(Exception):
    """The tcp port asked for is in use; the message is for the user."""


class Door:
    """Bound and open once constructed. Raises PortTaken."""

    def __init__(self, token: str, limits: Limits, socket_path: Path | None, port: int = 0) -> None:
        self._token = token.encode()
        self._refused: set[str] = set()
        self._sending: list[tuple[zmq.MessageTracker, Block]] = []
        self._socket_path = socket_path
        self._context = zmq.Context()
        self.zap = self._context.socket(zmq.REP)
        self.zap.linger = 0
        self.zap.bind("inproc://zeromq.zap.01")
        self.router = self._context.socket(zmq.ROUTER)
        try:
            # pyzmq opens a socket of its own for the first frame that is not copied: now, while there are descriptors.
            zmq.Frame(memoryview(bytearray(1)), copy=False, track=True)
            self._configure(limits)
            self.endpoints = tuple(self._bind(port))
        except BaseException:
            self.close(linger_ms=0)
            raise

    def _configure(self, limits: Limits) -> None:
        router = self.router
        router.plain_server = True
        router.zap_domain = b"samovar"
        router.router_mandatory = True
        router.linger = 0
        router.maxmsgsize = limits.max_pixels * 16
        router.rcvhwm = 16  # large frames wait with the client, not here
        router.sndhwm = 256
        router.handshake_ivl = 5000
        router.heartbeat_ivl = 10_000  # the leases notice a dead client; this notices a dead connection
        router.heartbeat_timeout = 30_000
        router.ipv6 = False

    def _bind(self, port: int) -> list[str]:
        endpoints = []
        if self._socket_path is not None:
            try:
                self.router.bind(f"ipc://{self._socket_path}")
                os.chmod(self._socket_path, 0o600)
                endpoints.append(f"ipc://{self._socket_path}")
            except zmq.ZMQError as error:
                log.warning("no ipc socket at %s: %s", self._socket_path, error)
        try:
            self.router.bind(f"tcp://127.0.0.1:{port or '*'}")
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(f"port {port} is taken by another program; choose another, or none") from error
            raise PortTaken(f"port {port} cannot be opened: {error}") from error
        endpoints.append(self.router.getsockopt_string(zmq.LAST_ENDPOINT))
        return endpoints

    # --- the token ----------------------------------------------------------------------------------------------------

    def check_token(self) -> None:
        """Answer one handshake, RFC 27."""
        version, request, _domain, address, _identity, mechanism, *credentials = self.zap.recv_multipart()
        allowed = (
            mechanism == b"PLAIN" and len(credentials) == 2
            and hmac.compare_digest(credentials[0], USER) & hmac.compare_digest(credentials[1], self._token)
        )  # fmt: skip
        if not allowed:
            self._log_refused(address.decode(errors="replace") or "a local process")
        code, text = (b"200", b"OK") if allowed else (b"400", b"wrong token")
        self.zap.send_multipart([version, request, code, text, b"", b""])

    def _log_refused(self, peer: str) -> None:
        if peer not in self._refused and len(self._refused) < _MAX_LOGGED_PEERS:
            self._refused.add(peer)
            log.warning("refused %s: wrong token (further attempts from there are not logged)", peer)

    # --- messages -----------------------------------------------------------------------------------------------------

    def receive(self) -> tuple[bytes, list[zmq.Frame]] | None:
        """(client, frames) of one message, or None if there is no more now."""
        try:
            client, *frames = self.router.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return client.bytes, frames

    def send(self, client: bytes, message: Message, blocks: Sequence[Block] = ()) -> Delivery:
        """Hand a message to libzmq. On FULL the blocks stay with the caller, else they are released in time."""
        more = zmq.NOBLOCK | zmq.SNDMORE
        try:
            self.router.send(client, more)  # only this first part can fail
        except zmq.Again:
            return Delivery.FULL
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            for block in blocks:
                block.release()
            return Delivery.GONE
        self.router.send(codec.encode(message), more if blocks else zmq.NOBLOCK)
        for number, block in enumerate(blocks, 1):
            frame = zmq.Frame(block.view, copy=False, track=True)
            assert frame.tracker is not None
            self._sending.append((frame.tracker, block))
            self.router.send(frame, more if number < len(blocks) else zmq.NOBLOCK, copy=False)
        return Delivery.SENT

    @property
    def sending(self) -> bool:
        """Whether libzmq still reads from segments."""
        return bool(self._sending)

    def collect(self) -> None:
        """Give back the segments that libzmq has finished with."""
        if self._sending:
            sending, self._sending = self._sending, []
            for tracker, block in sending:
                if tracker.done:
                    block.release()
                else:
                    self._sending.append((tracker, block))

    def close(self, linger_ms: int = 300) -> None:
        """Close; what is on its way gets so long to leave."""
        self.router.close(linger=linger_ms)
        self.zap.close(linger=0)
        self._context.term()
        for _, block in self._sending:
            block.release()
        self._sending.clear()
        if self._socket_path is not None:
            with contextlib.suppress(OSError):
                self._socket_path.unlink()


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
