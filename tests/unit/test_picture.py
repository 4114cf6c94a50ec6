"""Picture files: what goes in comes out, and every bad file gets its own sentence."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips

from samovar.picture import Metadata, Picture, PictureError, tiff
from samovar.picture.reading import read
from samovar.picture.writing import check_output, write
from samovar_link.messages import Limits, Raster

DTYPES = {"u8": np.uint8, "u16": np.uint16, "f32": np.float32}
PROFILE: bytes = pyvips.Operation.call("profile_load", "srgb")


def picture(channels: int, dtype: str, width: int = 13, height: int = 7) -> Picture:
    values = np.random.default_rng(channels).random((height, width, channels)) * 1.5 - 0.25
    if dtype != "f32":
        values = values.clip(0, 1) * np.iinfo(DTYPES[dtype]).max
    return Picture(Raster(height, width, channels, dtype), memoryview(values.astype(DTYPES[dtype]).tobytes()))


def array(picture: Picture) -> Any:
    raster = picture.raster
    return np.frombuffer(picture.pixels, DTYPES[raster.dtype]).reshape(raster.height, raster.width, raster.channels)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, colour: int = 2, *more: bytes, data: bytes = b"") -> bytes:
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return start + b"".join(more) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def described(path: Path, saver: str, orientation: int = 1) -> Any:
    """A 60x40 file with profile, author, resolution and orientation; its first row is white."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[0] = 255
    image = pyvips.Image.new_from_memory(pixels.tobytes(), 60, 40, 3, "uchar")
    image = image.copy(interpretation="srgb", xres=11.811, yres=11.811)
    image.set_type(pyvips.GValue.blob_type, "icc-profile-data", PROFILE)
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Ann (Ann, ASCII, 4 components, 4 bytes)")
    image.set_type(
        pyvips.GValue.gstr_type, "exif-ifd2-ExposureTime", "1/125 (1/125 s, Rational, 1 components, 8 bytes)"
    )
    image.set_type(pyvips.GValue.gstr_type, "exif-ifd3-GPSLatitudeRef", "N (N, ASCII, 2 components, 2 bytes)")
    image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    getattr(image, saver)(str(path))
    return pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(("name", "dtype"), [("a.png", "u8"), ("a.png", "u16"), ("a.tif", "u8"), ("a.tiff", "u16"),
                                             ("a.tif", "f32"), ("A.PNG", "u8")])  # fmt: skip
def test_pixels_come_back_as_they_went(tmp_path: Path, name: str, dtype: str, channels: int) -> None:
    sent = picture(channels, dtype)
    assert write(sent, tmp_path / name) == []
    back = read(tmp_path / name)
    assert back.raster == sent.raster
    assert bytes(back.pixels) == bytes(sent.pixels)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("extension", ["jpg", "webp"])
def test_lossy_formats_stay_close(tmp_path: Path, extension: str) -> None:
    smooth = np.linspace(0, 255, 64 * 64 * 3).reshape(64, 64, 3).astype(np.uint8)
    write(Picture(Raster(64, 64, 3), memoryview(smooth.tobytes())), tmp_path / f"a.{extension}")
    assert abs(array(read(tmp_path / f"a.{extension}")).astype(int) - smooth).max() <= 4


def test_webp_keeps_alpha(tmp_path: Path) -> None:
    sent = picture(4, "u8")
    write(sent, tmp_path / "a.webp")
    assert np.array_equal(array(read(tmp_path / "a.webp"))[..., 3], array(sent)[..., 3])


@pytest.mark.parametrize("saver", ["pngsave", "jpegsave", "webpsave"])
@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.webp", "out.tif"])
def test_profile_exif_and_resolution_are_carried_over(tmp_path: Path, saver: str, name: str) -> None:
    described(tmp_path / "in", saver)
    write(read(tmp_path / "in"), tmp_path / name)
    write(read(tmp_path / name), tmp_path / "again.png")
    back = pyvips.Image.pngload(str(tmp_path / "again.png"))
    assert back.get("icc-profile-data") == PROFILE
    assert back.get("exif-ifd0-Artist").startswith("Ann ")
    assert back.get("exif-ifd2-ExposureTime").startswith("1/125 ")
    assert back.get("exif-ifd3-GPSLatitudeRef").startswith("N ")
    assert back.xres * 25.4 == pytest.approx(300, abs=0.2)


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_either_byte_order_goes_into_a_tiff(tmp_path: Path, order: str) -> None:
    exif = {
        33434: tiff._Entry(5, 1, struct.pack(order + "II", 1, 125)),
        34855: tiff._Entry(3, 1, struct.pack(order + "H", 800)),
    }
    main = {315: tiff._Entry(2, 4, b"Ann\0")}
    mark = b"II" if order == "<" else b"MM"
    block = b"Exif\0\0" + mark + struct.pack(order + "HI", 42, 8) + tiff._laid_out(order, 8, main, exif, {}, 0)
    fields = {"exif-data": (pyvips.GValue.blob_type, block)}
    sent = replace(picture(3, "u16"), metadata=Metadata(fields))
    write(sent, tmp_path / "a.tif")
    back = read(tmp_path / "a.tif")
    assert bytes(back.pixels) == bytes(sent.pixels)
    write(back, tmp_path / "a.png")
    told = pyvips.Image.pngload(str(tmp_path / "a.png"))
    assert told.get("exif-ifd2-ExposureTime").startswith("1/125 ")
    assert told.get("exif-ifd2-ISOSpeedRatings").startswith("800 ")
    assert told.get("exif-ifd2-PixelXDimension").startswith("13 ")


def test_damaged_notes_of_a_tiff_do_no_harm(tmp_path: Path) -> None:
    write(picture(3, "u8"), tmp_path / "a.tif")
    whole = (tmp_path / "a.tif").read_bytes()
    for content in (b"II*\0", b"MM\0*\xff\xff\xff\xff", whole[:-3], b"", b"II+\0" + bytes(30)):
        (tmp_path / "b.tif").write_bytes(content)
        assert tiff.read_exif(tmp_path / "b.tif") is None
        assert tiff.add_exif(tmp_path / "a.tif", content, 1, 1) is (content == whole[:-3])


@pytest.mark.parametrize("dtype", ["u8", "u16", "f32"])
def test_premultiplied_alpha_is_made_straight(tmp_path: Path, dtype: str) -> None:
    full = {"u8": 255, "u16": 65535, "f32": 1}[dtype]
    straight = np.full((2, 2, 4), full, DTYPES[dtype])
    straight[..., 0] = straight[..., 3] = full * 0.4
    stored = straight.copy()
    stored[..., :3] = straight[..., :3] * (straight[..., 3:] / full)
    image = pyvips.Image.new_from_memory(
        stored.tobytes(), 2, 2, 4, {"u8": "uchar", "u16": "ushort", "f32": "float"}[dtype]
    )
    image.copy(interpretation="rgb16" if dtype == "u16" else "srgb").tiffsave(str(tmp_path / "a.tif"))
    data = bytearray((tmp_path / "a.tif").read_bytes())
    at = data.index(struct.pack("<HHIH", 338, 3, 1, 2)) + 8
    data[at] = 1  # from unassociated to associated
    (tmp_path / "a.tif").write_bytes(data)
    got = array(read(tmp_path / "a.tif")).astype(float)
    assert abs(got - straight).max() <= (0.001 if dtype == "f32" else 2)


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.webp"])
def test_exif_tells_the_size_of_the_result(tmp_path: Path, name: str) -> None:
    described(tmp_path / "in", "jpegsave", orientation=6)
    metadata = replace(read(tmp_path / "in").metadata, x_dots_per_mm=23.622, y_dots_per_mm=23.622)
    write(Picture(Raster(120, 80, 3), memoryview(bytes(120 * 80 * 3)), metadata), tmp_path / name)
    back = pyvips.Image.new_from_file(str(tmp_path / name))
    assert back.get("exif-ifd2-PixelXDimension").startswith("80 ")
    numerator, denominator = back.get("exif-ifd0-XResolution").split(" ")[0].split("/")
    assert int(numerator) / int(denominator) == pytest.approx(600, abs=0.1)
    assert back.get("orientation") == 1


@pytest.mark.parametrize("saver", ["pngsave", "jpegsave", "webpsave", "tiffsave"])
def test_a_turned_picture_comes_out_upright_once(tmp_path: Path, saver: str) -> None:
    described(tmp_path / "in", saver, orientation=6)  # 6: the first row is the right-hand side
    upright = read(tmp_path / "in")
    assert (upright.raster.width, upright.raster.height) == (40, 60)
    assert array(upright)[:, -1].mean() > 250 > 5 > array(upright)[:, :-8].mean()
    write(upright, tmp_path / "out.png")
    again = read(tmp_path / "out.png")
    assert bytes(again.pixels) == bytes(upright.pixels)


def test_a_file_without_resolution_gets_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 1, data=b"\0\1\2\3"))
    write(read(tmp_path / "a.png"), tmp_path / "b.png")
    assert pyvips.Image.new_from_file(str(tmp_path / "b.png")).xres * 25.4 == pytest.approx(72, abs=0.1)


def test_a_palette_is_expanded(tmp_path: Path) -> None:
    palette = chunk(b"PLTE", bytes([1, 2, 3, 200, 100, 50]))
    (tmp_path / "a.png").write_bytes(png(2, 1, 3, palette, data=b"\0\0\1"))
    assert array(read(tmp_path / "a.png")).tolist() == [[[1, 2, 3], [200, 100, 50]]]


@pytest.mark.parametrize("extension", ["tif", "jpg"])
def test_cmyk_becomes_srgb_without_the_cmyk_profile(tmp_path: Path, extension: str) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 3] = 255
    image = pyvips.Image.new_from_memory(ink.tobytes(), 8, 8, 4, "uchar").copy(interpretation="cmyk")
    path = tmp_path / f"a.{extension}"
    image.write_to_file(str(path))
    got = read(path)
    assert got.raster.channels == 3
    assert array(got).max() < 80
    assert "icc-profile-data" not in got.metadata.fields


def test_jpeg_puts_transparency_on_white_and_says_so(tmp_path: Path) -> None:
    clear = np.zeros((16, 16, 4), np.uint8)
    notices = write(Picture(Raster(16, 16, 4), memoryview(clear.tobytes())), tmp_path / "a.jpg")
    assert "white" in notices[0]
    assert array(read(tmp_path / "a.jpg")).min() == 255


def test_depth_that_a_format_cannot_hold_is_rounded_and_said(tmp_path: Path) -> None:
    deep = np.array([[[0], [128], [129], [65535]]], np.uint16)  # 128/257 rounds down, 129/257 up
    notices = write(Picture(Raster(1, 4, 1, "u16"), memoryview(deep.tobytes())), tmp_path / "a.jpg")
    assert "8 bits" in notices[0]
    wide = np.array([[[-1.0], [0.5], [2.0]]], np.float32)
    notices = write(Picture(Raster(1, 3, 1, "f32"), memoryview(wide.tobytes())), tmp_path / "a.png")
    assert "16 bits" in notices[0]
    assert array(read(tmp_path / "a.png")).ravel().tolist() == [0, 32768, 65535]


def test_a_profile_for_other_channels_is_left_out(tmp_path: Path) -> None:
    fields = {"icc-profile-data": (pyvips.GValue.blob_type, PROFILE)}
    gray = Picture(Raster(7, 13, 1), picture(1, "u8").pixels, Metadata(fields))
    assert "profile" in write(gray, tmp_path / "a.png")[0]
    assert "icc-profile-data" not in read(tmp_path / "a.png").metadata.fields


def test_only_the_first_page_is_read_and_said(tmp_path: Path) -> None:
    page = pyvips.Image.new_from_memory(bytes(6), 2, 3, 1, "uchar")
    page.join(page, "vertical").tiffsave(str(tmp_path / "a.tif"), page_height=3)
    got = read(tmp_path / "a.tif")
    assert got.raster.height == 3 and "first of 2" in got.notices[0]


def test_names_with_brackets_and_other_letters_are_names(tmp_path: Path) -> None:
    for name in ("photo [strip].png", "Ünï çode 写真.png", "-x.png"):
        write(picture(3, "u8"), tmp_path / name)
        assert read(tmp_path / name).raster.width == 13


def bad(path: Path, kind: str) -> Path:
    content = {
        "text": b"not a picture at all",
        "empty": b"",
        "no pixels": png(0, 0),
        "vast": png(100_000, 100_000),
        "truncated": png(500, 500, data=os.urandom(500 * 1501))[:9000],
        "no rows": png(50, 50),
        "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
        "tiff": b"II*\0\x08\0\0\0\xff\xff",
        "webp": b"RIFF\x10\0\0\0WEBPVP8 ",
    }
    path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [("text", "not a picture"), ("empty", "not a picture"), ("no pixels", "no pixels: it says it is 0x0"),
     ("vast", "too large: 100000x100000"), ("truncated", "damaged or cut short"), ("no rows", "damaged or cut short"),
     ("jpeg", "damaged or cut short"), ("tiff", "damaged or cut short"), ("webp", "damaged or cut short")],
)  # fmt: skip
def test_a_bad_file_gets_its_own_sentence(tmp_path: Path, kind: str, words: str) -> None:
    path = bad(tmp_path / "x.png", kind)
    with pytest.raises(PictureError, match=words) as caught:
        read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no such file"):
        read(tmp_path / "x.png")
    with pytest.raises(PictureError, match="folder"):
        read(tmp_path)


def test_the_limit_holds_before_decoding(tmp_path: Path) -> None:
    path = bad(tmp_path / "x.png", "no rows")
    with pytest.raises(PictureError, match="too large: 50x50"):
        read(path, Limits(max_pixels=2499))


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.gif", "use one of .png"), ("a", "use one of"), ("no/a.png", "does not exist"), ("dir.png", "is a folder")],
)
def test_a_bad_output_is_refused_before_the_work(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "dir.png").mkdir()
    with pytest.raises(PictureError, match=words):
        check_output(tmp_path / name)


def test_too_wide_for_the_format_is_said(tmp_path: Path) -> None:
    line = Picture(Raster(1, 16_384, 1), memoryview(bytes(16_384)))
    with pytest.raises(PictureError, match="more than WEBP can hold"):
        write(line, tmp_path / "a.webp")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.webp"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    resource = pytest.importorskip("resource", reason="limits on file size are a POSIX matter")
    path = tmp_path / name
    path.write_bytes(b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(PictureError, match="could not be written") as caught:
            write(picture(3, "u8", 300, 300), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == [name]
    assert "\n" not in str(caught.value)


def test_permissions_of_the_old_file_and_links_stay(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "real.png").chmod(0o640)
    (tmp_path / "a.png").symlink_to(tmp_path / "real.png")
    write(picture(3, "u8"), tmp_path / "a.png")
    assert (tmp_path / "a.png").is_symlink()
    assert (tmp_path / "real.png").stat().st_mode & 0o777 == 0o640
    assert read(tmp_path / "real.png").raster.width == 13
