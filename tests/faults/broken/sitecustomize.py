"""Loaded by every Python of a daemon under test, ahead of all else: breaks what the system gives while a file says so.

In the folder SAMOVAR_FAULTS: `clock` holds the seconds by which the wall clock is wrong, `no-shared-memory` has every
new segment refused as where memory has run out. And the worker is not lowered in priority, so that on a machine with
other work faults find it at work, not waiting for its turn.
"""

import errno
import os
import time

_FOLDER = os.environ.get("SAMOVAR_FAULTS", "")

if _FOLDER:
    _true_time, _true_memfd_create = time.time, getattr(os, "memfd_create", None)

    def _time() -> float:
        try:
            with open(os.path.join(_FOLDER, "clock")) as file:
                return _true_time() + float(file.read() or 0)
        except (OSError, ValueError):  # not there, or just being written
            return _true_time()

    def _memfd_create(name: str, flags: int = os.MFD_CLOEXEC if hasattr(os, "MFD_CLOEXEC") else 0) -> int:
        if os.path.exists(os.path.join(_FOLDER, "no-shared-memory")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return _true_memfd_create(name, flags)

    time.time = _time
    if _true_memfd_create is not None:
        os.memfd_create = _memfd_create
    os.nice = lambda increment: 0
