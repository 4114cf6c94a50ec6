"""The client: one connection to the daemon, for an event loop or for a program that just waits.

Rules for whoever edits this file:
1. No threads, and nothing here blocks except `receive`, `run` and `connect`.
2. In an event loop: call `pump()` when `fileno()` is readable, when it is writable while `wants_write`, and from a
   timer at least every half second. `pump` keeps to its budget also in the middle of a large frame.
3. Every way in which a connection can end (refused, closed, reset, silent, nonsense) becomes one `DaemonUnavailable`
   with one sentence for the user. What came before the end is delivered first; after it every call raises the same.
4. Endpoints are tried in order until one completes the handshake. A wrong token ends the search: it is the same
   for all of them. What is sent before `Welcome` waits here, because it may have to go to the next endpoint.
5. The daemon counts as silent only when nothing came for `SILENT_SECONDS` after a `Ping`, and what lies in the socket
   is read before judging: an editor that stood still itself must not blame the daemon.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Union

from . import codec, discovery
from .discovery import ConnectionFile
from .errors import BadRequest, DaemonUnavailable, ProtocolError, remote_error
from .messages import (
    PROTOCOL,
    Attach,
    Cancel,
    Cancelled,
    Done,
    Enough,
    Failed,
    Hello,
    Message,
    Ping,
    Pong,
    Progress,
    Refused,
    Run,
    Train,
    Welcome,
)  # fmt: skip
from .transport import CHUNK_BYTES, Transport, clock, wait
from .zmtp import Dealer, Event, HandshakeRefused, MessageReceived

log = logging.getLogger(__name__)

Buffer = Union[bytes, bytearray, memoryview]
Received = tuple[Message, list[memoryview]]

PING_SECONDS = 1.0
SILENT_SECONDS = 10.0
ENDPOINT_SECONDS = 5.0
"""To connect and shake hands with one endpoint before the next is tried."""

_BLOCKING_BUDGET = 0.05
_WAIT_SECONDS = 0.25
_ASK_SECONDS = 0.05
_CANCEL_SECONDS = 0.5
_CONNECT_PAUSE = 0.005
_START = "start it again with: samovar serve --detach"


class Client:
    """One connection. Not thread-safe.

    The constructor, too, raises DaemonUnavailable, namely if every endpoint refuses at once.
    """

    def __init__(self, connection: ConnectionFile, *, name: str, version: str) -> None:
        self.welcome: Welcome | None = None
        self.endpoint = ""
        self._daemon = f"Samovar {connection.version} (protocol {connection.protocol})"
        self._token = connection.token
        self._endpoints = deque(connection.endpoints)
        self._hello = Hello(protocol=PROTOCOL, client=name, version=version)
        self._waiting: list[list[Buffer]] = []  # sent before Welcome
        self._inbox: deque[Received] = deque()  # pumped by receive(), not yet taken
        self._failure: str | None = None
        self._refusals: list[str] = []
        self._transport: Transport | None = None
        self._dealer: Dealer
        self._last_ping = self._last_heard = clock()
        self._pinged: float | None = None
        self._next_endpoint()
        if self._failure is not None:
            raise DaemonUnavailable(self._failure)

    # --- for event loops --------------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """The socket; readable means: call `pump`. Another one after each endpoint that failed."""
        return -1 if self._transport is None else self._transport.fileno()

    @property
    def wants_write(self) -> bool:
        """Bytes wait to go out, or the connection is not made yet."""
        return self._transport is not None and (not self._transport.connected or self._dealer.wants_write)

    def pump(self, budget_seconds: float = 0.01) -> list[Received]:
        """Read and write what goes without waiting, for about `budget_seconds`; send heartbeats that are due.

        Returns whole messages. Raises DaemonUnavailable once the connection is gone.
        """
        messages = list(self._inbox)
        self._inbox.clear()
        if self._failure is None:
            self._exchange(messages, clock() + budget_seconds)
        if self._failure is not None and not messages:
            raise DaemonUnavailable(self._failure)
        return messages

    def send(self, message: Message, frames: Sequence[Buffer] = ()) -> None:
        """Queue a message. The buffers must not change until they are sent."""
        if self._failure is not None:
            raise DaemonUnavailable(self._failure)
        parts: list[Buffer] = [codec.encode(message), *frames]
        if self.welcome is None:
            self._waiting.append(parts)
        else:
            self._dealer.send(parts)

    # --- for programs that wait -------------------------------------------------------------------------------------

    def receive(self, deadline_seconds: float | None = None) -> Received:
        """The next message. TimeoutError when none came in time; None waits as long as the daemon lives."""
        end = None if deadline_seconds is None else clock() + deadline_seconds
        while not self._inbox:
            self._inbox.extend(self.pump(_BLOCKING_BUDGET))
            if self._inbox:
                break
            rest = _WAIT_SECONDS if end is None else min(_WAIT_SECONDS, end - clock())
            if rest <= 0:
                raise TimeoutError(f"nothing came from Samovar within {deadline_seconds} s")
            self._wait(rest)
        return self._inbox.popleft()

    def run(
        self, run: Run, frames: Sequence[Buffer] = (),
        on_progress: Callable[[Progress, list[memoryview]], None] | None = None,
        unwanted: Callable[[], bool] = lambda: False,
        enough: Callable[[], bool] = lambda: False,
    ) -> tuple[Done | Cancelled, list[memoryview]]:  # fmt: skip
        """Send a job and wait for its end. Messages that belong to anything else are dropped meanwhile.

        unwanted : asked several times a second; true cancels the job and ends the wait with `Cancelled`
        enough : asked as often; true ends a `live` job with what it has come to

        Raises RemoteError if it failed. Whatever `on_progress` raises (or Ctrl-C) cancels the job and comes through.
        """
        self.send(run, frames)
        return self._wait_for_end(run.job, "Run", on_progress, unwanted, enough, kept=run.keep_result)

    def attach(
        self, job: str, on_progress: Callable[[Progress, list[memoryview]], None] | None = None,
        unwanted: Callable[[], bool] = lambda: False,
        enough: Callable[[], bool] = lambda: False,
    ) -> tuple[Done | Cancelled, list[memoryview]]:  # fmt: skip
        """Take up a job whose connection was lost and wait for its end, as `run` does. Raises UnknownJob as well."""
        self.send(Attach(job))
        return self._wait_for_end(job, "Attach", on_progress, unwanted, enough, kept=True)

    def train(
        self, job: str, on_progress: Callable[[Progress, list[memoryview]], None] | None = None
    ) -> tuple[Done | Cancelled, list[memoryview]]:
        """Have a training carried out, see `Train`, and wait for its end, as `run` does; or follow one under way."""
        self.send(Train(job))
        return self._wait_for_end(job, "Train", on_progress, lambda: False, lambda: False, kept=False)

    def _wait_for_end(
        self, job: str, request: str, on_progress: Callable[[Progress, list[memoryview]], None] | None,
        unwanted: Callable[[], bool], enough: Callable[[], bool], *, kept: bool,
    ) -> tuple[Done | Cancelled, list[memoryview]]:  # fmt: skip
        """kept : the daemon is told when the result is here, so that it needs to keep it no longer"""
        ended = told = False
        try:
            while not unwanted():
                if not told and enough():
                    self.send(Enough(job))
                    told = True
                try:
                    message, images = self.receive(_ASK_SECONDS)
                except TimeoutError:
                    continue
                if isinstance(message, Refused) and message.kind == request:
                    ended = True
                    raise remote_error(message.code, message.message, message.hint)
                if getattr(message, "job", None) != job:
                    continue
                ended = isinstance(message, (Cancelled, Failed)) or (isinstance(message, Done) and not kept)
                if isinstance(message, Failed):
                    raise remote_error(message.code, message.message, message.hint)
                if isinstance(message, (Done, Cancelled)):
                    return message, images
                if isinstance(message, Progress) and on_progress is not None:
                    on_progress(message, images)
            return Cancelled(job), []
        finally:
            if not ended:
                self._give_up(job)

    def close(self) -> None:
        """Close at once; what is not sent is lost. Closing twice is fine."""
        if self._failure is None:
            self._failure = "The connection to Samovar was closed; open a new one."
        self._drop_transport()
        self._waiting.clear()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _give_up(self, job: str) -> None:
        """Want nothing more of a job. Get a Cancel out, also when the end of a large frame is still before it."""
        end = clock() + _CANCEL_SECONDS
        with contextlib.suppress(DaemonUnavailable):
            self.send(Cancel(job))
            while clock() < end:
                self._inbox.extend(self.pump(_BLOCKING_BUDGET))
                if not self.wants_write:
                    break
                self._wait(end - clock())

    def _wait(self, seconds: float) -> None:
        if self._transport is None:
            return
        if self._transport.connected:
            wait(self._transport.fileno(), seconds, write=self._dealer.wants_write)
        else:  # an unconnected socket may count as ready all the time
            time.sleep(min(seconds, _CONNECT_PAUSE))

    # --- one round of reading and writing ---------------------------------------------------------------------------

    def _exchange(self, messages: list[Received], end: float) -> None:
        try:
            while self._transport is not None and self._step(messages) and clock() < end:
                pass
            self._see_to_time()
        except HandshakeRefused:
            self._fail(
                "Samovar refused this client's token: it was restarted or is another user's; "
                "try again, and if that does not help, restart it with: samovar stop && samovar serve --detach"
            )
        except (OSError, ProtocolError) as error:
            self._lost(error)

    def _step(self, messages: list[Received]) -> bool:
        """Read once, write once. False when neither went."""
        assert self._transport is not None
        if not self._transport.advance():
            return False
        came = self._read(messages)
        return self._write() or came

    def _read(self, messages: list[Received]) -> bool:
        assert self._transport is not None
        count = self._transport.read_into(self._dealer.receive_buffer())
        if count is None:
            return False
        if count == 0:
            raise ConnectionResetError("the daemon closed the connection")
        self._last_heard, self._pinged = clock(), None
        for event in self._dealer.received(count, self._last_heard):
            self._take(event, messages)
        return True

    def _write(self) -> bool:
        buffers = self._dealer.outgoing(CHUNK_BYTES)
        if self._transport is None or not buffers:
            return False
        count = self._transport.write(buffers)
        if not count:
            return False
        self._dealer.sent(count)
        if self._pinged is not None:  # it takes what we say: the Ping may be behind that
            self._pinged = clock()
        return True

    def _take(self, event: Event, messages: list[Received]) -> None:
        if not isinstance(event, MessageReceived):
            assert self._transport is not None
            self.endpoint = self._transport.endpoint
            self._dealer.send([codec.encode(self._hello)])
            return
        try:
            message = codec.decode(event.frames[0])
            if isinstance(message, (Progress, Done)):  # an editor is not to read beyond its pixels
                codec.check_rasters(message.images, [len(frame) for frame in event.frames[1:]], codec.ANY_SIZE)
        except codec.UnknownKind as error:  # a newer daemon may say more than we know
            log.info("skipped a message: %s", error)
            return
        except BadRequest as error:
            raise ProtocolError(str(error)) from error
        if isinstance(message, Ping):
            self._dealer.send([codec.encode(Pong(message.nonce))])
            return
        if isinstance(message, Welcome):
            self._begin(message)
        elif isinstance(message, Refused) and self.welcome is None:
            hint = f" ({message.hint})" if message.hint else ""
            ours = f"this program {self._hello.version} (protocol {PROTOCOL})"
            self._fail(f"{self._daemon} refused {ours}: {message.message}{hint}")
        if self._failure is None:
            messages.append((message, event.frames[1:]))

    def _begin(self, welcome: Welcome) -> None:
        if welcome.protocol != PROTOCOL:
            self._fail(
                f"The running Samovar {welcome.version} speaks protocol {welcome.protocol}, this program "
                f"{self._hello.version} speaks {PROTOCOL}: update the older of the two, then restart both."
            )
            return
        self.welcome = welcome
        for parts in self._waiting:
            self._dealer.send(parts)
        self._waiting.clear()

    def _see_to_time(self) -> None:
        if self._transport is None:
            return
        now = clock()
        if self._transport.connected:
            self._dealer.tick(now)
        if self.welcome is None:
            if now - self._started > ENDPOINT_SECONDS:
                raise TimeoutError("no answer in time")
        elif self._pinged is not None:
            if now - self._pinged > SILENT_SECONDS:
                raise TimeoutError(f"no sign of life for {now - self._last_heard:.0f} s")
        elif now - self._last_ping >= PING_SECONDS:  # one at a time: a daemon that reads none is not helped by more
            self._last_ping = self._pinged = now
            self._dealer.send([codec.encode(Ping())])
            self._write()  # at once, for the caller may not come back soon

    # --- endpoints and ends -----------------------------------------------------------------------------------------

    def _next_endpoint(self) -> None:
        while self._endpoints:
            endpoint = self._endpoints.popleft()
            try:
                self._transport = Transport(endpoint)
            except OSError as error:
                self._refusals.append(f"{endpoint}: {_words(error)}")
                continue
            self._started = clock()
            self._dealer = Dealer(now=self._started, password=self._token)
            return
        tried = "; ".join(self._refusals) or "its connection file names no endpoint"
        self._fail(f"Samovar does not answer ({tried}); {_START}")

    def _lost(self, error: Exception) -> None:
        """The connection is gone: try the next endpoint if the daemon never greeted, else say so."""
        if self.welcome is None and self._transport is not None:
            self._refusals.append(f"{self._transport.endpoint}: {_words(error)}")
            self._drop_transport()
            self._next_endpoint()
        else:
            self._fail(f"Samovar went away ({_words(error)}); {_START}")

    def _fail(self, sentence: str) -> None:
        self._failure = sentence
        self._drop_transport()

    def _drop_transport(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
            self._dealer.close()


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(error).__name__


def connect(name: str, version: str, deadline_seconds: float = 2.0) -> Client:
    """Find the daemon and wait for its Welcome. Raises DaemonUnavailable within the deadline."""
    end = clock() + deadline_seconds
    _, connection = discovery.find()
    client = Client(connection, name=name, version=version)
    try:
        while client.welcome is None:
            client.receive(max(0.0, end - clock()))
    except TimeoutError as error:
        client.close()
        raise DaemonUnavailable(
            f"Samovar (process {connection.pid}) did not answer within {deadline_seconds:g} s; "
            "if it hangs, end that process and start it again with: samovar serve --detach"
        ) from error
    except BaseException:
        client.close()
        raise
    return client
