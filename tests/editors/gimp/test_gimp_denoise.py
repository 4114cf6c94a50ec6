"""`denoise` in a real GIMP 3: what keeps the size changes what is selected, and nothing else."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from remote_gimp import RemoteGimp, daemon_jobs, noise, plain_client, wait_for

from samovar_link import Raster
from samovar_link.messages import Rectangle

pytestmark = [pytest.mark.editor, pytest.mark.slow]

MODEL = "waifu2x/cunet-clean"
CLEAN = {"noise": 1, "strength": 1.0, "detail": 0.0, "model": MODEL}


def cut(pixels: bytes, width: int, box: tuple[int, int, int, int], depth: int) -> bytes:
    """The part x1, y1, x2, y2 of a picture of that width and that many bytes a pixel."""
    x1, y1, x2, y2 = box
    return b"".join(pixels[(row * width + x1) * depth : (row * width + x2) * depth] for row in range(y1, y2))


def test_its_scopes_are_selection_and_layer_and_a_selection_counts_by_itself(gimp: RemoteGimp) -> None:
    scope = gimp.procedures()["plug-in-samovar-denoise"]["scope"]
    assert (scope["choices"], scope["default"]) == (["selection", "layer"], "selection")


@pytest.mark.parametrize("scope", ["selection", "layer"])
def test_without_a_selection_all_of_the_layer_is_cleaned_and_stays_below(linked: RemoteGimp, scope: str) -> None:
    image = linked.image(64, 48)
    pixels = noise(50 * 31 * 3)
    layer = linked.layer(image, "RGB_IMAGE", 50, 31, 7, -3, pixels.hex(), "R'G'B' u8")
    if scope == "layer":
        linked.select(image, 10, 10, 5, 5)
    status, message, _ = linked.samovar("denoise", image, [layer], scope=scope)
    assert status == "SUCCESS", message

    new, old = linked.state(image)["layers"]
    assert (new["name"], new["size"], new["offset"], new["mask"]) == (f"Denoise ({MODEL})", [50, 31], [7, -3], 0)
    assert (old["id"], old["visible"]) == (layer, True)
    assert linked.pixels(layer, "R'G'B' u8") == pixels.hex()
    expected = plain_client("denoise", Raster(31, 50, 3, x=7, y=-3), pixels, **CLEAN)
    assert bytes.fromhex(linked.pixels(new["id"], "R'G'B' u8")) == expected != pixels


@pytest.mark.parametrize("kind, depth", [("RGB_IMAGE", 3), ("RGBA_IMAGE", 4)])
def test_a_soft_selection_gets_a_patch_that_is_seen_in_the_whole_layer(
    linked: RemoteGimp, kind: str, depth: int
) -> None:
    width, height = 420, 330
    pixels = bytearray(noise(width * height * depth))
    if depth == 4:
        pixels[3::4] = b"\xff" * (width * height)
    format = "R'G'B' u8" if depth == 3 else "R'G'B'A u8"
    image = linked.image(width, height)
    linked.layer(image, "RGB_IMAGE", width, height, name="below")
    layer = linked.layer(image, kind, width, height, 3, -2, pixels.hex(), format)
    linked.select(image, 240, 180, 50, 40, feather=8)
    chosen = linked.state(image)["selection"]
    _, x1, y1, x2, y2 = chosen
    before = bytes.fromhex(linked.visible(image, "R'G'B'A u8"))
    status, message, _ = linked.samovar("denoise", image, [layer], **CLEAN)
    assert status == "SUCCESS", message

    state = linked.state(image)
    new, old, _ = state["layers"]
    assert state["selection"] == chosen
    assert (new["size"], new["offset"], old["visible"]) == ([x2 - x1, y2 - y1], [x1, y1], True)
    selected = bytes.fromhex(linked.selection(image, 0, 0, width, height))
    assert bytes.fromhex(linked.pixels(new["mask"], "Y u8")) == cut(selected, width, (x1, y1, x2, y2), 1)

    region = Rectangle(x1 - 3, y1 + 2, x2 - x1, y2 - y1)
    expected = plain_client("denoise", Raster(height, width, depth, x=3, y=-2), bytes(pixels), region, **CLEAN)
    assert bytes.fromhex(linked.pixels(new["id"], format)) == expected
    after = bytes.fromhex(linked.visible(image, "R'G'B'A u8"))
    changed = {at // 4 for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}
    assert changed and all(selected[at] for at in changed)
    middle = (265, 200, 266, 201)
    shown = cut(expected, x2 - x1, (265 - x1, 200 - y1, 266 - x1, 201 - y1), depth)
    assert cut(selected, width, middle, 1) == b"\xff" and cut(after, width, middle, 4)[:3] == shown[:3]


def see_through(gimp: RemoteGimp, how: str, precision: str = "U8_NON_LINEAR") -> tuple[int, int, bytes]:
    """A picture through whose upper layer the lower one shows: image, upper layer, its pixels."""
    pixels = bytearray(noise(90 * 70 * 4))
    if how == "transparent":
        pixels[3 : 20 * 90 * 4 : 4] = bytes(20 * 90)
    else:
        pixels[3::4] = b"\xff" * (90 * 70)
    image = gimp.image(96, 80, precision=precision)
    gimp.layer(image, "RGB_IMAGE", 96, 80, 0, 0, noise(96 * 80 * 3).hex(), "R'G'B' u8", name="below")
    layer = gimp.layer(image, "RGBA_IMAGE", 90, 70, 4, 5, pixels.hex(), "R'G'B'A u8")
    if how in ("opacity", "mode"):
        gimp.set_layer(layer, 60.0 if how == "opacity" else 100.0, "NORMAL" if how == "opacity" else "MULTIPLY")
    if how == "mask":
        gimp.add_mask(layer, noise(90 * 70).hex())
    return image, layer, bytes(pixels)


HOW = ["transparent", "opacity", "mode", "mask"]


@pytest.mark.parametrize("how", HOW)
def test_what_shows_through_the_layer_does_so_no_less_afterwards(linked: RemoteGimp, how: str) -> None:
    image, layer, pixels = see_through(linked, how)
    linked.select(image, 30, 15, 30, 30, feather=8)
    _, x1, y1, x2, y2 = linked.state(image)["selection"]
    selected = bytes.fromhex(linked.selection(image, 0, 0, 96, 80))
    before = bytes.fromhex(linked.visible(image, "R'G'B'A u8"))
    status, message, _ = linked.samovar("denoise", image, [layer], **CLEAN)
    assert status == "SUCCESS", message

    new, old, _ = linked.state(image)["layers"]
    assert (new["size"], new["offset"], new["visible"], old["visible"]) == ([90, 70], [4, 5], True, False)
    assert (new["opacity"], new["mode"]) == (old["opacity"], old["mode"])
    after = bytes.fromhex(linked.visible(image, "R'G'B'A u8"))
    changed = {at // 4 for at, (a, b) in enumerate(zip(before, after, strict=True)) if a != b}
    assert changed and all(selected[at] for at in changed)
    result = bytes.fromhex(linked.pixels(new["id"], "R'G'B'A u8"))
    assert result[3::4] == pixels[3::4]
    mask = array("H", (each * 257 for each in selected)).tobytes()
    expected = plain_client(
        "denoise", Raster(70, 90, 4, x=4, y=5), pixels, None, (Raster(80, 96, 1, "u16"), mask), **CLEAN
    )
    assert max(abs(a - b) for a, b in zip(result, expected, strict=True)) <= 1  # GIMP's own mask is finer than 8 bit
    assert linked.pixels(layer, "R'G'B'A u8") == pixels.hex()


@pytest.mark.parametrize("chosen", [False, True])
@pytest.mark.parametrize("how", ["opaque", *HOW])
def test_strength_0_shows_no_difference_anywhere(linked: RemoteGimp, how: str, chosen: bool) -> None:
    image, layer, _ = see_through(linked, how)
    if chosen:
        linked.select(image, 30, 15, 30, 30, feather=8)
    before = linked.visible(image, "R'G'B'A u8")
    status, message, _ = linked.samovar("denoise", image, [layer], strength=0.0)
    assert status == "SUCCESS", message
    assert linked.visible(image, "R'G'B'A u8") == before


@pytest.mark.parametrize("feather", [None, 0, 6])
@pytest.mark.parametrize("kind, format", [("RGBA_IMAGE", "R'G'B'A u16"), ("RGB_IMAGE", "R'G'B' u16")])
def test_strength_0_keeps_every_value_of_16_bit(
    linked: RemoteGimp, kind: str, format: str, feather: int | None
) -> None:
    channels = len(format.split()[0].replace("'", ""))
    values = list(range(65536)) * channels
    random.Random(7).shuffle(values)
    image = linked.image(256, 256, precision="U16_NON_LINEAR")
    layer = linked.layer(image, kind, 256, 256, 0, 0, array("H", values).tobytes().hex(), format)
    if feather is not None:
        linked.select(image, 40, 50, 120, 100, feather=feather)
    status, message, _ = linked.samovar("denoise", image, [layer], strength=0.0)
    assert status == "SUCCESS", message
    new = linked.state(image)["layers"][0]
    (x, y), (width, height) = new["offset"], new["size"]
    sent = cut(array("H", values).tobytes(), 256, (x, y, x + width, y + height), 2 * channels)
    assert bytes.fromhex(linked.pixels(new["id"], format)) == sent


@pytest.mark.parametrize("chosen", [False, True])
def test_a_text_layer_gives_a_layer_of_pixels(linked: RemoteGimp, chosen: bool) -> None:
    image = linked.image(160, 60)
    layer = linked.text(image, "Samovar")
    if chosen:
        linked.select(image, 5, 5, 30, 20, feather=3)
    before = linked.visible(image, "R'G'B'A u8")
    status, message, _ = linked.samovar("denoise", image, [layer], strength=0.0)
    assert status == "SUCCESS", message
    new, old = linked.state(image)["layers"]
    assert (linked.kind(old["id"]), linked.kind(new["id"])) == ("TextLayer", "Layer")
    assert new["size"] == old["size"]
    assert linked.visible(image, "R'G'B'A u8") == before


def test_what_would_look_wrong_is_told_in_one_sentence_before_anything_is_sent(linked: RemoteGimp) -> None:
    image, layer, _ = see_through(linked, "transparent")
    effects = linked.layer(image, "RGB_IMAGE", 20, 20)
    linked.lock(layer)
    linked.add_effect(effects)
    before = linked.state(image)
    for each, word in ((layer, "unlock its visibility"), (effects, "effects")):
        status, message, _ = linked.samovar("denoise", image, [each])
        assert status == "EXECUTION_ERROR" and word in message and "\n" not in message, message
    assert linked.state(image) == before


def test_a_selection_beside_the_layer_is_told_in_one_sentence(linked: RemoteGimp) -> None:
    image = linked.image(64, 64)
    layer = linked.layer(image, "RGB_IMAGE", 20, 20)
    linked.select(image, 40, 40, 10, 10)
    before = linked.state(image)
    status, message, _ = linked.samovar("denoise", image, [layer])
    assert status == "EXECUTION_ERROR" and "selection does not touch the layer" in message, message
    assert "\n" not in message and linked.state(image) == before


@pytest.mark.timeout(240)
def test_cancel_in_a_job_of_4096_squared_leaves_the_saved_image_as_it_was(
    gimp: RemoteGimp, daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status bar's Cancel kills the plug-in; so does this."""
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(daemon.connection_file))
    gimp.show_daemon(daemon.connection_file.read_bytes())
    image = gimp.image(4096, 4096)
    gimp.layer(image, "RGB_IMAGE", 40, 30, name="below")
    layer = gimp.layer(image, "RGB_IMAGE", 4096, 4096)
    gimp.scramble(layer, 3)
    gimp.select(image, 100, 50, 3900, 4000, feather=20)
    gimp.clean(image)
    try:
        gimp.save(image, str(gimp.folder / "before.xcf"))
        gimp.clean(image)
        before = gimp.state(image), gimp.digest(layer)
        gimp.begin("samovar", "denoise", image, [layer])
        wait_for(lambda: daemon_jobs(working=True) == ["denoise"], 150, "the job's first tiles")
        (process,) = gimp.plugin_processes()
        process.kill()
        assert gimp.end()[0] != "SUCCESS"
        wait_for(lambda: daemon_jobs() == [], 10, "the end of the job")
        assert (gimp.state(image), gimp.digest(layer)) == before
        gimp.save(image, str(gimp.folder / "after.xcf"))
        saved = [(gimp.folder / name).read_bytes() for name in ("before.xcf", "after.xcf")]
        assert saved[0] == saved[1]
    finally:
        gimp.delete(image)
