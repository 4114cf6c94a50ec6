"""Who is there. A client's every message renews its lease; when it runs out, the client's jobs end.

GIMP kills a cancelled plug-in outright and a crashed editor says nothing, so silence is the only sign there is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

_GONE_SECONDS = 1.0
_MAX_CLIENTS = 4096


@dataclass
class Client:
    """A client that said `Hello`. `gone_since`: a message to it found no peer, and none came from it since."""

    id: bytes
    name: str
    version: str
    heard: float
    gone_since: float | None = None


class Leases:
    """The clients, longest silent first. lease_seconds : how long silence is put up with."""

    def __init__(self, lease_seconds: float) -> None:
        self._lease_seconds = lease_seconds
        self._clients: OrderedDict[bytes, Client] = OrderedDict()

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._clients.values()))

    def greet(self, id: bytes, name: str, version: str, now: float) -> Client:
        """A client said `Hello`. The one that has been silent longest is forgotten when there are too many."""
        client = Client(id, name, version, now)
        self._clients[id] = client
        self._clients.move_to_end(id)
        if len(self._clients) > _MAX_CLIENTS:
            self._clients.popitem(last=False)
        return client

    def renew(self, id: bytes, now: float) -> Client | None:
        """A message came; None from a stranger."""
        client = self._clients.get(id)
        if client is not None:
            client.heard = now
            client.gone_since = None
            self._clients.move_to_end(id)
        return client

    def unreachable(self, id: bytes, now: float) -> None:
        """A message found no peer. It may be reconnecting, so the lease is shortened, not ended."""
        client = self._clients.get(id)
        if client is not None and client.gone_since is None:
            client.gone_since = now

    def end(self, id: bytes) -> None:
        """It does not come back under this name."""
        self._clients.pop(id, None)

    def get(self, id: bytes) -> Client | None:
        return self._clients.get(id)

    def present(self, now: float) -> int:
        """How many hold a lease."""
        return sum(not self.lapsed(client.id, now) for client in self)

    def lapsed(self, id: bytes, now: float) -> bool:
        """Whether a client's jobs have to end."""
        client = self._clients.get(id)
        if client is None or now - client.heard > self._lease_seconds:
            return True
        return client.gone_since is not None and now - client.gone_since > _GONE_SECONDS
