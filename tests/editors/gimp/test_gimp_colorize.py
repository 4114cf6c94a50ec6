"""`colorize` in a real GIMP 3: from the Colors menu, led by a layer of strokes, as a picture or as a layer of
colour."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from desk import Desk
from remote_gimp import RemoteGimp, plain_client, wait_for

from samovar import card
from samovar_link import Raster

untrained = pytest.mark.skipif(
    "samovar/art-colour" not in card.discover().ids("colorize"),
    reason="the colorizer's own weights are not trained yet",
)
pytestmark = [untrained, pytest.mark.editor, pytest.mark.slow]

MODEL = "samovar/art-colour"
NAME = f"Colorize ({MODEL})"
SET = {"model": MODEL, "saturation": 1.0, "result": "picture", "keep_white": False, "recolour": False}
WIDTH, HEIGHT = 60, 44


def gray() -> bytes:
    """A page of a few gray areas with dark lines between them."""
    return bytes(15 if x % 20 < 2 or y % 22 < 2 else 90 + x // 20 * 40 for y in range(HEIGHT) for x in range(WIDTH))


def rgb() -> bytes:
    return b"".join(bytes([value] * 3) for value in gray())


def stroke() -> bytes:
    """RGBA: red in the middle of one area, clear elsewhere."""
    pixels = bytearray(WIDTH * HEIGHT * 4)
    for y in range(8, 12):
        for x in range(6, 14):
            at = (y * WIDTH + x) * 4
            pixels[at : at + 4] = bytes([210, 30, 40, 255])
    return bytes(pixels)


def page(gimp: RemoteGimp, base: str = "RGB") -> tuple[int, int]:
    image = gimp.image(WIDTH, HEIGHT, base=base)
    if base == "GRAY":
        return image, gimp.layer(image, "GRAY_IMAGE", WIDTH, HEIGHT, 0, 0, gray().hex(), "Y' u8")
    return image, gimp.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, 0, 0, rgb().hex(), "R'G'B' u8")


def test_it_is_among_the_colours_and_takes_a_layer_of_strokes(gimp: RemoteGimp) -> None:
    arguments = gimp.procedures()["plug-in-samovar-colorize"]
    assert {"model", "saturation", "result", "keep-white", "recolour", "hints", "scope"} <= set(arguments)
    assert arguments["result"]["choices"] == ["picture", "color", "multiply"]
    assert gimp.menus("colorize") == ["<Image>/Colors"] and gimp.menus("denoise") == ["<Image>/Filters/Enhance"]


def test_the_picture_comes_above_and_the_layer_stays(linked: RemoteGimp) -> None:
    image, layer = page(linked)
    status, message, _ = linked.samovar("colorize", image, [layer], **SET)
    assert status == "SUCCESS", message
    new, old = linked.state(image)["layers"]
    assert (new["name"], new["size"], old["visible"]) == (NAME, [WIDTH, HEIGHT], True)
    assert linked.pixels(layer, "R'G'B' u8") == rgb().hex()
    expected = plain_client("colorize", Raster(HEIGHT, WIDTH, 3), rgb(), **SET)
    assert bytes.fromhex(linked.pixels(new["id"], "R'G'B' u8")) == expected != rgb()


def test_strokes_on_another_layer_lead_it(linked: RemoteGimp) -> None:
    image, layer = page(linked)
    drawn = linked.layer(image, "RGBA_IMAGE", WIDTH, HEIGHT, 0, 0, stroke().hex(), "R'G'B'A u8", name="strokes")
    status, message, _ = linked.samovar("colorize", image, [layer], hints=drawn, **SET)
    assert status == "SUCCESS", message
    new = next(each for each in linked.state(image)["layers"] if each["name"] == NAME)
    made = bytes.fromhex(linked.pixels(new["id"], "R'G'B' u8"))
    red, green, _ = made[(18 * WIDTH + 12) * 3 : (18 * WIDTH + 12) * 3 + 3]
    assert red > green + 60, "all of the area that the stroke is in"
    red, green, _ = made[(18 * WIDTH + 50) * 3 : (18 * WIDTH + 50) * 3 + 3]
    assert red < green + 60, "and none beyond"
    assert linked.pixels(drawn, "R'G'B'A u8") == stroke().hex()


def test_strokes_on_the_layer_itself_are_refused(linked: RemoteGimp) -> None:
    image, layer = page(linked)
    status, message, _ = linked.samovar("colorize", image, [layer], hints=layer, **SET)
    assert status == "EXECUTION_ERROR" and "a layer of their own" in message
    assert len(linked.state(image)["layers"]) == 1


@pytest.mark.parametrize("output, mode", [("color", "LCH_COLOR"), ("multiply", "MULTIPLY")])
def test_a_layer_of_colour_lies_over_the_untouched_source(linked: RemoteGimp, output: str, mode: str) -> None:
    image, layer = page(linked)
    before = linked.visible(image, "R'G'B' u8")
    status, message, _ = linked.samovar("colorize", image, [layer], **{**SET, "result": output})
    assert status == "SUCCESS", message
    new, old = linked.state(image)["layers"]
    assert linked.mode(new["id"]) == mode and old["visible"] and linked.mode(old["id"]) == "NORMAL"
    assert linked.pixels(layer, "R'G'B' u8") == rgb().hex() and linked.visible(image, "R'G'B' u8") != before


def test_a_grayscale_image_becomes_one_with_colours(linked: RemoteGimp) -> None:
    image, layer = page(linked, "GRAY")
    status, message, _ = linked.samovar("colorize", image, [layer], **SET)
    assert status == "SUCCESS", message
    new, old = linked.state(image)["layers"]
    assert new["name"] == NAME and linked.base(image) == "RGB"
    made = bytes.fromhex(linked.pixels(new["id"], "R'G'B' u8"))
    assert any(made[at] != made[at + 1] for at in range(0, len(made), 3))
    assert linked.pixels(old["id"], "R'G'B' u8") == rgb().hex()


def test_a_selection_limits_it_and_all_of_the_layer_decides(linked: RemoteGimp) -> None:
    image, layer = page(linked)
    linked.select(image, 22, 4, 16, 16)
    status, message, _ = linked.samovar("colorize", image, [layer], **SET)
    assert status == "SUCCESS", message
    new = linked.state(image)["layers"][0]
    assert (new["size"], new["offset"]) == ([16, 16], [22, 4])
    whole = plain_client("colorize", Raster(HEIGHT, WIDTH, 3), rgb(), **SET)
    part = b"".join(whole[(y * WIDTH + 22) * 3 : (y * WIDTH + 38) * 3] for y in range(4, 20))
    made = bytes.fromhex(linked.pixels(new["id"], "R'G'B' u8"))
    assert max(abs(a - b) for a, b in zip(made, part, strict=True)) <= 1


def test_a_coloured_layer_is_left_as_it_is(linked: RemoteGimp) -> None:
    pixels = random.Random(2).randbytes(WIDTH * HEIGHT * 3)
    image = linked.image(WIDTH, HEIGHT)
    layer = linked.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, 0, 0, pixels.hex(), "R'G'B' u8")
    status, message, _ = linked.samovar("colorize", image, [layer], **SET)
    assert status == "SUCCESS", message
    assert bytes.fromhex(linked.pixels(linked.state(image)["layers"][0]["id"], "R'G'B' u8")) == pixels


def test_its_dialog_opens_and_one_undo_takes_it_back(desk: Desk, artifacts: Path) -> None:
    gimp = desk.gimp
    image, layer = page(gimp, "GRAY")
    gimp.clean(image)
    gimp.show(image)
    desk.press("Escape")
    desk.choose_colour(artifacts / "gimp-colours-menu.png")
    dialog = desk.dialog("Samovar: Colorize")
    desk.screen.picture(artifacts / "gimp-colorize-dialog.png")
    desk.screen.press(dialog, "alt+o")
    wait_for(lambda: len(gimp.state(image)["layers"]) == 2, 60, "the coloured layer")
    desk.screen.picture(artifacts / "gimp-colorize.png")
    assert gimp.base(image) == "RGB"
    desk.press("ctrl+z")
    wait_for(lambda: len(gimp.state(image)["layers"]) == 1, 10, "the undo")
    assert gimp.base(image) == "GRAY" and gimp.pixels(layer, "Y' u8") == gray().hex()
