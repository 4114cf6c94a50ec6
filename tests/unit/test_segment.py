"""Shared memory: sizes, reuse, bounds."""

from __future__ import annotations

import gc
import os
import stat
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.segment import SMALLEST_BYTES, Segment, SegmentPool, capacity_for


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(1, 1 << 40))
def test_a_size_class_holds_its_size_and_wastes_at_most_a_quarter(size: int) -> None:
    capacity = capacity_for(size)
    assert capacity >= size and capacity >= SMALLEST_BYTES
    assert capacity == SMALLEST_BYTES or capacity <= size * 1.25 + 1
    assert capacity_for(capacity) == capacity


def test_the_peer_maps_the_same_memory() -> None:
    made = Segment.create(0, SMALLEST_BYTES)
    assert isinstance(made.handle, int)
    attached = Segment.attach(0, SMALLEST_BYTES, os.dup(made.handle))
    made.view[5:8] = b"abc"
    assert bytes(attached.view[4:9]) == b"\0abc\0"
    made.close()
    assert bytes(attached.view[5:8]) == b"abc", "the mapping outlives the descriptor"


@pytest.mark.skipif(sys.platform != "linux", reason="memfd")
def test_memory_is_for_this_user_only_and_has_no_name() -> None:
    made = Segment.create(0, SMALLEST_BYTES)
    assert isinstance(made.handle, int)
    status = os.fstat(made.handle)
    assert stat.S_IMODE(status.st_mode) == 0o600 and status.st_nlink == 0 and status.st_uid == os.geteuid()
    made.close()


def test_memory_is_used_again_in_its_size_class() -> None:
    pool = SegmentPool(0, Clock())
    first = pool.take(100_000)
    id = first.segment.id
    first.release()
    first.release()
    assert (pool.used_bytes, pool.free_bytes) == (0, capacity_for(100_000))
    assert pool.take(99_000).segment.id == id
    assert pool.take(99_000).segment.id == id + 2, "the first one is in use"


def test_memory_in_use_is_not_handed_out_until_the_last_user_lets_go() -> None:
    pool = SegmentPool(0, Clock())
    block = pool.take(10)
    id = block.segment.id
    assert pool.hold(id) is block.segment
    block.release()
    assert pool.free_bytes == 0 and pool.take(10).segment.id != id
    pool.release(id)
    assert pool.free_bytes > 0 and pool.hold(id) is None


def test_what_lies_unused_is_bounded_in_bytes_and_the_oldest_goes_first() -> None:
    pool = SegmentPool(0, Clock(), keep_bytes=2 * SMALLEST_BYTES)
    gone: list[int] = []
    pool.dropped = gone.append
    blocks = [pool.take(10) for _ in range(3)]
    for block in blocks:
        block.release()
    assert gone == [blocks[0].segment.id] and pool.free_bytes == 2 * SMALLEST_BYTES


def test_what_lies_unused_for_long_goes() -> None:
    clock = Clock()
    pool = SegmentPool(1, clock, keep_seconds=30)
    gone: list[int] = []
    pool.dropped = gone.append
    pool.take(10).release()
    clock.now = 29
    pool.expire()
    assert gone == []
    clock.now = 30
    pool.expire()
    assert gone == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_a_closed_pool_leaves_neither_descriptors_nor_maps() -> None:
    def held() -> tuple[int, int]:
        gc.collect()
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), maps.read().count("memfd:samovar")

    before = held()
    pool = SegmentPool(0, Clock())
    blocks = [pool.take(size) for size in (10, 1 << 20, 1 << 22)]
    blocks[0].release()
    assert held() > before
    pool.close()
    del blocks
    assert held() == before


def test_memory_that_cannot_be_had_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="no shared memory for"):
        SegmentPool(0, Clock()).take(1 << 62)


def test_shared_bytes_are_free_when_all_have_let_go() -> None:
    pool = SegmentPool(0, Clock())
    block = pool.take(10)
    second = block.share()
    third = second.share()
    second.view[:3] = b"abc"
    assert bytes(third.view[:3]) == b"abc" and third.address == block.address
    for each in (second, second, block):
        each.release()
    assert pool.free_bytes == 0, "one still holds it"
    third.release()
    assert pool.free_bytes == SMALLEST_BYTES
    with pytest.raises(AssertionError):
        third.share()
