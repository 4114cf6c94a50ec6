"""Whose a file is, and who else may read it: asked before anything in it is believed.

A connection file says where pixels go and with which token. One that somebody else wrote would send them to somebody
else, and one that others can read is no secret. Asked of the open file, so that it is the one that is read, whatever
its name stands for a moment later. Windows keeps both by where the file lies; there is nothing to ask.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from .errors import DaemonUnavailable


def read_private(path: Path, what: str) -> str:
    """The text of a file that belongs to this user alone.

    what : how the sentence calls it: "connection file"

    Raises FileNotFoundError, another OSError or ValueError if it cannot be read, DaemonUnavailable if it is another
    user's or others may read it.
    """
    with path.open(encoding="utf-8") as file:
        if sys.platform != "win32":
            fault = fault_of(os.fstat(file.fileno()))
            if fault is not None:
                raise DaemonUnavailable(f"Samovar's {what} {path} {fault.format(path=path)}")
        return file.read()


def fault_of(status: os.stat_result) -> str | None:
    """What is wrong with the owner or mode of a file, with "{path}" where its path belongs; None if nothing is."""
    if sys.platform == "win32":
        return None
    if status.st_uid != os.geteuid():
        return (
            f"belongs to another user (number {status.st_uid}, this one is {os.geteuid()}), so it is not used; "
            "delete it, or run this program as that user."
        )
    if status.st_mode & 0o077:
        return (
            f"can be read by other users (mode {stat.S_IMODE(status.st_mode):04o}), so it is not used; "
            "run: chmod 600 {path}, and restart Samovar with: samovar stop; samovar serve --detach"
        )
    return None
