"""`faces` in a real GIMP 3: layers out of nothing, whatever is in the image."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desk import Desk
from remote_gimp import RemoteGimp, daemon_jobs, noise, wait_for

from samovar.operations.faces import Params
from samovar_link import Done, Raster, Run, connect

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(300)]

MODEL = "samovar/faces"
SHEET = f"Faces ({MODEL})"
SIDE = 64
SMALL = {"size": str(SIDE), "count": 5}
"""A sheet of three by two, of which one cell stays empty."""


def face(number: int) -> str:
    return f"Face {number} ({MODEL})"


def client(raster: Raster, seed: int = 0, **parameters: Any) -> list[tuple[Raster, bytes]]:
    """What any client gets that sends a pixel of this kind."""
    with connect("test", "") as connected:
        run = Run(secrets.token_hex(16), "faces", parameters, {"image": raster}, seed=seed)
        message, frames = connected.run(run, [bytes(raster.size_bytes)])
        assert isinstance(message, Done)
        return [(each, bytes(frames[each.frame])) for each in message.images.values()]


def drawn(gimp: RemoteGimp, image: int, layers: list[int], seed: int = 0, **values: Any) -> list[dict[str, Any]]:
    """Run it, see that nothing that was there has changed, and return what is new, the uppermost first."""
    before = gimp.state(image)
    pixels = {each["id"]: gimp.pixels(each["id"]) for each in before["layers"]}
    status, message, _ = gimp.samovar("faces", image, layers, seed=seed, **{"model": MODEL, **SMALL, **values})
    assert status == "SUCCESS", message
    after = gimp.state(image)
    new = [each for each in after["layers"] if each["id"] not in pixels]
    assert [each for each in after["layers"] if each["id"] in pixels] == before["layers"]
    assert all(gimp.pixels(id) == old for id, old in pixels.items())
    assert (after["size"], after["selection"]) == (before["size"], before["selection"])
    assert gimp.chosen(image)[0] == [new[0]["name"]]
    return new


def shown(gimp: RemoteGimp, layer: dict[str, Any], format: str) -> bytes:
    return bytes.fromhex(gimp.pixels(layer["id"], format))


def something(pixels: bytes, dtype: str = "u1") -> bool:
    """Whether it is not one flat colour."""
    return len(np.unique(np.frombuffer(pixels, dtype))) > 2


def farthest(a: bytes, b: bytes) -> int:
    return int(np.abs(np.frombuffer(a, np.uint8).astype(int) - np.frombuffer(b, np.uint8)).max())


def test_it_is_drawn_from_its_declaration_among_what_renders_and_asks_for_no_scope(gimp: RemoteGimp) -> None:
    arguments = gimp.procedures()["plug-in-samovar-faces"]
    assert list(arguments)[3:] == [*Params.__dataclass_fields__, "seed"]
    assert arguments["way"]["choices"] == ["new", "vary", "mix"] and MODEL in arguments["model"]["choices"]
    assert gimp.menus("faces") == ["<Image>/Filters/Render"]


def test_a_sheet_is_one_layer_in_the_middle_above_the_active_one(linked: RemoteGimp) -> None:
    image = linked.image(301, 203)
    below = linked.layer(image, "RGBA_IMAGE", 40, 30, 7, 9, noise(4800).hex(), "R'G'B'A u8")
    linked.layer(image, "RGBA_IMAGE", 10, 10, name="above")
    (new,) = drawn(linked, image, [below], seed=7)
    x, y = (301 - 3 * SIDE) // 2, (203 - 2 * SIDE) // 2
    assert (new["name"], new["size"], new["offset"]) == (SHEET, [3 * SIDE, 2 * SIDE], [x, y])
    assert (new["visible"], new["opacity"], new["alpha"], new["mask"]) == (True, 100.0, True, 0)
    assert [each["name"] for each in linked.state(image)["layers"]] == ["above", SHEET, "source"]
    ((raster, pixels),) = client(Raster(1, 1, 4, x=x, y=y), seed=7, model=MODEL, **SMALL)
    assert (raster.x, raster.y) == (x, y)
    assert shown(linked, new, "R'G'B'A u8") == pixels and something(pixels)


def test_each_is_a_layer_of_its_own_in_a_group_and_they_lie_as_on_the_sheet(linked: RemoteGimp) -> None:
    image = linked.image(200, 150)
    layer = linked.layer(image, "RGB_IMAGE", 200, 150)
    (group,) = drawn(linked, image, [layer], seed=11, result="each")
    x, y = (200 - 3 * SIDE) // 2, (150 - 2 * SIDE) // 2
    assert (group["name"], group["size"], group["offset"]) == (SHEET, [3 * SIDE, 2 * SIDE], [x, y])
    assert [each["name"] for each in group["children"]] == [face(number) for number in range(11, 16)]
    places = [[x + column * SIDE, y + row * SIDE] for row in range(2) for column in range(3)]
    assert [each["offset"] for each in group["children"]] == places[:5]
    assert all((each["size"], each["visible"]) == ([SIDE, SIDE], True) for each in group["children"])
    expected = client(Raster(1, 1, 3), seed=11, model=MODEL, result="each", **SMALL)
    assert [shown(linked, each, "R'G'B' u8") for each in group["children"]] == [pixels for _, pixels in expected]
    assert len({pixels for _, pixels in expected}) > 1


def test_one_of_the_sheet_comes_alone_and_is_named_by_its_number(linked: RemoteGimp) -> None:
    image = linked.image(100, 100)
    layer = linked.layer(image, "RGB_IMAGE", 100, 100)
    (new,) = drawn(linked, image, [layer], seed=11, only=4)
    assert (new["name"], new["size"], new["offset"]) == (face(14), [SIDE, SIDE], [18, 18])
    ((_, pixels),) = client(Raster(1, 1, 3), seed=11, model=MODEL, only=4, **SMALL)
    assert shown(linked, new, "R'G'B' u8") == pixels
    among = client(Raster(1, 1, 3), seed=11, model=MODEL, result="each", **SMALL)[3][1]
    assert farthest(pixels, among) <= 1, "as on the sheet, but for rounding"
    (single,) = drawn(linked, image, [layer], seed=3, result="each", count=1)
    assert (single["name"], single["children"]) == (face(3), [])


def test_variations_and_mixes_say_of_which_faces(linked: RemoteGimp) -> None:
    image = linked.image(100, 100)
    layer = linked.layer(image, "RGB_IMAGE", 100, 100)
    (varied,) = drawn(linked, image, [layer], seed=5, way="vary", result="each", count=3)
    assert [each["name"] for each in varied["children"]] == [
        face(5), f"Face 5, variation 1 ({MODEL})", f"Face 5, variation 2 ({MODEL})"
    ]  # fmt: skip
    linked.remove(image, varied["id"])  # GIMP has no name twice
    (mixed,) = drawn(linked, image, [layer], seed=5, way="mix", other=9, result="each", count=3)
    assert [each["name"] for each in mixed["children"]] == [face(5), f"Face 5 with 50% of face 9 ({MODEL})", face(9)]
    (own,) = drawn(linked, image, [layer], seed=9, only=1)
    last, alone = (bytes.fromhex(linked.pixels(each["id"])) for each in (mixed["children"][2], own))
    assert farthest(last, alone) <= 1


def test_where_the_sheet_is_larger_it_begins_at_the_images_corner(linked: RemoteGimp) -> None:
    image = linked.image(100, 300)
    layer = linked.layer(image, "RGB_IMAGE", 10, 10)
    (new,) = drawn(linked, image, [layer])
    assert new["offset"] == [0, (300 - 2 * SIDE) // 2]


@pytest.mark.parametrize("base, kind, colour", [("RGB", "RGBA_IMAGE", "R'G'B'A"), ("GRAY", "GRAY_IMAGE", "Y'")])
@pytest.mark.parametrize(
    "precision, depth, dtype",
    [("U8_NON_LINEAR", "u8", "u1"), ("U16_NON_LINEAR", "u16", "<u2"), ("FLOAT_LINEAR", "float", "<f4")],
)
def test_it_has_the_pixels_of_the_layer_it_lies_above(
    linked: RemoteGimp, base: str, kind: str, colour: str, precision: str, depth: str, dtype: str
) -> None:
    image = linked.image(120, 120, base, precision)
    layer = linked.layer(image, kind, 20, 20)
    (new,) = drawn(linked, image, [layer], count=2)
    assert new["alpha"] == (kind == "RGBA_IMAGE")
    wire = {"float": "f32"}.get(depth, depth)
    channels = 4 if colour == "R'G'B'A" else 1
    ((_, pixels),) = client(Raster(1, 1, channels, wire), model=MODEL, size=str(SIDE), count=2)
    found = shown(linked, new, f"{colour} {depth}")
    assert something(found, dtype)
    if depth == "float":  # in linear light in GIMP: there and back
        difference = np.abs(np.frombuffer(found, dtype) - np.frombuffer(pixels, dtype))
        assert difference.max() < 1e-5
    else:
        assert found == pixels
    assert dtype != "<u2" or (np.frombuffer(found, dtype)[::4] % 257).any(), "more than eight bits"


def test_a_wide_profile_is_kept_and_colours_look_the_same(linked: RemoteGimp) -> None:
    image = linked.image(120, 120, precision="FLOAT_NON_LINEAR", profile="new_rgb_adobe")
    layer = linked.layer(image, "RGB_IMAGE", 20, 20)
    (new,) = drawn(linked, image, [layer], count=2)
    ((_, pixels),) = client(Raster(1, 1, 3, "f32"), model=MODEL, size=str(SIDE), count=2)
    found = np.frombuffer(shown(linked, new, "R'G'B' float"), "<f4")
    assert np.abs(found - np.frombuffer(pixels, "<f4")).max() < 1e-3  # its curve is no formula


def test_without_any_layer_the_image_says_which_pixels(linked: RemoteGimp) -> None:
    for base, precision, format, raster in (
        ("RGB", "U16_NON_LINEAR", "R'G'B'A u16", Raster(1, 1, 4, "u16")),
        ("GRAY", "U8_NON_LINEAR", "Y'A u8", Raster(1, 1, 2)),
    ):
        image = linked.image(120, 120, base, precision)
        (new,) = drawn(linked, image, [])
        assert (new["name"], new["alpha"]) == (SHEET, True)
        assert shown(linked, new, format) == client(raster, model=MODEL, **SMALL)[0][1]


def test_what_is_selected_locked_hidden_empty_or_a_group_makes_no_difference(linked: RemoteGimp) -> None:
    image = linked.image(120, 120)
    group = linked.group(image)
    layer = linked.layer(image, "RGBA_IMAGE", 30, 30, parent=group)
    linked.lock(group)
    linked.select(image, 5, 5, 3, 3)
    lying = linked.layer(image, "RGBA_IMAGE", 1, 1, 400, 400, name="far away")
    linked.lock(lying)
    linked.hide(lying)
    expected = client(Raster(1, 1, 4), model=MODEL, **SMALL)[0][1]
    for active, others in (
        (layer, ["far away", SHEET, "group"]), (group, ["far away", SHEET, "group"]),
        (lying, [SHEET, "far away", "group"]),
    ):  # fmt: skip
        (new,) = drawn(linked, image, [active])
        assert [each["name"] for each in linked.state(image)["layers"]] == others, "outside of what is locked"
        assert shown(linked, new, "R'G'B'A u8") == expected
        linked.remove(image, new["id"])


def test_within_an_open_group_it_stays_there_and_several_layers_are_no_obstacle(linked: RemoteGimp) -> None:
    image = linked.image(120, 120)
    group = linked.group(image)
    layer = linked.layer(image, "RGBA_IMAGE", 30, 30, parent=group)
    other = linked.layer(image, "RGBA_IMAGE", 30, 30)
    status, message, _ = linked.samovar("faces", image, [layer, other], result="each", **SMALL)
    assert status == "SUCCESS", message
    _, outer = linked.state(image)["layers"]
    assert [each["name"] for each in outer["children"]] == [SHEET, "source"]
    assert len(outer["children"][0]["children"]) == 5


def test_a_mask_or_channel_that_is_active_counts_as_no_layer(linked: RemoteGimp) -> None:
    image = linked.image(40, 30)
    layer = linked.layer(image, "RGB_IMAGE", 40, 30)
    mask = linked.add_mask(layer, bytes([255] * 1200).hex())
    status, message, _ = linked.samovar("faces", image, [mask], **SMALL)
    assert status == "SUCCESS", message
    assert [each["name"] for each in linked.state(image)["layers"]] == [SHEET, "source"]


def test_what_cannot_be_is_one_sentence_and_changes_nothing(linked: RemoteGimp) -> None:
    image = linked.image(40, 30)
    layer = linked.layer(image, "RGB_IMAGE", 40, 30, pixels=noise(3600).hex(), format="R'G'B' u8")
    indexed = linked.image(40, 30)
    old = linked.layer(indexed, "RGB_IMAGE", 40, 30)
    linked.to_indexed(indexed)
    cut = linked.image(40, 30)
    floating = linked.float_selection(cut, linked.layer(cut, "RGBA_IMAGE", 40, 30))
    for where, drawables, values, words in (
        (image, [layer], {"only": 6}, "faces.only is 6; allowed: 0..5"),
        (cut, [floating], {}, "There is a floating selection; anchor it or make it a new layer first."),
        (indexed, [old], {}, "The image has indexed colours; convert it first: Image > Mode > RGB."),
    ):
        before = linked.state(where)
        status, message, _ = linked.samovar("faces", where, drawables, **{"model": MODEL, **SMALL, **values})
        assert status == "EXECUTION_ERROR" and words in message and "\n" not in message, message
        assert linked.state(where) == before


# --- in the window --------------------------------------------------------------------------------------------------


def test_from_the_menu_with_a_selection_to_one_step_of_undo(desk: Desk, artifacts: Path) -> None:
    image, _ = desk.picture(480, 320)
    desk.gimp.select(image, 20, 20, 60, 50)
    desk.gimp.clean(image)
    before = desk.everything(image)
    desk.remember("faces", size="128", count=6, result="each", seed=4)
    desk.choose_filter("faces", artifacts / "gimp-faces-menu.png")
    dialog = desk.dialog("Samovar: Faces")
    desk.screen.hover(300, 800)
    desk.screen.picture(artifacts / "gimp-faces-dialog.png")
    desk.screen.press(dialog, "alt+o")
    wait_for(lambda: len(desk.gimp.state(image)["layers"]) == 2, 60, "the new layers")
    wait_for(lambda: not desk.gimp.plugin_processes(), 10, "the end of the plug-in")
    after = desk.everything(image)
    desk.screen.hover(300, 801)
    desk.screen.picture(artifacts / "gimp-faces.png")
    group, old = after[0]["layers"]
    assert [each["name"] for each in group["children"]] == [face(number) for number in range(4, 10)]
    assert old == before[0]["layers"][0] and after[0]["selection"] == before[0]["selection"]
    assert (group["size"], group["offset"]) == ([384, 256], [48, 32])

    desk.press("ctrl+z")
    wait_for(lambda: desk.everything(image) == before, 5, "undo of all of it")
    desk.press("ctrl+y")
    wait_for(lambda: desk.everything(image) == after, 5, "redo of all of it")
    status, message, _ = desk.gimp.samovar("faces", image, [old["id"]], "WITH_LAST_VALS")
    assert status == "SUCCESS", message
    assert desk.gimp.pixels(desk.gimp.state(image)["layers"][1]["id"]) == desk.gimp.pixels(group["id"])


@pytest.mark.parametrize("way, amount, other", [("new", 0.25, 3), ("vary", 0.75, 8), ("mix", 0.25, 8)])
def test_the_dialog_opens_in_an_image_without_layers_and_takes_nothing_that_means_nothing(
    desk: Desk, artifacts: Path, way: str, amount: float, other: int
) -> None:
    image = desk.gimp.image(200, 150)
    desk.gimp.show(image)
    values = {"way": way, "size": "64", "count": 2, "amount": 0.25, "other": 3}
    desk.remember("faces", **values)
    desk.gimp.begin("samovar", "faces", image, [], "INTERACTIVE", **values)  # GIMP's own menu wants a layer
    dialog = desk.dialog("Samovar: Faces")
    for letter, typed in (("v", "0.75"), ("d", "8")):  # those underlined in "Variation" and "Other seed"
        desk.screen.press(dialog, f"alt+{letter}", "ctrl+a")
        desk.screen.type(typed)
        desk.screen.press(dialog, "Tab")
    desk.screen.picture(artifacts / f"gimp-faces-{way}.png")
    desk.screen.press(dialog, "alt+o")
    status, message, _ = desk.gimp.end()
    assert status == "SUCCESS", message
    assert [each["name"] for each in desk.gimp.state(image)["layers"]] == [SHEET]
    found = dict(re.findall(r"^\((amount|other) (\S+)\)", desk.remembered("faces"), re.MULTILINE))
    assert (float(found["amount"]), int(found["other"])) == (amount, other)


@pytest.mark.alone
def test_cancel_leaves_nothing(desk: Desk) -> None:
    image, _ = desk.picture(60, 40)
    before = desk.everything(image)
    desk.work("faces", size="512", count=64, result="each", seed=5)
    wait_for(lambda: daemon_jobs(working=True) == ["faces"], 60, "the job")
    desk.screen.press(desk.dialog("Samovar: Faces"), "alt+c")
    wait_for(lambda: not desk.gimp.plugin_processes(), 20, "the end of the plug-in")
    wait_for(lambda: daemon_jobs() == [], 20, "the end of the job")
    time.sleep(0.3)
    assert desk.everything(image) == before
