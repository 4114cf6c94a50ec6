"""Fingerprints of pictures: 64 bits that hardly change where a picture is packed, scaled, or made a little darker.

Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", thesis, Hagenberg 2010: the hash
by DCT, which is that of pHash. Left out is its filter of 7x7: making a picture small averages already.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

ALIKE = 4
"""Bits in which fingerprints of what looks the same may differ. Of 900 drawings, photographs and faces that were packed
anew (JPEG 30), halved or darkened, one in 500 differed in more; of 1600 different drawings and photographs none had
another within 6."""
_SIDE = 32
_WAVES = np.cos(np.pi / (2 * _SIDE) * np.outer(np.arange(1, 9), 2 * np.arange(_SIDE) + 1))
"""(8, 32): the longest waves of the DCT, without the mean."""
_LUMA = (0.299, 0.587, 0.114)
_DIGITS = 6
"""Behind the point, of a wave's strength: a picture of one colour has none, not what rounding leaves."""
_ROOM = 1024


def of(pixels: npt.NDArray[np.uint8]) -> int:
    """The fingerprint of a picture. pixels : (h, w, 3) uint8"""
    planes = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None]  # (1, 3, h, w)
    small = functional.interpolate(planes, (_SIDE, _SIDE), mode="bicubic", antialias=True)
    gray = np.tensordot(_LUMA, small[0].numpy(), 1)  # (32, 32)
    strength = (_WAVES @ gray @ _WAVES.T).round(_DIGITS)  # (8, 8)
    return int.from_bytes(np.packbits(strength > np.median(strength)).tobytes(), "big")


class Seen:
    """Fingerprints so far. alike : bits in which two of them may differ and count as one; -1: none counts as another's

    A new one is held against all, at once: 8 bytes each, so that 20,000 take 160 KB and 0.1 ms.
    """

    def __init__(self, alike: int) -> None:
        self._alike = alike
        self._all = np.zeros(_ROOM, np.uint64)
        self._count = 0

    def add(self, fingerprint: int) -> None:
        if self._count == len(self._all):
            self._all = np.concatenate((self._all, np.zeros_like(self._all)))
        self._all[self._count] = fingerprint
        self._count += 1

    def has(self, fingerprint: int) -> bool:
        """Whether there is one like it."""
        differing = ones(self._all[: self._count] ^ np.uint64(fingerprint))
        return bool((differing <= self._alike).any())


def ones(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """How many bits of each are set. (`numpy.bitwise_count` came with numpy 2.)

    Source: Warren, "Hacker's Delight", 2nd edition 2012, figure 5-2, for 64 bits.
    """
    pairs, quads, bytes_, sums = (
        np.uint64(each)
        for each in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x0101010101010101)
    )  # fmt: skip
    one, two, four, top = (np.uint64(each) for each in (1, 2, 4, 56))
    numbers = numbers - ((numbers >> one) & pairs)
    numbers = (numbers & quads) + ((numbers >> two) & quads)
    numbers = (numbers + (numbers >> four)) & bytes_
    return ((numbers * sums) >> top).astype(np.int64)
