"""Pictures to work on: a photograph, at any size and never twice the same."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""(H, W, 3), sRGB-encoded."""


def photograph(side: int, turn: int = 0) -> Picture:
    """scikit-image's astronaut, scaled to (side, side, 3).

    Scaled, not repeated: in a picture that repeats itself, one tile's result could serve for another.

    turn : shifts the picture, so that no result of an earlier turn fits; the content stays the same
    """
    import pyvips
    from skimage import data

    image = pyvips.Image.new_from_array(data.astronaut())  # type: ignore[no-untyped-call]
    scaled = image.resize(side / image.width, kernel="cubic").numpy().astype(np.uint8)
    shift = turn * 37 % side
    return np.ascontiguousarray(np.roll(scaled, (shift, shift), (0, 1)))


def frame(picture: Picture) -> memoryview:
    """Its bytes, as they travel."""
    return picture.data.cast("B")


def with_alpha(picture: Picture) -> Picture:
    """(H, W, 4), opaque, as editors hand over a layer."""
    return np.dstack((picture, np.full(picture.shape[:2], 255, np.uint8)))


def with_stroke(picture: Picture, share: float = 0.01, place: tuple[float, float] = (1 / 3, 1 / 4)) -> Picture:
    """The picture after a scribble within a square of `share` of its area, whose corner is at a share of (y, x)."""
    changed = picture.copy()
    side = picture.shape[0]
    box = max(4, round(side * math.sqrt(share)))
    brush = max(1, box // 12)
    for step in range(4 * box):
        x = round(step / (4 * box) * (box - brush))
        y = round((0.5 + 0.5 * math.sin(step / box * 3 * math.pi)) * (box - brush))
        top, left = int(side * place[0]) + y, int(side * place[1]) + x
        changed[top : top + brush, left : left + brush, :3] = (30, 20, 60)
    return changed


def save(picture: Picture, path: Path) -> None:
    import pyvips

    pyvips.Image.new_from_array(picture).write_to_file(str(path))


def load(path: Path) -> Picture:
    import pyvips

    pixels: Picture = pyvips.Image.new_from_file(str(path)).numpy()
    return pixels[..., :3]


def psnr(one: Picture, other: Picture) -> float:
    """Peak signal to noise ratio in dB; infinite for equal pictures."""
    difference = one.astype(np.float32) - other.astype(np.float32)
    error = float(np.mean(difference * difference))
    return math.inf if not error else 10 * math.log10(255 * 255 / error)
