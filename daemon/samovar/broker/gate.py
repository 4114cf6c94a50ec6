"""Who may come in: answers the handshakes of libzmq, RFC 27 (ZAP).

On the local sockets the token is asked for, on those for other machines a public key that is on the list. A key takes
the token's place there: whoever is to read the token would have to be on this machine.

1. Both are compared in a time that tells nothing, and the answer is the same whatever was wrong.
2. Whoever is refused is written to the log once, so that no flood fills the disk.
3. A machine that is refused by its key hears nothing at all (300 of RFC 27), as one that does not know the server's.
"""

from __future__ import annotations

import hmac
import logging

import zmq
from zmq.utils import z85

from samovar.keys import AllowList
from samovar_link.errors import DaemonUnavailable

log = logging.getLogger(__name__)

USER = b"samovar"
LOCAL_DOMAIN, REMOTE_DOMAIN = b"samovar", b"samovar-remote"
LOCAL_PROCESS = "a local process"
_MAX_LOGGED_PEERS = 1000


class Refusals:
    """Tells the log of each peer that was refused, once."""

    def __init__(self) -> None:
        self._peers: set[str] = set()

    def note(self, peer: str, why: str) -> None:
        if peer not in self._peers and len(self._peers) < _MAX_LOGGED_PEERS:
            self._peers.add(peer)
            log.warning("refused %s: %s (further attempts from there are not logged)", peer, why)


class Gate:
    """allowed : None where no socket asks for keys"""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], token: str, allowed: AllowList | None) -> None:
        self.refusals = Refusals()
        self._token = token.encode()
        self._allowed = allowed
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind("inproc://zeromq.zap.01")

    def answer(self) -> str:
        """Answer one handshake. Returns the other machine that was refused, or ""."""
        version, request, domain, address, _identity, mechanism, *credentials = self.socket.recv_multipart()
        peer = peer_of(address)
        user, refused, text = b"", b"400", b"wrong token"
        if domain == REMOTE_DOMAIN:
            refused, text = b"300", b""
            allowed = mechanism == b"CURVE" and self._knows_key(credentials)
            if allowed:
                user = z85.encode(credentials[0])
            else:
                self.refusals.note(peer, "its key is not allowed")
        else:
            allowed = mechanism == b"PLAIN" and self._is_token(credentials)
            if not allowed:
                self.refusals.note(peer, "wrong token")
        code, text = (b"200", b"OK") if allowed else (refused, text)
        self.socket.send_multipart([version, request, code, text, user, b""])
        return peer if domain == REMOTE_DOMAIN and not allowed else ""

    def _is_token(self, credentials: list[bytes]) -> bool:
        return (
            len(credentials) == 2
            and hmac.compare_digest(credentials[0], USER) & hmac.compare_digest(credentials[1], self._token)
        )  # fmt: skip

    def _knows_key(self, credentials: list[bytes]) -> bool:
        """Looks at the whole list, so that the time does not tell where in it a key stands."""
        if len(credentials) != 1 or len(credentials[0]) != 32:
            return False
        key = z85.encode(credentials[0])
        found = False
        for each in self.keys():
            found |= hmac.compare_digest(each.encode(), key)
        return found

    def keys(self) -> frozenset[str]:
        """The public keys that are let in, as the list says at this moment."""
        if self._allowed is None:
            return frozenset()
        try:
            return frozenset(self._allowed.names())
        except (DaemonUnavailable, OSError, ValueError) as error:
            log.error("nobody is let in from other machines: %s", error)
            return frozenset()

    def close(self) -> None:
        self.socket.close(linger=0)


def peer_of(address: bytes) -> str:
    """How the log calls who connects; libzmq tells an ip address, of a local process "localhost:UID:GID:PID"."""
    text = address.decode(errors="replace")
    return LOCAL_PROCESS if not text or text.startswith("localhost:") else text
