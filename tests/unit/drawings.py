"""Pictures for the tests of `samovar train prepare`: different ones, each with something in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from samovar.picture import Picture, reading, writing
from samovar_link.messages import Raster


def drawing(seed: int, height: int = 80, width: int = 100) -> npt.NDArray[np.uint8]:
    """Patches of colour with grain, as no two seeds have them: (height, width, 3)"""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(40, 216, (height // 8 + 1, width // 8 + 1, 3))
    large = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
    return np.clip(large + generator.integers(-12, 13, large.shape), 0, 255).astype(np.uint8)


def save(pixels: npt.NDArray[Any], path: Path) -> Path:
    """pixels : (h, w, 1..4) uint8"""
    path.parent.mkdir(parents=True, exist_ok=True)
    writing.write(Picture(Raster(*pixels.shape), np.ascontiguousarray(pixels).data.cast("B")), path)
    return path


def load(path: Path) -> npt.NDArray[np.uint8]:
    picture = reading.read(path)
    raster = picture.raster
    return np.frombuffer(picture.pixels, np.uint8).reshape(raster.height, raster.width, raster.channels)
