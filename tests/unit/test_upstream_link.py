"""The link to another daemon where it is lost at the worst moment; `test_daemon_upstream` has it with real daemons."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import cast

import pytest
import zmq

from samovar.channel import Channel, Said
from samovar.segment import Block, SegmentPool
from samovar.upstream.forwarder import WAITING, Forwarder
from samovar.upstream.link import Keys, Link
from samovar_link.messages import Cancel, Cancelled, Progress, Run, Welcome


class Broker:
    """Hears what the worker says."""

    def __init__(self) -> None:
        self.heard: list[Said] = []

    def send(self, message: Said, blocks: Sequence[Block] = ()) -> None:
        self.heard.append(message)


@pytest.fixture
def link() -> Iterator[Link]:
    """One that is not open."""
    public, secret = zmq.curve_keypair()
    made = Link("tcp://127.0.0.1:1", Keys(public, public, secret))
    yield made
    made.close()


def test_nothing_goes_over_a_link_that_is_lost(link: Link) -> None:
    assert not link.send(Cancel("a"), [b"pixels"])
    assert not link.sending


def test_a_link_that_is_lost_with_its_welcome_costs_no_job(link: Link) -> None:
    broker = Broker()
    forwarder = Forwarder(cast(Channel, broker), SegmentPool(1, time.monotonic), link)
    forwarder.take(Run("a", "identity"), [])
    forwarder.receive(Welcome(), ())  # the end of the connection came right after it

    forwarder.tick()
    [progress] = broker.heard
    assert isinstance(progress, Progress)
    assert (progress.job, progress.stage) == ("a", WAITING)

    forwarder.take(Cancel("a"), [])
    assert isinstance(broker.heard[-1], Cancelled)
