"""A process that is to end with the one that started it, whatever that dies of."""

from __future__ import annotations

import os
import signal
import sys

VARIABLE = "SAMOVAR_PARENT"
"""Holds the broker's process id, for the programs that it runs beside its worker."""


def die_with(pid: int) -> None:
    """End this process when its parent, `pid`, ends. Also one that stands still: no other signal reaches it then.

    Linux only. Elsewhere a process notices by the end of what it is connected with.
    """
    if sys.platform != "linux":
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != pid:  # it died before the line above
        os._exit(0)
