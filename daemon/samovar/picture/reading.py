"""A picture file to raw pixels, by libvips."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyvips

from samovar_link.messages import Limits, Raster

from . import Metadata, Picture, PictureError, header, tiff

pyvips.cache_set_max(0)  # it remembers files by name and would give an old picture for a new file

DTYPES = {"uchar": "u8", "ushort": "u16", "float": "f32"}
_AS_THEY_ARE = ("b-w", "srgb", "grey16", "rgb16", "scrgb", "rgb", "multiband")
_KEPT = ("icc-profile-data", "xmp-data", "iptc-data", "resolution-unit")
_KEPT_GROUPS = ("exif-", "png-comment-")
_UNSET = 1.0  # dots per mm that libvips gives a file which names none


def read(path: Path, limits: Limits | None = None) -> Picture:
    """Read a picture, upright and uncompressed.

    limits : what the daemon takes; a larger picture is refused before it is decoded

    Raises PictureError.
    """
    kind = header.identify(path)
    try:
        image = _open(path, kind)
        header.check_size(path, image.width, image.height, limits or Limits())
        pages = image.get("n-pages") if "n-pages" in image.get_fields() else 1
        metadata = _metadata(image, tiff.read_exif(path) if kind == "tiff" else None)
        image, metadata = _as_rgb(_upright(image), metadata)
        raster = _raster(path, image)
        pixels = memoryview(image.write_to_memory()).cast("B")
    except pyvips.Error as error:
        raise PictureError(f"{path} is damaged or cut short{reason(error)}; get it anew.") from error
    notices = (f"{path}: only the first of {pages} pages was read.",) if pages > 1 else ()
    return Picture(raster, pixels, metadata, notices)


def reason(error: Any) -> str:
    """The last thing libvips said, in brackets, if it said anything."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f" ({lines[-1]})" if len(lines) > 1 else ""


def _open(path: Path, kind: str) -> Any:
    # Named loaders take the path as it is; `new_from_file` would read options from "x[1]". "error" includes truncation.
    load = getattr(pyvips.Image, f"{kind}load")
    return load(os.fsencode(path), access="sequential", fail_on="error")


def _upright(image: Any) -> Any:
    turned = "orientation" in image.get_fields() and image.get("orientation") > 1
    return image.copy_memory().autorot() if turned else image  # rows come in another order: no longer sequential


def _as_rgb(image: Any, metadata: Metadata) -> tuple[Any, Metadata]:
    if image.format == "double":
        image = image.cast("float")
    if image.interpretation in _AS_THEY_ARE:
        return image, metadata
    if image.interpretation == "cmyk":
        depth = 16 if image.format == "ushort" else 8
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", depth=depth)
    else:
        image = image.colourspace("rgb16" if image.format == "ushort" else "srgb")
    kept = {name: value for name, value in metadata.fields.items() if name != "icc-profile-data"}
    return image, Metadata(kept, metadata.x_dots_per_mm, metadata.y_dots_per_mm)


def _raster(path: Path, image: Any) -> Raster:
    if image.bands > 4:
        raise PictureError(f"{path} has {image.bands} channels; flatten it to RGB or RGBA.")
    if image.format not in DTYPES:
        raise PictureError(f"{path} has pixels of type {image.format}; convert it to 8 or 16 bit or 32-bit float.")
    return Raster(image.height, image.width, image.bands, DTYPES[image.format])


def _metadata(image: Any, tiff_exif: bytes | None) -> Metadata:
    names = [name for name in image.get_fields() if name in _KEPT or name.startswith(_KEPT_GROUPS)]
    exif = {} if tiff_exif is None else {"exif-data": (pyvips.GValue.blob_type, tiff_exif)}
    fields = {name: (image.get_typeof(name), image.get(name)) for name in names} | exif
    x, y = image.xres, image.yres
    if x == _UNSET and y == _UNSET:
        x, y = _exif_resolution(fields)
    return Metadata({name: value for name, value in fields.items() if not name.endswith("Orientation")}, x, y)


def _exif_resolution(fields: dict[str, tuple[int, Any]]) -> tuple[float, float]:
    """WebP has its resolution in EXIF only. libvips shows a tag as "300/1 (300, Rational, ...)"."""
    unit = str(fields.get("exif-ifd0-ResolutionUnit", (0, "2"))[1]).split(" ")[0]
    per_mm = 10.0 if unit == "3" else 25.4
    found = []
    for axis in "XY":
        shown = str(fields.get(f"exif-ifd0-{axis}Resolution", (0, "72/1"))[1])
        numerator, _, denominator = shown.split(" ")[0].partition("/")
        try:
            found.append(float(numerator) / float(denominator or 1) / per_mm)
        except (ValueError, ZeroDivisionError):
            found.append(0.0)
    return (found[0], found[1]) if min(found) > 0 else (Metadata.x_dots_per_mm, Metadata.y_dots_per_mm)
