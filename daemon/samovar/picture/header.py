"""Tells what a file is from its first bytes, whatever its name says."""

from __future__ import annotations

import struct
from pathlib import Path

from samovar_link.messages import Limits

from . import PictureError

_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def identify(path: Path) -> str:
    """One of png, tiff, jpeg and webp. Raises PictureError if it is none, is missing or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except FileNotFoundError:
        raise PictureError(f"{path}: there is no such file; check the name.") from None
    except IsADirectoryError:
        raise PictureError(f"{path} is a folder, not a picture.") from None
    except OSError as error:
        raise PictureError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    if head.startswith(_PNG):
        _check_png(path, head)
        return "png"
    if head.startswith(_TIFF):
        return "tiff"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    raise PictureError(f"{path} is not a picture that Samovar reads; convert it to PNG, TIFF, JPEG or WebP.")


def check_size(path: Path, width: int, height: int, limits: Limits) -> None:
    """Raises PictureError for a size that the daemon would refuse."""
    if width < 1 or height < 1:
        raise PictureError(f"{path} has no pixels: it says it is {width}x{height}; check where it came from.")
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise PictureError(
            f"{path} is too large: {width}x{height}, at most {limits.max_pixels} pixels and {limits.max_side} a side; "
            "cut it into parts."
        )


def _check_png(path: Path, head: bytes) -> None:
    """The one thing libpng refuses without saying why."""
    if len(head) >= 24 and head[12:16] == b"IHDR":
        width, height = struct.unpack(">II", head[16:24])
        if not (width and height):
            check_size(path, width, height, Limits())
