"""What a process does that the broker started as its worker: take its end of the channel, and not outlive it."""

from __future__ import annotations

import os
import signal
import socket
import sys


def die_with_the_broker(broker_pid: int) -> None:
    """Linux ends us when the broker dies; elsewhere the end of the channel does, unless a kernel holds the GIL."""
    if sys.platform != "linux":
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != broker_pid:  # it died before the line above
        os._exit(0)


def open_channel(descriptor: str) -> socket.socket:
    """Our end of the channel, as the broker handed it over."""
    if sys.platform == "win32":
        return socket.fromshare(sys.stdin.buffer.read())
    return socket.socket(fileno=int(descriptor))
