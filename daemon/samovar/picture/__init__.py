"""Picture files in and out: PNG, TIFF, JPEG and WebP, with what a file holds beside its pixels.

Rules:
1. Pixels are numbers as the file has them, taken as sRGB-encoded; an embedded profile is carried over, not applied.
   So what goes in with a wide profile comes out with the same one. Only CMYK and Lab are converted, to sRGB.
2. Depth and channels are kept: 8 and 16 bit, float; gray, gray with alpha, RGB, RGBA; a palette is expanded. Where the
   output's format cannot hold them, the nearest it can is written and a notice says so.
3. Alpha is straight. A picture comes out upright: EXIF orientation is applied on reading.
4. Nothing is decoded before the header was checked against the limits.
5. A file is replaced whole or not at all.

Importing this imports no pyvips, which takes longer than the rest of the CLI together; reading and writing do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samovar_link.messages import Raster

FORMATS = {".png": "png", ".tif": "tiff", ".tiff": "tiff", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}
"""Format by file name extension."""


class PictureError(Exception):
    """A file cannot be read or written. The message is one sentence: which file, what about it, what to do."""


@dataclass(frozen=True)
class Metadata:
    """What a file holds beside its pixels.

    fields : libvips name -> (GType, value), profile and EXIF among them
    x_dots_per_mm, y_dots_per_mm : resolution
    """

    fields: Mapping[str, tuple[int, Any]] = field(default_factory=dict)
    x_dots_per_mm: float = 72 / 25.4
    y_dots_per_mm: float = 72 / 25.4


@dataclass(frozen=True)
class Picture:
    """Pixels in memory, laid out as `raster` says.

    notices : sentences for the user about what could not be carried over
    """

    raster: Raster
    pixels: memoryview
    metadata: Metadata = field(default_factory=Metadata)
    notices: tuple[str, ...] = ()


def format_of(path: Path) -> str:
    """The format that a file name asks for. Raises PictureError for another extension."""
    if path.suffix.lower() not in FORMATS:
        raise PictureError(f"{path}: no picture format with this extension; use one of {', '.join(FORMATS)}.")
    return FORMATS[path.suffix.lower()]
