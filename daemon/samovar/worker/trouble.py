"""The one place that recognises that memory ran out, and what goes on after it went wrong once."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from samovar import descriptors
from samovar_link.errors import RemoteError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, by type wherever there is one; torch's CPU allocator raises a bare RuntimeError."""
    if isinstance(error, MemoryError):
        return True
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return type(error) is RuntimeError and "DefaultCPUAllocator" in str(error)


def may_go_on(error: BaseException) -> bool:
    """Whether what comes after an error in this process may fail as well, however sound it is: a device fails until its
    process ends, and so does a library that found no file to open when it began. True of all that nobody foresaw."""
    foreseen = isinstance(error, RemoteError) or is_out_of_memory(error)
    return not foreseen or any(descriptors.are_out(each) for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
