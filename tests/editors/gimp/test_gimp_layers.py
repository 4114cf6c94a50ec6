"""The plug-in in a real GIMP 3 without windows: what goes out, what comes back, and where it lands."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest
from remote_gimp import RemoteGimp, noise, plain_client

from samovar import card, operation
from samovar_link import Raster
from samovar_link.messages import Rectangle

pytestmark = [pytest.mark.editor, pytest.mark.slow]

FAST = "waifu2x/upconv7-art"


def test_the_procedure_is_drawn_from_the_declaration(gimp: RemoteGimp) -> None:
    info = operation.discover().get("upscale").info()
    arguments = gimp.procedures()["plug-in-samovar-upscale"]
    assert list(arguments) == ["run-mode", "image", "drawables", *(each.name for each in info.parameters), "scope"]
    for each in info.parameters:
        drawn = arguments[each.name]
        assert drawn["label"].replace("_", "").startswith(each.title)
        assert drawn["help"] == each.help
        assert drawn["default"] == each.default
        if each.minimum is not None:
            assert drawn["range"] == [each.minimum, each.maximum]
    assert arguments["model"]["choices"] == card.discover().ids("upscale")
    assert arguments["scope"]["choices"] == ["image", "layer", "selection"]


def test_a_layer_with_alpha_and_offset_comes_back_twice_the_size_in_its_place(linked: RemoteGimp) -> None:
    pixels = noise(33 * 21 * 4)
    image = linked.image(64, 48)
    below = linked.layer(image, "RGB_IMAGE", 64, 48, name="below")
    layer = linked.layer(image, "RGBA_IMAGE", 33, 21, 5, -3, pixels.hex(), "R'G'B'A u8")
    status, message, _ = linked.samovar("upscale", image, [layer], scope="image", scale=2.0, model=FAST)
    assert status == "SUCCESS", message

    state = linked.state(image)
    assert state["size"] == [128, 96]
    new, old, bottom = state["layers"]
    assert new["name"] == f"Upscale ({FAST})"
    assert (new["size"], new["offset"], new["visible"], new["alpha"]) == ([66, 42], [10, -6], True, True)
    assert (old["id"], old["size"], old["offset"], old["visible"]) == (layer, [66, 42], [10, -6], False)
    assert (bottom["id"], bottom["size"], bottom["visible"]) == (below, [128, 96], True)
    raster = Raster(21, 33, 4, x=5, y=-3)
    expected = plain_client("upscale", raster, pixels, scale=2.0, model=FAST, noise=-1)
    assert bytes.fromhex(linked.pixels(new["id"], "R'G'B'A u8")) == expected


def test_layer_scope_leaves_canvas_and_source_and_centres_the_result_on_it(linked: RemoteGimp) -> None:
    image = linked.image(64, 48)
    layer = linked.layer(image, "RGB_IMAGE", 20, 10, 7, 9, noise(600).hex(), "R'G'B' u8")
    before = linked.pixels(layer, "R'G'B' u8")
    status, message, _ = linked.samovar("upscale", image, [layer], scope="layer", scale=3.0, model=FAST)
    assert status == "SUCCESS", message

    state = linked.state(image)
    new, old = state["layers"]
    assert state["size"] == [64, 48]
    assert (new["size"], new["offset"], new["alpha"]) == ([60, 30], [7 - 20, 9 - 10], False)
    assert (old["size"], old["offset"]) == ([20, 10], [7, 9])
    assert linked.pixels(layer, "R'G'B' u8") == before


def test_selection_scope_scales_its_bounds_as_they_would_be_in_the_whole_layer(linked: RemoteGimp) -> None:
    image = linked.image(64, 48)
    pixels = noise(40 * 30 * 4)
    layer = linked.layer(image, "RGBA_IMAGE", 40, 30, 10, 10, pixels.hex(), "R'G'B'A u8")
    linked.select(image, 6, 14, 16, 12)  # its left quarter lies beside the layer
    status, message, _ = linked.samovar("upscale", image, [layer], scope="selection", scale=2.0, model=FAST)
    assert status == "SUCCESS", message

    new, old = linked.state(image)["layers"]
    assert (new["size"], new["offset"], new["mask"]) == ([24, 24], [10 - 6, 14 - 6], 0)
    assert old["visible"]
    region, raster = Rectangle(0, 4, 12, 12), Raster(30, 40, 4, x=10, y=10)
    expected = plain_client("upscale", raster, pixels, region, scale=2.0, model=FAST, noise=-1)
    whole = plain_client("upscale", raster, pixels, scale=2.0, model=FAST, noise=-1)
    assert expected == b"".join(whole[row * 320 : row * 320 + 96] for row in range(8, 32))
    assert bytes.fromhex(linked.pixels(new["id"], "R'G'B'A u8")) == expected


@pytest.mark.parametrize("behind", [255, 128])  # the layer's own mask, which the result keeps
def test_a_feathered_selection_becomes_a_layer_mask_of_the_results_size(linked: RemoteGimp, behind: int) -> None:
    image = linked.image(80, 80)
    layer = linked.layer(image, "RGB_IMAGE", 80, 80, pixels=noise(80 * 80 * 3).hex(), format="R'G'B' u8")
    linked.add_mask(layer, bytes([behind] * 80 * 80).hex())
    linked.select(image, 20, 20, 40, 40, feather=8)
    before = linked.state(image)["selection"]
    status, message, _ = linked.samovar("upscale", image, [layer], scope="selection", scale=2.0, model=FAST)
    assert status == "SUCCESS", message

    state = linked.state(image)
    new = state["layers"][0]
    _, x1, y1, x2, y2 = before
    assert state["selection"] == before
    assert new["size"] == [2 * (x2 - x1), 2 * (y2 - y1)]
    mask = bytes.fromhex(linked.pixels(new["mask"], "Y u8"))
    selection = bytes.fromhex(linked.selection(image, x1, y1, x2 - x1, y2 - y1))
    middle = new["size"][0] * (new["size"][1] // 2)
    for column in range(0, x2 - x1, 4):  # the same edge, twice as wide
        row = selection[(x2 - x1) * ((y2 - y1) // 2) :]
        assert abs(mask[middle + 2 * column] - row[column] * behind / 255) <= 12, column


def test_without_a_selection_its_scope_means_the_whole_layer(linked: RemoteGimp) -> None:
    image = linked.image(16, 16)
    layer = linked.layer(image, "RGB_IMAGE", 12, 10, 2, 2)
    assert linked.samovar("upscale", image, [layer], scope="selection", model=FAST)[0] == "SUCCESS"
    assert linked.state(image)["layers"][0]["size"] == [24, 20]


@pytest.mark.parametrize("base, kind, colour", [("RGB", "RGBA_IMAGE", "RGBA"), ("GRAY", "GRAY_IMAGE", "Y")])
@pytest.mark.parametrize(
    "precision, type",
    [
        ("U8_NON_LINEAR", "u8"), ("U8_LINEAR", "u8"), ("U16_NON_LINEAR", "u16"), ("U16_LINEAR", "u16"),
        ("HALF_NON_LINEAR", "half"), ("FLOAT_NON_LINEAR", "float"), ("FLOAT_LINEAR", "float"),
    ],
)  # fmt: skip
def test_every_precision_goes_out_and_comes_back_unchanged(
    linked: RemoteGimp, base: str, kind: str, colour: str, precision: str, type: str
) -> None:
    channels = len(colour)
    if "NON_LINEAR" in precision:
        colour = {"RGBA": "R'G'B'A", "Y": "Y'"}[colour]
    count = 24 * 10 * channels
    numbers = random.Random(5)
    samples = {
        "u8": lambda: array("B", (numbers.randrange(256) for _ in range(count))),
        "u16": lambda: array("H", (numbers.randrange(65536) for _ in range(count))),
        "float": lambda: array("f", (numbers.uniform(-0.5 * (i % 4 < 3), 4) for i in range(count))),
        "half": lambda: array("H", (numbers.randrange(0x3C01) for _ in range(count))),
    }[type]()  # fmt: skip
    image = linked.image(24, 10, base, precision)
    layer = linked.layer(image, kind, 24, 10, 0, 0, samples.tobytes().hex(), f"{colour} {type}")
    status, message, _ = linked.samovar("identity", image, [layer])
    assert status == "SUCCESS", message
    new = linked.state(image)["layers"][0]
    back = array(samples.typecode, bytes.fromhex(linked.pixels(new["id"], f"{colour} {type}")))
    worst = max(abs(a - b) for a, b in zip(samples, back, strict=True))
    assert worst <= (1e-5 if type == "float" else 0), worst


def test_colours_wider_than_srgb_survive(linked: RemoteGimp) -> None:
    numbers = random.Random(6)
    beyond = array("f", (numbers.uniform(-0.2, 1.1) for _ in range(16 * 16 * 3)))
    image = linked.image(16, 16, profile="new_rgb_adobe")
    layer = linked.layer(image, "RGB_IMAGE", 16, 16, 0, 0, beyond.tobytes().hex(), "R'G'B' float")
    status, message, _ = linked.samovar("identity", image, [layer])
    assert status == "SUCCESS", message
    assert linked.pixels(linked.state(image)["layers"][0]["id"]) == linked.pixels(layer)


def test_opacity_mode_and_mask_of_the_layer_are_those_of_the_result(linked: RemoteGimp) -> None:
    image = linked.image(32, 32)
    linked.layer(image, "RGB_IMAGE", 32, 32, name="below")
    group = linked.group(image)
    layer = linked.layer(image, "RGBA_IMAGE", 16, 16, 8, 8, parent=group)
    linked.set_layer(layer, 42.0, "MULTIPLY")
    linked.add_mask(layer, (bytes([0] * 8 + [255] * 8) * 16).hex())
    status, message, _ = linked.samovar("upscale", image, [layer], scope="image", scale=2.0, model=FAST)
    assert status == "SUCCESS", message
    new, old = linked.state(image)["layers"][0]["children"]
    assert [new["opacity"], new["mode"]] == [pytest.approx(42), old["mode"]]
    assert new["size"] == old["size"] == [32, 32]
    assert linked.pixels(new["mask"], "Y u8") == linked.pixels(old["mask"], "Y u8")


def test_a_locked_layer_is_only_read(linked: RemoteGimp) -> None:
    image = linked.image(16, 16)
    layer = linked.layer(image, "RGBA_IMAGE", 16, 16, 0, 0, noise(1024).hex(), "R'G'B'A u8")
    linked.lock(layer)
    before = linked.pixels(layer, "R'G'B'A u8")
    status, message, _ = linked.samovar("upscale", image, [layer], scope="layer", scale=2.0, model=FAST)
    assert status == "SUCCESS", message
    assert linked.pixels(layer, "R'G'B'A u8") == before
    assert linked.state(image)["layers"][0]["size"] == [32, 32]


def test_a_script_that_repeats_the_last_values_needs_no_screen(linked: RemoteGimp) -> None:
    image = linked.image(16, 16)
    layer = linked.layer(image, "RGBA_IMAGE", 16, 16)
    status, message, _ = linked.samovar("identity", image, [layer], "WITH_LAST_VALS")
    assert status == "SUCCESS", message


def test_a_bad_value_is_named_and_nothing_changes(linked: RemoteGimp) -> None:
    image = linked.image(16, 16)
    layer = linked.layer(image, "RGBA_IMAGE", 16, 16)
    before = linked.state(image)
    able = [each for each in card.discover() if each.embedded and "upscale" in each.operations]
    model = next(each.id for each in able if not each.noise_levels)
    status, message, _ = linked.samovar("upscale", image, [layer], model=model, noise=2)
    assert status == "EXECUTION_ERROR"
    assert "noise" in message and model in message
    assert linked.state(image) == before


def test_what_cannot_be_sent_is_said_in_one_sentence_before_anything_is_started(gimp: RemoteGimp) -> None:
    image = gimp.image(16, 16)
    layer = gimp.layer(image, "RGBA_IMAGE", 16, 16)
    other = gimp.layer(image, "RGBA_IMAGE", 4, 4, 12, 12)
    mask = gimp.add_mask(other, "ff" * 16)
    group = gimp.group(image)
    inner = gimp.layer(image, "RGBA_IMAGE", 16, 16, parent=group)
    gimp.lock(group)
    gimp.select(image, 0, 0, 5, 5)
    before = gimp.state(image)
    cases = (([group], "group"), ([layer, other], "2 layers"), ([mask], "mask"), ([inner], "in a locked group"))
    for drawables, words in cases:
        status, message, seconds = gimp.samovar("upscale", image, drawables)
        assert (status, words in message, seconds < 2) == ("EXECUTION_ERROR", True, True), message
    status, message, _ = gimp.samovar("upscale", image, [other], scope="selection")
    assert status == "EXECUTION_ERROR" and "selection" in message
    assert gimp.state(image) == before

    indexed = gimp.image(8, 8)
    layer = gimp.layer(indexed, "RGB_IMAGE", 8, 8)
    gimp.to_indexed(indexed)
    status, message, _ = gimp.samovar("upscale", indexed, [layer])
    assert status == "EXECUTION_ERROR" and "Mode > RGB" in message


def test_the_plug_in_brings_all_it_needs(gimp: RemoteGimp) -> None:
    """The root's Python has neither msgpack nor zmq, and nothing compiled came along."""
    assert not [path for path in gimp.plugin.rglob("*") if path.suffix in (".so", ".pyd")]
    assert (gimp.plugin / "samovar_link" / "_msgpack").is_dir()
    site = Path(gimp.root) / "usr/lib/python3/dist-packages"
    assert not list(site.glob("msgpack*")) and not list(site.glob("zmq*"))
