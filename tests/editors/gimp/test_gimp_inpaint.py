"""`inpaint` in a real GIMP 3: what is selected goes, in a patch with a layer mask, and nothing else changes."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest
from desk import Desk
from remote_gimp import RemoteGimp, daemon_jobs, plain_client, wait_for

from samovar_link import Raster

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(240)]

WIDTH, HEIGHT = 300, 220
NAME = "Remove Selection (patchmatch)"
FORMATS = {
    "U8_NON_LINEAR": ("u8", "R'G'B' u8"), "U16_NON_LINEAR": ("u16", "R'G'B' u16"),
    "FLOAT_NON_LINEAR": ("f32", "R'G'B' float"),
}  # fmt: skip


def wall(dtype: str, alpha: bool = False) -> bytes:
    """Bricks with some grain, and a red disc on them."""
    grain = random.Random(5)
    values: list[float] = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            row = y // 20
            joint = y % 20 < 3 or (x + 25 * (row % 2)) % 50 < 3
            shade = (0.75 if joint else 0.45) + grain.uniform(-0.02, 0.02)
            colour = [shade, shade * 0.8, shade * 0.7]
            if (x - 150) ** 2 + (y - 110) ** 2 < 24**2:
                colour = [0.9, 0.1, 0.1]
            values += colour + [1.0] * alpha
    if dtype == "f32":
        return array("f", values).tobytes()
    top, kind = (255, "B") if dtype == "u8" else (65535, "H")
    return array(kind, [round(each * top) for each in values]).tobytes()


def differing(before: bytes, after: bytes, dtype: str) -> set[int]:
    """Indices of pixels that are not the same. GIMP mixes layers in linear light, and floats come back rounded, outside
    of a patch, too."""
    kind, near = {"u8": ("B", 0), "u16": ("H", 0), "f32": ("f", 1e-5)}[dtype]
    pairs = zip(array(kind, before), array(kind, after), strict=True)
    depth = len(array(kind, before)) // (WIDTH * HEIGHT)
    return {at // depth for at, (a, b) in enumerate(pairs) if abs(a - b) > near}


def test_without_a_selection_a_sentence_says_what_to_do(linked: RemoteGimp) -> None:
    image = linked.image(40, 40)
    layer = linked.layer(image, "RGB_IMAGE", 40, 40)
    before = linked.state(image)
    status, message, _ = linked.samovar("inpaint", image, [layer])
    assert status == "EXECUTION_ERROR" and "select what is to be filled" in message and "\n" not in message
    assert linked.state(image) == before


def test_its_arguments_are_those_of_the_operation_and_a_seed_and_there_is_no_scope(gimp: RemoteGimp) -> None:
    arguments = gimp.procedures()["plug-in-samovar-inpaint"]
    names = ["model", "context", "grow", "feather", "blend", "match", "exact", "variants", "seed"]
    assert [name for name in arguments if name in names] == names and "scope" not in arguments
    assert "patchmatch" in arguments["model"]["choices"]


@pytest.mark.parametrize("precision", FORMATS)
def test_the_saved_picture_differs_only_where_the_patch_shows(linked: RemoteGimp, precision: str) -> None:
    dtype, format = FORMATS[precision]
    pixels = wall(dtype)
    image = linked.image(WIDTH, HEIGHT, precision=precision)
    layer = linked.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, 0, 0, pixels.hex(), format)
    linked.select(image, 122, 82, 56, 56)
    chosen = linked.state(image)["selection"]
    before = bytes.fromhex(linked.visible(image, format))
    assert before == pixels
    status, message, _ = linked.samovar("inpaint", image, [layer], seed=3)
    assert status == "SUCCESS", message

    state = linked.state(image)
    new, old = state["layers"]
    assert (new["name"], old["id"], old["visible"], state["selection"]) == (NAME, layer, True, chosen)
    assert linked.pixels(layer, format) == pixels.hex()
    (x, y), (width, height) = new["offset"], new["size"]
    assert width < 150 and height < 150, "only the patch"
    mask = bytes.fromhex(linked.pixels(new["mask"], "Y u8"))
    assert set(mask) == {0, 255}
    shown = {(y + at // width) * WIDTH + x + at % width for at, value in enumerate(mask) if value}

    linked.save(image, str(linked.folder / "removed.xcf"))
    again = linked.load(str(linked.folder / "removed.xcf"))
    after = bytes.fromhex(linked.visible(again, format))
    assert linked.pixels(linked.state(again)["layers"][1]["id"], format) == pixels.hex()
    changed = differing(before, after, dtype)
    assert changed and changed <= shown
    near = {at for at in shown if 122 - 6 <= at % WIDTH < 178 + 6 and 82 - 6 <= at // WIDTH < 138 + 6}
    assert changed <= near, "grown by 4"
    middle = array({"u8": "B", "u16": "H", "f32": "f"}[dtype], after)[(110 * WIDTH + 150) * 3 :][:3]
    top = {"u8": 255, "u16": 65535, "f32": 1.0}[dtype]
    assert middle[0] / top < 0.8 and middle[1] / top > 0.3, "no red"


def test_the_patch_is_what_a_client_gets_that_sends_the_whole_layer(linked: RemoteGimp) -> None:
    pixels = wall("u8")
    image = linked.image(WIDTH, HEIGHT)
    layer = linked.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, 0, 0, pixels.hex(), "R'G'B' u8")
    linked.select(image, 122, 82, 56, 56)
    mask = bytes.fromhex(linked.selection(image, 0, 0, WIDTH, HEIGHT))
    status, message, _ = linked.samovar("inpaint", image, [layer], exact=True, context=64)
    assert status == "SUCCESS", message
    new = linked.state(image)["layers"][0]
    expected = plain_client(
        "inpaint", Raster(HEIGHT, WIDTH, 3), pixels, None, (Raster(HEIGHT, WIDTH, 1), mask), exact=True, context=64
    )
    (x, y), (width, height) = new["offset"], new["size"]
    found = bytes.fromhex(linked.pixels(new["id"], "R'G'B' u8"))
    rows = [expected[((y + row) * WIDTH + x) * 3 : ((y + row) * WIDTH + x + width) * 3] for row in range(height)]
    assert found == b"".join(rows) != pixels


def test_a_layer_that_shows_what_is_below_is_replaced_by_a_copy(linked: RemoteGimp) -> None:
    pixels = bytearray(wall("u8", alpha=True))
    pixels[3 : 40 * WIDTH * 4 : 4] = bytes(40 * WIDTH)
    image = linked.image(WIDTH, HEIGHT)
    linked.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, name="below")
    layer = linked.layer(image, "RGBA_IMAGE", WIDTH, HEIGHT, 0, 0, bytes(pixels).hex(), "R'G'B'A u8")
    linked.select(image, 122, 30, 56, 100)
    before = bytes.fromhex(linked.visible(image, "R'G'B'A u8"))
    status, message, _ = linked.samovar("inpaint", image, [layer], exact=True)
    assert status == "SUCCESS", message
    new, old, _ = linked.state(image)["layers"]
    assert (new["size"], new["visible"], old["visible"]) == ([WIDTH, HEIGHT], True, False)
    after = bytes.fromhex(linked.visible(image, "R'G'B'A u8"))
    changed = differing(before, after, "u8")
    assert changed and all(122 <= at % WIDTH < 178 and 30 <= at // WIDTH < 130 for at in changed)
    assert linked.pixels(layer, "R'G'B'A u8") == bytes(pixels).hex()


def test_three_variants_are_three_layers_of_which_the_first_shows(linked: RemoteGimp) -> None:
    image = linked.image(WIDTH, HEIGHT)
    layer = linked.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, 0, 0, wall("u8").hex(), "R'G'B' u8")
    linked.select(image, 122, 82, 56, 56)
    status, message, _ = linked.samovar("inpaint", image, [layer], variants=3)
    assert status == "SUCCESS", message
    *new, old = linked.state(image)["layers"]
    assert [(each["name"], each["visible"]) for each in new] == [
        (f"{NAME} 1", True), (f"{NAME} 2", False), (f"{NAME} 3", False)
    ]  # fmt: skip
    assert len({linked.pixels(each["id"]) for each in new}) == 3 and old["visible"]


def test_another_seed_gives_another_patch_and_the_same_one_the_same(linked: RemoteGimp) -> None:
    made = []
    for seed in (1, 1, 2):
        image = linked.image(WIDTH, HEIGHT)
        layer = linked.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, 0, 0, wall("u8").hex(), "R'G'B' u8")
        linked.select(image, 122, 82, 56, 56)
        status, message, _ = linked.samovar("inpaint", image, [layer], seed=seed)
        assert status == "SUCCESS", message
        made.append(linked.pixels(linked.state(image)["layers"][0]["id"]))
    assert made[0] == made[1] != made[2]


def test_cancel_leaves_the_image_as_it_was(linked: RemoteGimp) -> None:
    """The status bar's Cancel kills the plug-in; so does this."""
    image = linked.image(1500, 1200)
    layer = linked.layer(image, "RGB_IMAGE", 1500, 1200)
    linked.scramble(layer, 3)
    linked.select(image, 200, 200, 1000, 800)
    linked.clean(image)
    before = linked.state(image), linked.digest(layer)
    linked.begin("samovar", "inpaint", image, [layer], variants=3)
    wait_for(lambda: daemon_jobs(working=True) == ["inpaint"], 60, "the job")
    (process,) = linked.plugin_processes()
    process.kill()
    assert linked.end()[0] != "SUCCESS"
    wait_for(lambda: daemon_jobs() == [], 20, "the end of the job")
    assert (linked.state(image), linked.digest(layer)) == before
    linked.delete(image)


def test_in_the_window_it_is_one_step_of_undo(desk: Desk, artifacts: Path) -> None:
    gimp = desk.gimp
    image = gimp.image(WIDTH, HEIGHT)
    gimp.layer(image, "RGB_IMAGE", WIDTH, HEIGHT, 0, 0, wall("u8").hex(), "R'G'B' u8")
    gimp.select(image, 122, 82, 56, 56, feather=4)
    gimp.clean(image)
    gimp.show(image)
    before = desk.everything(image)
    desk.choose_filter("inpaint", artifacts / "gimp-inpaint-menu.png")
    dialog = desk.dialog("Samovar: Remove Selection")
    desk.screen.hover(300, 800)
    desk.screen.picture(artifacts / "gimp-inpaint-dialog.png")
    desk.screen.press(dialog, "alt+o")
    wait_for(lambda: len(gimp.state(image)["layers"]) == 2, 60, "the new layer")
    wait_for(lambda: not gimp.plugin_processes(), 10, "the end of the plug-in")
    after = desk.everything(image)
    desk.screen.picture(artifacts / "gimp-inpaint-result.png")
    new, old = after[0]["layers"]
    assert bool(new["mask"]) and old["visible"] and after[0]["selection"] == before[0]["selection"]
    desk.press("ctrl+z")
    wait_for(lambda: desk.everything(image) == before, 5, "undo of all of it")
    desk.press("ctrl+y")
    wait_for(lambda: desk.everything(image) == after, 5, "redo of all of it")
