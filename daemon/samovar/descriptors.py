"""How many files a process may have open. Each piece of shared memory is one or two, each client another; the usual
1024 would be used up long before the memory is."""

from __future__ import annotations

import contextlib
import sys

WANTED = 1 << 16


def raise_limit() -> None:
    """As many as this user may have, 65536 at most. Where there is no such limit nothing happens."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS has another limit below the one that it tells
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
