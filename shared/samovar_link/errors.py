"""What can go wrong between an editor and the daemon, and whose fault it was.

    RemoteError                  may cross the wire as `Failed` or `Refused`: code, message, hint
    ├── BadRequest               the client's fault      -> names the field, the value, what is allowed
    ├── OutOfMemory              the job is too big      -> hint: smaller scope, other model
    ├── ModelUnavailable         weights missing/damaged -> hint: the command that gets them
    ├── Busy                     the queue is full       -> hint: wait, or cancel something
    ├── WorkerCrashed            the worker died twice   -> hint: where the log is
    ├── UnknownJob               nothing to attach to    -> hint: run it again
    └── InternalError            our bug                 -> hint: where the log is
    ProtocolError                bytes or frames that are no message: drop the connection, log it
    DaemonUnavailable            client side: not found, did not start, other protocol version, went away

`JobCancelled` is not here: it never leaves the worker. A cancelled job is answered with `Cancelled`,
because doing what the user asked is not an error.
"""

from __future__ import annotations

import reprlib
from typing import ClassVar

_SHOWN_CHARACTERS = 80
_repr = reprlib.Repr()  # of what a peer sent: however deep and long that is, this is quick and does not raise
_repr.maxlevel = 3
_repr.maxstring = _repr.maxother = _repr.maxlong = 4 * _SHOWN_CHARACTERS
_repr.maxlist = _repr.maxtuple = _repr.maxdict = 20


class RemoteError(Exception):
    """An error the daemon reports to the client that asked.

    code : stable identifier on the wire, one per class
    message : one sentence of facts
    hint : what the user can do, possibly empty
    """

    code: ClassVar[str] = "remote"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class BadRequest(RemoteError):
    """The request cannot be carried out as it stands."""

    code = "bad-request"

    @classmethod
    def field(cls, name: str, value: object, allowed: str, hint: str = "") -> BadRequest:
        """The usual form: which field, what it held, what it may hold."""
        shown = _repr.repr(value)
        if len(shown) > _SHOWN_CHARACTERS:
            shown = shown[: _SHOWN_CHARACTERS - 3] + "..."
        return cls(f"{name} is {shown}; allowed: {allowed}", hint)


def name_of(text: str, most: int = 40) -> str:
    """Text that a peer chose, as a sentence or a line of the log may hold it: short, and without a line break."""
    return (text if text.isprintable() else repr(text[:most])[1:-1])[:most]


class OutOfMemory(RemoteError):
    """The job does not fit, even in the smallest tiles."""

    code = "out-of-memory"


class ModelUnavailable(RemoteError):
    """Weights are missing or damaged."""

    code = "model-unavailable"


class Busy(RemoteError):
    """The queue is full."""

    code = "busy"


class WorkerCrashed(RemoteError):
    """The worker process died under this job, and again on its retry."""

    code = "worker-crashed"


class UnknownJob(RemoteError):
    """A job that is not here: it never came, is over and not kept, or is another connection's now."""

    code = "unknown-job"


class InternalError(RemoteError):
    """A defect of the daemon."""

    code = "internal"


class ProtocolError(Exception):
    """The peer sent something that is not our protocol. The connection is of no further use."""


class DaemonUnavailable(Exception):
    """No usable daemon: none found, it did not start, it speaks another version, or it went away.

    The message is one sentence for the user and says what to do.
    """


REMOTE_ERRORS: dict[str, type[RemoteError]] = {
    cls.code: cls for cls in (BadRequest, OutOfMemory, ModelUnavailable, Busy, WorkerCrashed, UnknownJob, InternalError)
}


def remote_error(code: str, message: str, hint: str = "") -> RemoteError:
    """The exception for a code read from the wire; an unknown code (newer daemon) gives plain `RemoteError`."""
    return REMOTE_ERRORS.get(code, RemoteError)(message, hint)
