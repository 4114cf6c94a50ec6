"""What a client says, up to the point where somebody does it: decoded, from a client that has introduced itself.

Whatever comes gets an answer, except what is no message at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from samovar import descriptors
from samovar.broker.intake import Offer
from samovar.broker.job import Clock, Frame
from samovar.broker.lease import Client, Leases
from samovar.broker.port import Identity, is_remote
from samovar_link import codec
from samovar_link.codec import UnknownKind
from samovar_link.errors import BadRequest, InternalError, OutOfMemory, ProtocolError, RemoteError, name_of
from samovar_link.messages import PROTOCOL, Failed, Hello, Message, Ping, Pong, Refused, Stop, Train

log = logging.getLogger(__name__)

Handler = Callable[[Client, Message, Sequence[Frame]], None]


LOCAL_ONLY = (Stop, Train)
"""What a program on another machine may not ask for: the daemon's end, and what this machine's user put down."""
_MAX_LOGGED = 1000


class Reception:
    """handlers : who takes which kind of message; has_job : whether a job is known, and so must not be failed here
    fail_own : ends a job of a client, if it has one of that name

    max_header_bytes : of frame 0; it bounds how long decoding holds up everybody else
    """

    def __init__(
        self, offer: Offer, identity: Identity, leases: Leases, send: Callable[[bytes, Message], None], clock: Clock,
        handlers: Mapping[type[Message], Handler], has_job: Callable[[str], bool],
        fail_own: Callable[[bytes, Failed], bool], max_header_bytes: int,
    ) -> None:  # fmt: skip
        self._offer = offer
        self._identity = identity
        self._leases = leases
        self._send = send
        self._clock = clock
        self._handlers = handlers
        self._has_job = has_job
        self._fail_own = fail_own
        self._max_header_bytes = max_header_bytes
        self._garbled: set[bytes] = set()

    def receive(self, client: bytes, header: bytes | memoryview, frames: Sequence[Frame]) -> None:
        """One message of a client, as it came. Whatever it can provoke must not end the daemon for the others."""
        try:
            self._receive(client, header, frames)
        except Exception as error:
            self._own_up(client, header, error)

    def _own_up(self, client: bytes, header: bytes | memoryview, error: Exception) -> None:
        """Nobody waits for ever for what a defect of ours stopped, or the system."""
        kind, job = codec.job_of(header)
        if descriptors.are_out(error):
            log.warning("%s refused: %s", kind, error)
            remote: RemoteError = OutOfMemory(*descriptors.NONE_LEFT)
        else:
            log.error("a message could not be handled", exc_info=error)
            words = f"{kind} could not be handled: {type(error).__name__}: {error}"
            remote = InternalError(words, self._identity.log_hint)
        failed = Failed(job, remote.code, remote.message, remote.hint)
        if kind != "Run" or not self._fail_own(client, failed):
            self._turn_down(client, header, remote)

    def _receive(self, client: bytes, header: bytes | memoryview, frames: Sequence[Frame]) -> None:
        known = self._leases.renew(client, self._clock())
        if len(header) > self._max_header_bytes:
            error = BadRequest.field("frame 0", f"{len(header)} bytes", f"at most {self._max_header_bytes} bytes")
            self._send(
                client, Refused(_kind(header), error.code, error.message, "pixels travel in frames of their own")
            )
            return
        try:
            message = codec.decode(header)
        except UnknownKind as error:
            self._send(client, Refused(error.kind, BadRequest.code, str(error), "update the daemon"))
        except ProtocolError as error:  # a ROUTER cannot hang up on one peer, so it is not listened to
            self._log_garbled(client, error)
        except BadRequest as error:
            self._turn_down(client, header, error)
        else:
            self._handle(client, known, message, frames)

    def _handle(self, id: bytes, known: Client | None, message: Message, frames: Sequence[Frame]) -> None:
        kind = type(message).__name__
        if isinstance(message, Hello):
            self._greet(id, message)
        elif isinstance(message, Ping):
            self._send(id, Pong(message.nonce))
        elif known is None:
            self._send(id, Refused(kind, BadRequest.code, f"{kind} came before Hello", "say Hello first"))
        elif isinstance(message, LOCAL_ONLY) and is_remote(id):
            fact = f"{kind} is not allowed from another machine"
            self._send(id, Refused(kind, BadRequest.code, fact, "run it on the machine where the daemon runs"))
        elif (handler := self._handlers.get(type(message))) is not None:
            handler(known, message, frames)
        elif not isinstance(message, Pong):
            self._send(id, Refused(kind, BadRequest.code, f"{kind} goes from daemon to client"))

    def _log_garbled(self, client: bytes, error: ProtocolError) -> None:
        if client not in self._garbled and len(self._garbled) < _MAX_LOGGED:
            self._garbled.add(client)
            log.warning("a client sent what is no message: %s (what else it sends of that kind is not logged)", error)

    def _greet(self, id: bytes, hello: Hello) -> None:
        client, version = name_of(hello.client, 80), name_of(hello.version)
        if hello.protocol != PROTOCOL:
            theirs = f"{client or 'the client'} {version}".strip()
            self._send(id, Refused(
                "Hello", "protocol", f"{theirs} speaks protocol {hello.protocol}, Samovar {self._identity.version} "
                f"speaks {PROTOCOL}", "update the older of the two, then restart both",
            ))  # fmt: skip
            return
        self._leases.greet(id, client, version, self._clock())
        self._send(id, self._offer.welcome(self._identity.version, self._identity.pid))

    def _turn_down(self, client: bytes, header: bytes | memoryview, error: RemoteError) -> None:
        """Answer a message that did not get as far as its handler's answer."""
        kind, job = codec.job_of(header)
        if kind == "Run" and job and not self._has_job(job):
            self._send(client, Failed(job, error.code, error.message, error.hint))
        else:
            self._send(client, Refused(kind, error.code, error.message, error.hint))


def _kind(header: bytes | memoryview) -> str:
    """What a message says it is, from its first bytes alone: msgpack's array of two, then a short text."""
    if len(header) < 2 or header[0] != 0x92 or header[1] >> 5 != 0b101:
        return ""
    return bytes(header[2 : 2 + (header[1] & 0x1F)]).decode(errors="replace")
