"""The broker's one loop: polls sockets, worker and wake-ups, and hands everything to the dispatcher.

Nothing in here waits for anything but the poll itself, and every step it takes is short, so that a ping is answered
at once whatever the worker does.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable

import zmq

from samovar.broker.dispatcher import Dispatcher
from samovar.broker.door import Door
from samovar.broker.errands import Errands
from samovar.broker.heap import LARGE_BYTES, Heap
from samovar.broker.intake import Offer
from samovar.broker.mover import Mover
from samovar.broker.port import Bounds, Identity
from samovar.broker.watch import LOOK_SECONDS
from samovar.broker.worker import WorkerSlot
from samovar.broker.worker_process import COMMAND, WorkerProcess
from samovar.segment import SegmentPool

log = logging.getLogger(__name__)

_BUSY_TICK_SECONDS = 0.05
_IDLE_TICK_SECONDS = 1.0
_THEN_SECONDS = 3.0
_MESSAGES_PER_ROUND = 32


class Loop:
    """wake : writing a byte to it (the signal handler does) makes the loop look round;
    now_and_then : called every few seconds"""

    def __init__(
        self,
        heap: Heap,
        door: Door,
        offer: Offer,
        identity: Identity,
        bounds: Bounds,
        worker_command: tuple[str, ...] = COMMAND,
    ) -> None:
        self._door = door
        self._wake_read, self.wake = socket.socketpair()
        self._wake_read.setblocking(False)
        self.wake.setblocking(False)
        self._heap = heap
        self._pool = SegmentPool(0, time.monotonic)
        self._mover = Mover(self._pool, self.nudge)
        self._slot = WorkerSlot(self._pool, self._mover, worker_command)
        self._errands = Errands(self.nudge)
        self._dispatcher = Dispatcher(
            offer, identity, door.send, self._slot, self._errands, time.monotonic, self.stop, bounds
        )
        self._slot.said = self._dispatcher.worker_said
        self._slot.gone = self._dispatcher.worker_gone
        self._poller = zmq.Poller()
        for end in (*door.sockets, self._wake_read):
            self._poller.register(end, zmq.POLLIN)
        self._watched: WorkerProcess | None = None
        self._polled: list[int] = []
        self._stopping = False
        self._next_tick = 0.0
        self.now_and_then: Callable[[], None] = lambda: None
        self._next_then = time.monotonic() + _THEN_SECONDS

    def stop(self) -> None:
        """End the loop after this round. Safe in a signal handler."""
        self._stopping = True
        self.nudge()

    def nudge(self) -> None:
        """Wake the loop. Safe on any thread."""
        with contextlib.suppress(OSError):  # it is full: then it has plenty to wake up for; or closed: it has ended
            self.wake.send(b"\0")

    def run(self) -> None:
        """Until `stop`. Then every client is told, and the worker ended."""
        try:
            while not self._stopping:
                self._round()
            self._dispatcher.say_goodbye()
        finally:
            self._slot.close()
            self._errands.close()
            self._mover.close()
            self._mover.deliver()
            self._door.close()
            self._pool.close()
            self._wake_read.close()
            self.wake.close()

    def _round(self) -> None:
        self._watch_worker()
        ready = dict(self._poller.poll(self._patience_ms()))
        self._door.collect()
        if self._door.attend(ready):
            self._heap.used(LARGE_BYTES, time.monotonic())  # they may have made it grow
        if self._wake_read.fileno() in ready:
            self._drain_wake()
            self._mover.deliver()
            self._errands.deliver()
        self._serve_worker(ready)
        if any(router in ready for router in self._door.routers):
            self._take_messages()
        if time.monotonic() >= self._next_tick:
            self._tick()

    def _patience_ms(self) -> int:
        seconds = max(0.0, self._next_tick - time.monotonic())
        return round(min(seconds, LOOK_SECONDS if self._door.watch.strangers else seconds) * 1000)

    def _tick(self) -> None:
        self._dispatcher.tick()
        self._slot.tick()
        self._pool.expire()
        self._heap.tick(time.monotonic())
        for client in self._door.tick(self._heap.in_use() - self._dispatcher.waiting_bytes):
            self._dispatcher.hung_up(client)
        if time.monotonic() >= self._next_then:
            self._next_then = time.monotonic() + _THEN_SECONDS
            self.now_and_then()
        often = self._dispatcher.busy or self._door.busy or self._slot.leaving
        self._next_tick = time.monotonic() + (_BUSY_TICK_SECONDS if often else _IDLE_TICK_SECONDS)

    def _drain_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._wake_read.recv(4096):
                pass

    def _take_messages(self) -> None:
        for _ in range(_MESSAGES_PER_ROUND):
            received = self._door.receive()
            if received is None:
                break
            client, frames = received
            if frames:
                self._heap.used(sum(map(len, frames)), time.monotonic())
                try:
                    self._dispatcher.receive(client, frames[0].buffer, frames[1:])
                except Exception:  # of the answer to one that could not be handled
                    log.exception("a message could not be handled")
        self._next_tick = min(self._next_tick, time.monotonic() + _BUSY_TICK_SECONDS)

    def _watch_worker(self) -> None:
        """Keep the poller in step with the worker, which comes and goes."""
        worker = self._slot.current
        if worker is not self._watched:
            for descriptor in self._polled:  # closed by now, and the numbers may be in use again
                self._poller.unregister(descriptor)
            self._polled = [] if worker is None else worker.descriptors()
            for descriptor in self._polled:
                self._poller.register(descriptor, zmq.POLLIN)
            self._watched = worker
        if worker is not None:
            events = zmq.POLLIN | (zmq.POLLOUT if worker.channel.wants_write else 0)
            self._poller.modify(self._polled[0], events)

    def _serve_worker(self, ready: dict[object, int]) -> None:
        worker = self._watched
        if worker is None or worker is not self._slot.current:
            return
        channel, stderr = self._polled[0], self._polled[-1]
        if stderr != channel and stderr in ready and not worker.read_log():
            self._poller.unregister(stderr)
            self._polled.pop()
        if channel in ready:
            worker.channel.flush()
            self._slot.read()
