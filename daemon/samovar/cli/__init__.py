"""The program `samovar`.

It must start as fast as a shell user expects, so nothing here imports torch, and pictures, operations and the daemon
are imported by the commands that need them. Errors are one line on stderr, never a traceback (SAMOVAR_DEBUG=1 shows
it). Exit codes: 0 done, 1 failed, 2 wrong usage, 130 cancelled.
"""

from __future__ import annotations

from .program import main

__all__ = ["main"]
