"""Pixels packed for a slow link: when, and that nothing but what was packed comes out."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import zstandard

from samovar.packing import LEAST_BYTES, Packer, opened, unpack
from samovar_link import codec
from samovar_link.errors import BadRequest
from samovar_link.messages import Limits, Raster

FLAT = memoryview(bytes(1 << 20))
NOISE = memoryview(np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8).tobytes())
SLOW, FAST = 1e6, 1e12


def test_what_shrinks_is_packed_on_a_slow_link_only() -> None:
    assert Packer(SLOW).pack(FLAT) is not None
    assert Packer(FAST).pack(FLAT) is None
    assert Packer(SLOW).pack(NOISE) is None
    assert Packer(SLOW).pack(FLAT[: LEAST_BYTES - 1]) is None


def test_how_fast_a_link_is_is_learned_from_what_it_took() -> None:
    packer = Packer(100e6)
    packer.sent(1000, 1e-9)
    assert packer.link_bytes_per_second == 100e6, "the system takes so little at once"
    for _ in range(30):
        packer.sent(10 << 20, 0.001)
    assert packer.link_bytes_per_second > 5e9 and packer.pack(FLAT) is None


def test_images_are_closed_and_opened_again() -> None:
    images = {"image": Raster(512, 512, 4), "mask": Raster(8, 8, 1, frame=1)}
    frames = [FLAT, memoryview(bytes(range(64)))]
    told, packed = Packer(SLOW).closed(images, frames)
    assert told["image"].packed == "zstd" and told["mask"] == images["mask"]
    assert len(packed[0]) < 1000 and packed[1] is frames[1]
    codec.check_images(told, [len(frame) for frame in packed], Limits())
    back, pixels = opened(told, packed, lambda size: memoryview(bytearray(size)))
    assert back == images and [bytes(each) for each in pixels] == [bytes(each) for each in frames]


@pytest.mark.parametrize("size", [0, 1, 99_999, 100_001, 1 << 40])
def test_what_says_that_it_holds_something_else_is_refused(size: int) -> None:
    packed = zstandard.ZstdCompressor(1).compress(bytes(min(size, 1 << 20)))
    with pytest.raises(BadRequest, match="packed frame holds"):
        unpack(memoryview(packed), memoryview(bytearray(100_000)))


def test_what_lies_about_how_much_is_in_it_is_refused_without_taking_more() -> None:
    """The frame says 1000 and holds 64 MB, or the other way round."""
    honest = zstandard.ZstdCompressor(1).compress(bytes(64 << 20))
    assert honest[4] >> 6 == 2 and honest[6:10] == (64 << 20).to_bytes(4, "little"), "another layout than thought"
    lying = honest[:6] + (1000).to_bytes(4, "little") + honest[10:]
    short = zstandard.ZstdCompressor(1).compress(bytes(1 << 20))
    for packed, size in ((lying, 1000), (short[:6] + (2 << 20).to_bytes(4, "little") + short[10:], 2 << 20)):
        target = memoryview(bytearray(size))
        tracemalloc.start()
        with pytest.raises(BadRequest, match="packed frame"):
            unpack(memoryview(packed), target)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


@pytest.mark.parametrize("damage", [b"", b"\x28\xb5\x2f\xfd", b"nonsense" * 20])
def test_what_is_none_is_refused(damage: bytes) -> None:
    with pytest.raises(BadRequest, match="packed frame"):
        unpack(memoryview(damage), memoryview(bytearray(100)))


def test_a_broken_one_is_refused() -> None:
    packed = bytearray(zstandard.ZstdCompressor(1).compress(bytes(NOISE[:1000]) * 1000))
    packed[len(packed) // 2] ^= 0xFF
    target = memoryview(bytearray(1_000_000))
    try:
        unpack(memoryview(packed[:-3]), target)
    except BadRequest as error:
        assert "packed frame" in str(error)
    else:
        pytest.fail("cut off, and taken for whole")


@pytest.mark.parametrize(
    ("packed", "size", "says"),
    [("gzip", 10, "allowed: nothing, zstd"), ("zstd", 0, "fewer than"), ("zstd", 48, "fewer than")],
)
def test_what_is_announced_is_checked_before_anything_is_unpacked(packed: str, size: int, says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        codec.check_images({"image": Raster(4, 4, 3, packed=packed)}, [size], Limits())
