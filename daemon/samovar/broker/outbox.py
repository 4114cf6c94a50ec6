"""Sending to clients that may be gone, or may not read.

A job's last answer is kept until its client reads again or its lease ends; anything else is worth nothing later. Who
leaves answers lying gets no further job computed meanwhile, so that what is kept for it is what was at work already.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from samovar.broker.port import Delivery, Send
from samovar.segment import Block
from samovar_link.messages import Cancelled, Done, Failed, Message

_MAX_KEPT = 512


class Outbox:
    """unreachable : told of each client that a message did not find"""

    def __init__(self, send: Send, unreachable: Callable[[bytes], None]) -> None:
        self._send = send
        self._unreachable = unreachable
        self._kept: dict[bytes, deque[tuple[Message, Sequence[Block]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._kept)

    def clients(self) -> list[bytes]:
        """Who has answers waiting."""
        return list(self._kept)

    def waits_for(self, client: bytes) -> bool:
        """Whether answers are kept that it has to read first."""
        return client in self._kept

    def send(self, client: bytes, message: Message, blocks: Sequence[Block] = ()) -> None:
        """Takes over the blocks."""
        kept = self._kept.get(client, ())
        outcome = Delivery.FULL if kept else self._send(client, message, blocks)
        if outcome is Delivery.GONE:
            self._unreachable(client)
        elif outcome is Delivery.FULL:
            if isinstance(message, (Done, Failed, Cancelled)) and len(kept) < _MAX_KEPT:
                self._kept.setdefault(client, deque()).append((message, blocks))
            else:
                release(blocks)

    def retry(self, client: bytes) -> bool:
        """Send what is kept for a client, as far as it goes. Whether that was all."""
        kept = self._kept[client]
        while kept:
            if self._send(client, *kept[0]) is Delivery.FULL:
                return False
            kept.popleft()
        del self._kept[client]
        return True

    def discard(self, client: bytes) -> None:
        """The client is gone for good."""
        for _, blocks in self._kept.pop(client):
            release(blocks)


def release(blocks: Sequence[Block]) -> None:
    for block in blocks:
        block.release()
