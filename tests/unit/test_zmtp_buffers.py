"""Blocks for large frames: whoever holds one keeps it, whoever lets go gives it to the next."""

from __future__ import annotations

import mmap
import sys

import pytest

from samovar_link import buffers
from samovar_link.buffers import KEEP_SECONDS, MAPPED_BYTES, Blocks

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every block is fresh")


@pytest.mark.parametrize("size", [1, MAPPED_BYTES - 1, MAPPED_BYTES, MAPPED_BYTES + 1])
def test_a_block_has_the_size_asked_for_and_can_be_written(size: int) -> None:
    block = Blocks().take(size, 0.0)
    assert block.nbytes == size and not block.readonly
    block[-1] = 7


def test_a_block_that_is_held_is_never_given_again() -> None:
    blocks = Blocks()
    held = blocks.take(MAPPED_BYTES, 0.0)[10:20]  # any part of it holds it
    held[:] = b"0123456789"
    other = blocks.take(MAPPED_BYTES, 0.0)
    other[:20] = bytes(20)
    assert bytes(held) == b"0123456789"


@linux_only
def test_a_block_that_was_let_go_comes_again() -> None:
    blocks = Blocks()
    first = blocks.take(MAPPED_BYTES + 5, 0.0)
    owner = first.obj
    del first
    assert blocks.take(MAPPED_BYTES, 1.0).obj is owner


@linux_only
def test_a_kernel_without_huge_pages_gives_plain_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", 9999)
    assert Blocks().take(MAPPED_BYTES, 0.0).nbytes == MAPPED_BYTES


def test_without_huge_pages_too_a_large_block_costs_nothing_until_it_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that only announces a frame must not have us write gigabytes of zeros."""
    monkeypatch.setattr(buffers, "_HUGE", False)
    block = Blocks().take(1 << 30, 0.0)
    assert isinstance(block.obj, mmap.mmap) and block.nbytes == 1 << 30


@linux_only
def test_a_block_of_very_different_size_is_not_reused() -> None:
    blocks = Blocks()
    owner = blocks.take(3 * MAPPED_BYTES, 0.0).obj
    assert blocks.take(MAPPED_BYTES, 0.0).obj is not owner


@linux_only
def test_a_block_nobody_asks_for_is_given_back_after_a_while() -> None:
    blocks = Blocks()
    owner = blocks.take(MAPPED_BYTES, 0.0).obj
    blocks.tick(KEEP_SECONDS + 0.1)
    assert blocks.take(MAPPED_BYTES, KEEP_SECONDS + 0.2).obj is not owner
