"""Pixels made smaller for the way between two machines, where that takes less time than it saves.

Zstandard at level 1 makes drawings a tenth as large and photographs hardly smaller; which of the two a frame is shows a
sample of it. On a fast link nothing is packed.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from samovar_link.errors import BadRequest
from samovar_link.messages import PACKINGS, Raster

(ZSTD,) = PACKINGS
LEVEL = 1
SAMPLE_BYTES = 1 << 18
LEAST_BYTES = 1 << 16
"""Smaller frames are sent as they are."""
LINK_BYTES_PER_SECOND = 100e6
"""Of a link that nothing is known of: that of a usual network at home."""
MEASURED_BYTES = 1 << 20
"""What is smaller tells nothing of a link: the system takes it at once."""
_NEW_SHARE = 0.3
_MAX_WINDOW_BYTES = 1 << 23


class Packer:
    """Decides for one link whether a frame is packed. link_bytes_per_second : as last known"""

    def __init__(self, link_bytes_per_second: float = LINK_BYTES_PER_SECOND) -> None:
        self.link_bytes_per_second = link_bytes_per_second

    def pack(self, pixels: memoryview) -> bytes | None:
        """The frame to send instead, or None if packing does not pay. pixels : bytes, in one piece"""
        if len(pixels) < LEAST_BYTES:
            return None
        middle = max(0, (len(pixels) - SAMPLE_BYTES) // 2)
        sample = pixels[middle : middle + SAMPLE_BYTES]
        began = time.perf_counter()
        share = len(_compressor().compress(sample)) / len(sample)
        seconds_per_byte = (time.perf_counter() - began) / len(sample)
        if seconds_per_byte + share / self.link_bytes_per_second >= 1 / self.link_bytes_per_second:
            return None
        packed: bytes = _compressor().compress(pixels)
        return packed if len(packed) < len(pixels) else None

    def sent(self, size_bytes: int, seconds: float) -> None:
        """So long it took until the link had so much of it."""
        if size_bytes >= MEASURED_BYTES and seconds > 0:
            now = size_bytes / seconds
            self.link_bytes_per_second += _NEW_SHARE * (now - self.link_bytes_per_second)

    def closed(
        self, images: Mapping[str, Raster], frames: Sequence[memoryview]
    ) -> tuple[dict[str, Raster], list[memoryview]]:
        """A message's images and pixel frames, those of them packed that it pays for."""
        told, made = dict(images), list(frames)
        for role, raster in images.items():
            packed = self.pack(frames[raster.frame].cast("B"))
            if packed is not None:
                told[role], made[raster.frame] = dataclasses.replace(raster, packed=ZSTD), memoryview(packed)
        return told, made


def opened(
    images: Mapping[str, Raster], frames: Sequence[memoryview], allocate: Callable[[int], memoryview]
) -> tuple[dict[str, Raster], list[memoryview]]:
    """A message's images and pixel frames, none of them packed. Raises BadRequest, and what `allocate` raises."""
    told, made = dict(images), list(frames)
    for role, raster in images.items():
        if raster.packed:
            made[raster.frame] = allocate(raster.size_bytes)
            unpack(frames[raster.frame], made[raster.frame])
            told[role] = dataclasses.replace(raster, packed="")
    return told, made


def unpack(packed: memoryview, target: memoryview) -> None:
    """Fill `target`, with what it was packed from. Raises BadRequest if that is not exactly what is in it; never takes
    more memory than a window of 8 MB, whatever is claimed."""
    import zstandard

    try:
        size = zstandard.get_frame_parameters(packed).content_size
        if size != len(target):
            raise BadRequest(f"a packed frame holds {size} bytes, and its picture needs {len(target)}")
        reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).stream_reader(packed)
        filled = 0
        while filled < len(target) and (count := reader.readinto(target[filled:])):
            filled += count
        if filled < len(target) or reader.read(1):
            raise BadRequest(f"a packed frame holds {filled} bytes or more, and its picture needs {len(target)}")
    except zstandard.ZstdError as error:
        raise BadRequest(f"a packed frame cannot be read: {error}") from error


@functools.cache
def _compressor() -> Any:
    import zstandard

    return zstandard.ZstdCompressor(LEVEL)
