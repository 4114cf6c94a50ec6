"""The worker's process of a daemon with `--upstream`: between the broker's channel and the link, one loop.

It stands where `samovar.worker.process` stands otherwise, and the broker starts, watches and ends it in the same way.
It imports no torch, so it is there at once.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import time

import zmq

from samovar import descriptors, keys, parent
from samovar.channel import Channel, Ready, open_end
from samovar.segment import SegmentPool
from samovar.upstream.forwarder import Forwarder
from samovar.upstream.link import Keys, Link
from samovar_link import discovery
from samovar_link.messages import Stop

log = logging.getLogger(__name__)

_TICK_MS = 100
_LAST_WORDS_SECONDS = 0.3


def serve(channel: Channel, pool: SegmentPool, link: Link) -> None:
    """Until the broker says so or is gone."""
    forwarder = Forwarder(channel, pool, link)
    channel.send(Ready(f"at {link.host}"))
    while True:
        poller = zmq.Poller()
        for each in (channel.fileno(), *link.sockets()):
            poller.register(each, zmq.POLLIN)
        ready = dict(poller.poll(_TICK_MS))
        if channel.fileno() in ready:
            try:
                packets = channel.receive()
            except EOFError:
                break
            for message, blocks in packets:
                if isinstance(message, Stop):
                    forwarder.say_goodbye()
                    return
                forwarder.take(message, blocks)
        for message, frames in link.poll():
            forwarder.receive(message, frames)
        forwarder.tick()
        pool.expire()
    forwarder.say_goodbye()


def main(address: str, server_key: str, descriptor: str, broker_pid: int) -> None:
    """server_key : of the other daemon, Z85"""
    parent.die_with(broker_pid)
    descriptors.raise_limit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the broker decides
    faulthandler.enable()
    level = os.environ.get("SAMOVAR_LOG", "INFO").upper()
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stderr)
    own = keys.own(keys.CLIENT, discovery.home())
    pool = SegmentPool(1, time.monotonic)
    channel = Channel(open_end(descriptor), pool)
    link = Link(address, Keys(server_key.encode(), own.public.encode(), own.secret.encode()))
    try:
        serve(channel, pool, link)
    finally:
        link.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
