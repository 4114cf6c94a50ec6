"""Models in memory, as clients ask for them apart from their jobs: `Warm` and `Unload`.

1. A `Warm` goes to the worker only when no job waits or runs and the worker is ready; so it is in the way of no job
   but one that comes while it is at it.
2. The worker answers what it is asked in order. One `Warm` at a time is with it.
3. A `Warm` under which the worker died is not tried again, nor are those that wait, lest it dies of them for ever.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from samovar.broker.intake import Offer
from samovar.broker.lease import Client
from samovar.broker.port import Worker
from samovar_link.errors import Busy, RemoteError, WorkerCrashed
from samovar_link.messages import LoadedModel, Message, Refused, Unload, Unloaded, Warm, Warmed

log = logging.getLogger(__name__)


class Warmth:
    """send : to a client; is_gone : whether a client's lease has lapsed; held : the models in memory

    max_questions : `Unload`s of one client that may await the worker's answer
    """

    def __init__(
        self, offer: Offer, worker: Worker, send: Callable[[bytes, Message], None], is_gone: Callable[[bytes], bool],
        max_questions: int,
    ) -> None:  # fmt: skip
        self.held: tuple[LoadedModel, ...] = ()
        self._offer = offer
        self._worker = worker
        self._send = send
        self._is_gone = is_gone
        self._max_questions = max_questions
        self._waiting: OrderedDict[bytes, Warm] = OrderedDict()
        self._warming: bytes | None = None
        self._unloading: deque[bytes] = deque()

    # --- from clients -----------------------------------------------------------------------------------------------

    def warm(self, client: Client, warm: Warm) -> None:
        """Call `next` afterwards."""
        try:
            self._offer.check_warm(warm)
        except RemoteError as error:
            self._refuse([client.id], error)
        else:
            self._waiting[client.id] = warm

    def unload(self, client: Client, unload: Unload, *, job_runs: bool) -> None:
        try:
            self._offer.check_model(unload.model)
            if self._unloading.count(client.id) >= self._max_questions:
                raise Busy(f"{self._max_questions} Unloads of this client are not answered yet", "wait for those")
        except RemoteError as error:
            self._send(client.id, Refused("Unload", error.code, error.message, error.hint))
            return
        if self._worker.state == "none":
            self._send(client.id, Unloaded())
        elif unload.model or job_runs:
            self._unloading.append(client.id)
            self._worker.ask(unload)
        else:
            log.info("all models are unloaded for %s: the worker ends", client.name or "a client")
            gone = self._all_gone()
            for waiting in self._unloading:
                self._send(waiting, gone)
            self._unloading.clear()
            self._refuse(self._take_warms(), RemoteError("all models were unloaded meanwhile", "ask again"))
            self._worker.retire(lambda: self._send(client.id, gone))

    # --- from the worker --------------------------------------------------------------------------------------------

    def next(self) -> None:
        """No job waits or runs: have the worker warm something, and start it for that."""
        if not self._waiting:
            return
        try:
            self._worker.start()
        except RemoteError as error:
            self._refuse(self._take_warms(), error)
            return
        while self._waiting and self._warming is None and self._worker.state == "idle":
            client, warm = self._waiting.popitem(last=False)
            if not self._is_gone(client):
                self._warming = client
                self._worker.ask(warm)

    def said(self, message: Warmed | Unloaded | Refused) -> None:
        """The worker's answer. After a `Warm`, call `next`."""
        if isinstance(message, Unloaded) and self._unloading:
            self._send(self._unloading.popleft(), message)
        elif self._warming is not None:
            client, self._warming = self._warming, None
            self._send(client, message)

    def worker_gone(self, reason: str, *, under_job: bool) -> None:
        """The worker died, and with it went all models.

        under_job : a job ran, so what waits is not to blame
        """
        gone = self._all_gone()
        for client in self._unloading:
            self._send(client, gone)
        self._unloading.clear()
        error = WorkerCrashed(f"the worker died ({reason})")
        self._refuse(self._take_warms(all=not under_job), error)

    def _all_gone(self) -> Unloaded:
        held, self.held = self.held, ()
        return Unloaded(tuple(each.model for each in held), sum(each.size_bytes for each in held))

    def _take_warms(self, all: bool = True) -> list[bytes]:
        """Forget the one at hand, and those that wait if `all`; whose they were."""
        clients = [] if self._warming is None else [self._warming]
        self._warming = None
        if all:
            clients += self._waiting
            self._waiting.clear()
        return clients

    def _refuse(self, clients: Sequence[bytes], error: RemoteError) -> None:
        for client in clients:
            self._send(client, Refused("Warm", error.code, error.message, error.hint))
