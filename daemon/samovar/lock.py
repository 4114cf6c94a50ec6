"""The daemon's lock: one per home folder, freed by the system when the process dies, whatever way.

`filelock`, which the folder of models uses, imports asyncio and sqlite: 70 ms of the 300 in which the daemon is to
answer. This is all of it that is needed here, and the two respect each other's locks.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

NAME = "daemon.lock"
_PAUSE_SECONDS = 0.05


class Taken(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def held(path: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock during the `with` block. Raises Taken, OSError if the file cannot be made."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + patience_seconds
        while not _take(descriptor):
            if time.monotonic() >= deadline:
                raise Taken
            time.sleep(_PAUSE_SECONDS)
        yield
    finally:
        os.close(descriptor)  # which frees it


def is_held(path: Path) -> bool:
    """Whether some process holds it."""
    if not path.is_file():
        return False
    try:
        with held(path):
            return False
    except Taken:
        return True


def _take(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
