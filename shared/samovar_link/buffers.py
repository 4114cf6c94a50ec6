"""Memory for large frames."""

from __future__ import annotations


def allocate(size: int) -> memoryview:
    """`size` writable bytes of arbitrary content."""
    return memoryview(bytearray(size))
