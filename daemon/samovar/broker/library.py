"""The models on disk, as clients see them: fetched when somebody asks, looked at when somebody drops one in.

1. A model is fetched once for all who want it, and no longer than somebody does.
2. Everybody is told when the offer changed, whoever changed it: also `samovar models` in a shell.
3. What was dropped into the folder is looked at when nobody writes to it any more, one errand for all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from samovar.broker.intake import Offer
from samovar.broker.lease import Client, Leases
from samovar.broker.port import Errand, Errands, Identity
from samovar.weights import store
from samovar_link.errors import Busy, ModelUnavailable, RemoteError
from samovar_link.messages import Message, Pull, Pulled, Pulling, Refused, StopPull, Welcome

log = logging.getLogger(__name__)

MAX_PULLS = 4
LOOK_SECONDS, SETTLED_SECONDS = 1.0, 2.0


@dataclass
class _Fetching:
    """clients : who wants it; error : what it said before it failed"""

    clients: list[bytes]
    errand: Errand | None = None
    at: Pulling | None = None
    error: RemoteError | None = None
    ending: bool = False
    again: list[bytes] = field(default_factory=list)


class Library:
    def __init__(
        self, offer: Offer, identity: Identity, errands: Errands, send: Callable[[bytes, Message], None], leases: Leases
    ) -> None:
        self._offer = offer
        self._identity = identity
        self._errands = errands
        self._send = send
        self._leases = leases
        self._fetching: dict[str, _Fetching] = {}
        self._told: Welcome | None = None
        self._look_at = 0.0
        self._looking = False
        self._unreadable = False

    @property
    def busy(self) -> bool:
        return bool(self._fetching)

    # --- from clients -----------------------------------------------------------------------------------------------

    def pull(self, client: Client, pull: Pull) -> None:
        try:
            missing = self._offer.catalogue.get(pull.model).missing()
            if missing and pull.model not in self._fetching and len(self._fetching) >= MAX_PULLS:
                raise Busy(f"{len(self._fetching)} models are being fetched already", "wait for one of them")
        except RemoteError as error:
            self._refuse(client.id, error)
            return
        if not missing:
            self._send(client.id, Pulled(pull.model))
            return
        found = self._fetching.get(pull.model)
        if found is None:
            self._begin(pull.model, [client.id])
        elif found.ending:
            if client.id not in found.again:
                found.again.append(client.id)
        elif client.id not in found.clients:
            found.clients.append(client.id)
            if found.at is not None:
                self._send(client.id, found.at)

    def stop(self, client: Client, stop: StopPull) -> None:
        found = self._fetching.get(stop.model)
        if found is not None:
            self._give_up(stop.model, found, client.id)
        self._send(client.id, Pulled(stop.model, stopped=True))

    # --- fetching ---------------------------------------------------------------------------------------------------

    def _begin(self, model: str, clients: list[bytes]) -> None:
        log.info("fetching %s", model)
        found = self._fetching[model] = _Fetching(clients)
        found.errand = self._errands.start(
            ["models", "pull", "--json", model],
            lambda fields: self._said(found, model, fields),
            lambda reason: self._ended(found, model, reason),
        )

    def _give_up(self, model: str, found: _Fetching, client: bytes) -> None:
        for clients in (found.clients, found.again):
            if client in clients:
                clients.remove(client)
        if not found.clients and not found.ending:
            log.info("nobody wants %s any more", model)
            found.ending = True
            if found.errand is not None:
                found.errand.stop()

    def _said(self, found: _Fetching, model: str, fields: dict[str, Any]) -> None:
        if "have_bytes" in fields:
            found.at = Pulling(model, int(fields["have_bytes"]), int(fields["total_bytes"]))
            for client in found.clients:
                self._send(client, found.at)
        elif "message" in fields:
            found.error = ModelUnavailable(str(fields["message"]), str(fields.get("hint", "")))

    def _ended(self, found: _Fetching, model: str, reason: str) -> None:
        del self._fetching[model]
        self._tell_offer()
        if not reason:
            log.info("%s is here", model)
        elif not found.ending:
            log.warning("%s could not be fetched: %s", model, found.error or reason)
        for client in found.clients:
            if reason:
                self._refuse(client, found.error or ModelUnavailable(f"{model} could not be fetched: {reason}"))
            else:
                self._send(client, Pulled(model))
        if found.again:
            self._begin(model, found.again)

    def _refuse(self, client: bytes, error: RemoteError) -> None:
        self._send(client, Refused("Pull", error.code, error.message, error.hint))

    # --- the clock --------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """What is due because time passed."""
        for model, found in list(self._fetching.items()):
            for client in [*found.clients, *found.again]:
                if self._leases.lapsed(client, now):
                    self._give_up(model, found, client)
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look_at_new()
            self._tell_offer()

    def _look_at_new(self) -> None:
        if not self._looking and self._has_new():
            log.info("looking at what is new in %s", store.folder())
            self._looking = True
            self._errands.start(["models", "list", "--json"], lambda fields: None, self._looked)

    def _has_new(self) -> bool:
        """The folder may be unreadable, or no more files may be opened just now: that is no end of the daemon."""
        try:
            new = store.has_new(SETTLED_SECONDS)
        except OSError as error:
            if not self._unreadable:
                log.warning("the folder of models cannot be looked through: %s", error)
            self._unreadable = True
            return False
        self._unreadable = False
        return new

    def _looked(self, reason: str) -> None:
        self._looking = False
        if reason or self._has_new():  # what was found cannot be kept: not again and again
            log.warning("new files in %s could not be looked at: %s", store.folder(), reason or "nothing was kept")
            self._look_at += 60 * LOOK_SECONDS

    def _tell_offer(self) -> None:
        """To everybody, if it is not what was told last."""
        welcome = self._offer.welcome(self._identity.version, self._identity.pid)
        if self._told is not None and welcome != self._told:
            log.info("the models on offer have changed")
            for client in self._leases:
                self._send(client.id, welcome)
        self._told = welcome
