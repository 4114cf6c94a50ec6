"""How many files a process may have open. Each piece of shared memory is one or two, each client another; the usual
1024 would be used up long before the memory is.

And how few are too few to start with: libzmq ends the program where one of its sockets finds none left (4.3.5)."""

from __future__ import annotations

import contextlib
import errno
import os
import sys

from samovar_link.errors import DaemonUnavailable

WANTED = 1 << 16
FEWEST = 128
"""The daemon has 25 open before anybody comes, and clients, the worker and shared memory take more."""

NONE_LEFT = "no more files can be opened just now", "try again"
"""What a client is told, and what it can do."""


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


def check() -> None:
    """Raises DaemonUnavailable where there are too few to start."""
    if sys.platform == "win32":
        return
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY and soft < FEWEST:
        raise DaemonUnavailable(
            f"only {soft} files may be open at once, and the daemon needs {FEWEST}: allow it more (ulimit -n)"
        )


def are_out(error: BaseException) -> bool:
    """Whether this is how the system says that no more files may be opened, by this process or by all."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def need_one() -> None:
    """Raises OSError where no file can be opened just now. To be called before a file is blamed for what went wrong:
    many a library does not tell that reason from others."""
    os.close(os.open(os.devnull, os.O_RDONLY))
