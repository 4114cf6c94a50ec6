"""Memory that broker and worker share, so that pixels cross between them without a copy.

Rules for whoever edits this file:
1. A segment has no name another user could guess: an anonymous memfd on Linux, an unlinked file of mode 0600 on other
   Unix systems, both handed over as file descriptors; on Windows a mapping under a random name (written for the day
   Samovar is tried there, not tested yet).
2. The process that made a segment pools it. It is in use while its count of users is above zero: a fresh mapping of
   64 MB costs more in page faults than in copying, so a segment is mapped once and used again and again.
3. What a pool keeps unused is bounded in bytes and in time, and the peer is told when a segment is gone.

The broker copies pixels on another thread and the worker learns of returned segments on one, hence the lock.
"""

from __future__ import annotations

import copy
import ctypes
import mmap
import os
import secrets
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass

SMALLEST_BYTES = 1 << 16


def capacity_for(size_bytes: int) -> int:
    """The size class: the next of four steps per doubling, so that a slightly larger layer fits the same segment."""
    if size_bytes <= SMALLEST_BYTES:
        return SMALLEST_BYTES
    step = 1 << max((size_bytes - 1).bit_length() - 3, 0)
    return -(-size_bytes // step) * step


class Segment:
    """One piece of shared memory, mapped into this process.

    handle : file descriptor (Unix) or name (Windows) by which the peer maps it too; None in a process that got it
    users : how many hold it; the pool that made it may hand it out again at zero
    """

    def __init__(self, id: int, capacity: int, mapping: mmap.mmap, handle: int | str | None) -> None:
        self.id = id
        self.capacity = capacity
        self.view = memoryview(mapping)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        self.handle = handle
        self.users = 0
        self.idle_since = 0.0

    @classmethod
    def create(cls, id: int, capacity: int) -> Segment:
        """Fresh memory, zeroed."""
        if sys.platform == "win32":
            name = f"samovar-{secrets.token_hex(16)}"
            return cls(id, capacity, mmap.mmap(-1, capacity, tagname=name), name)
        if sys.platform == "linux":
            descriptor = os.memfd_create("samovar", os.MFD_CLOEXEC)
            os.fchmod(descriptor, 0o600)  # it is made 0777, for whoever gets to see /proc/PID/fd
        else:
            descriptor, path = tempfile.mkstemp(prefix="samovar-")
            os.unlink(path)
        try:
            os.ftruncate(descriptor, capacity)
            return cls(id, capacity, mmap.mmap(descriptor, capacity), descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def attach(cls, id: int, capacity: int, handle: int | str) -> Segment:
        """Map what the peer made. A descriptor is closed: the mapping keeps the memory."""
        if sys.platform == "win32":
            return cls(id, capacity, mmap.mmap(-1, capacity, tagname=str(handle)), None)
        try:
            return cls(id, capacity, mmap.mmap(int(handle), capacity), None)
        finally:
            os.close(int(handle))

    def close(self) -> None:
        """Forget it. The mapping itself goes with the last view of it that somebody still holds."""
        if isinstance(self.handle, int):
            os.close(self.handle)
        self.handle = None
        self.view = memoryview(b"")


@dataclass
class _Hold:
    """What blocks that are shared have in common."""

    released: Callable[[], None]
    count: int = 1


class Block:
    """Bytes of a segment, held by somebody until `release`."""

    def __init__(self, segment: Segment, offset: int, size_bytes: int, released: Callable[[], None]) -> None:
        self.segment = segment
        self.offset = offset
        self.view = segment.view[offset : offset + size_bytes]
        self._hold: _Hold | None = _Hold(released)

    def __len__(self) -> int:
        return len(self.view)

    @property
    def address(self) -> int:
        return self.segment.address + self.offset

    @property
    def memory_bytes(self) -> int:
        """What holding it costs."""
        return self.segment.capacity

    def share(self) -> Block:
        """The same bytes for somebody else: they are free when both have released them. For one thread."""
        assert self._hold is not None, "it was released"
        self._hold.count += 1
        return copy.copy(self)

    def release(self) -> None:
        """Give it back. The second call does nothing."""
        hold, self._hold = self._hold, None
        if hold is not None:
            hold.count -= 1
            if not hold.count:
                hold.released()


class SegmentPool:
    """The segments that this process made.

    first_id : 0 or 1; the broker's ids are even, the worker's odd, so one number names a segment in both
    keep_bytes, keep_seconds : how much may lie unused, and how long
    clock : seconds, monotonic
    """

    def __init__(
        self, first_id: int, clock: Callable[[], float], keep_bytes: int = 1 << 29, keep_seconds: float = 60.0
    ) -> None:
        self.dropped: Callable[[int], None] = lambda id: None
        self.parity = first_id % 2
        self._next_id = first_id
        self._clock = clock
        self._keep_bytes = keep_bytes
        self._keep_seconds = keep_seconds
        self._lock = threading.RLock()
        self._used: dict[int, Segment] = {}
        self._free: list[Segment] = []  # longest unused first

    @property
    def used_bytes(self) -> int:
        return sum(segment.capacity for segment in self._used.values())

    @property
    def free_bytes(self) -> int:
        return sum(segment.capacity for segment in self._free)

    def take(self, size_bytes: int) -> Block:
        """Memory for `size_bytes`, its content left over from before. Raises MemoryError if there is none."""
        capacity = capacity_for(size_bytes)
        with self._lock:
            segment = next((each for each in reversed(self._free) if each.capacity == capacity), None)
            if segment is not None:
                self._free.remove(segment)
            else:
                segment = self._create(capacity)
            self._used[segment.id] = segment
            segment.users = 1
        return Block(segment, 0, size_bytes, lambda: self.release(segment.id))

    def _create(self, capacity: int) -> Segment:
        try:
            segment = Segment.create(self._next_id, capacity)
        except OSError as error:
            raise MemoryError(f"no shared memory for {capacity} bytes: {error}") from error
        self._next_id += 2
        return segment

    def hold(self, id: int) -> Segment | None:
        """One more user of a segment in use; None if it is not."""
        with self._lock:
            segment = self._used.get(id)
            if segment is not None:
                segment.users += 1
            return segment

    def release(self, id: int) -> None:
        """One user fewer."""
        with self._lock:
            segment = self._used.get(id)
            if segment is None:
                return
            segment.users -= 1
            if segment.users == 0:
                del self._used[id]
                segment.idle_since = self._clock()
                self._free.append(segment)
        self.expire()

    def expire(self, keep_bytes: int | None = None) -> None:
        """Let go of what lay unused for too long, and of the oldest beyond the budget."""
        budget = self._keep_bytes if keep_bytes is None else keep_bytes
        with self._lock:
            oldest = self._clock() - self._keep_seconds
            gone = []
            while self._free and (self.free_bytes > budget or self._free[0].idle_since <= oldest):
                gone.append(self._free.pop(0))
        for segment in gone:
            segment.close()
            self.dropped(segment.id)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._free += self._used.values()
            self._used.clear()
        self.expire(keep_bytes=-1)
