"""`texture` in a real GIMP 3: a layer of its own grows from a sample, or what is selected is filled with the rest."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

import numpy as np
import pytest
from desk import Desk
from numpy.typing import NDArray
from remote_gimp import RemoteGimp, daemon_jobs, daemon_status, plain_client, wait_for

from samovar.operations.texture import Params
from samovar_link import Raster, Run, connect

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(240)]

MODEL = "texture/patches"
NAME = f"Texture ({MODEL})"
GROWS = "Texture…"
WIDTH, HEIGHT = 56, 48
SELECTED = (30, 18, 12, 14)
"""What is filled."""


def cloth(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """RGB: stripes each way with some grain, red and yellow, with hardly any blue."""
    y, x = np.mgrid[0:height, 0:width]
    grain = np.random.default_rng(4).integers(0, 30, (height, width))
    return np.stack([170 + (x // 4 % 2) * 50 + grain, (y // 3 % 2) * 120 + grain, grain], -1).astype(np.uint8)


def sheet(gimp: RemoteGimp, pixels: NDArray[np.uint8], x: int = 0, y: int = 0) -> tuple[int, int]:
    """An image, larger than its only layer."""
    height, width, channels = pixels.shape
    image = gimp.image(width + 20, height + 10)
    kind, format = ("RGB_IMAGE", "R'G'B' u8") if channels == 3 else ("RGBA_IMAGE", "R'G'B'A u8")
    layer = gimp.layer(image, kind, width, height, x, y, pixels.tobytes().hex(), format)
    gimp.clean(image)
    return image, layer


def grown(gimp: RemoteGimp, layer: dict, format: str = "R'G'B' u8", dtype: str = "u1") -> NDArray[np.int64]:  # type: ignore[type-arg]
    width, height = layer["size"]
    return np.frombuffer(bytes.fromhex(gimp.pixels(layer["id"], format)), dtype).reshape(height, width, -1).astype(int)


def test_it_is_drawn_from_its_declaration_among_what_renders(gimp: RemoteGimp) -> None:
    arguments = gimp.procedures()["plug-in-samovar-texture"]
    beside = ["tile-x", "tile-y", "seed", "scope"]
    assert list(arguments)[3:] == [*Params.__dataclass_fields__, *beside]
    assert arguments["scope"]["choices"] == ["selection", "layer"]
    assert arguments["result"]["choices"] == ["new", "fill"] and MODEL in arguments["model"]["choices"]
    assert arguments["tile-x"]["default"] is True and arguments["tile-y"]["default"] is True
    assert gimp.menus("texture") == ["<Image>/Filters/Render"]


def test_a_layer_of_another_size_grows_above_its_sample(linked: RemoteGimp) -> None:
    pixels = cloth()
    image, layer = sheet(linked, pixels, 7, -3)
    before = linked.state(image)
    set_so = {"model": MODEL, "width": 70, "height": 40}
    status, message, _ = linked.samovar("texture", image, [layer], tile_x=False, tile_y=True, seed=5, **set_so)
    assert status == "SUCCESS", message
    after = linked.state(image)
    new, old = after["layers"]
    assert (new["name"], new["size"], new["offset"]) == (NAME, [70, 40], [7, -3])
    assert (new["visible"], new["mask"], new["alpha"]) == (True, 0, False)
    assert old == before["layers"][0] and linked.pixels(layer, "R'G'B' u8") == pixels.tobytes().hex()
    assert (after["size"], after["selection"]) == (before["size"], before["selection"])
    sample, data = Raster(HEIGHT, WIDTH, 3), pixels.tobytes()
    expected = plain_client("texture", sample, data, wrap=(False, True), seed=5, **set_so)
    assert bytes.fromhex(linked.pixels(new["id"], "R'G'B' u8")) == expected


def test_nothing_but_what_is_selected_and_seen_of_the_layer_is_the_sample(linked: RemoteGimp) -> None:
    """Elsewhere the layer is blue, and green where its own mask hides it."""
    image, layer = sheet(linked, np.zeros((80, 96, 3), np.uint8), 4, 6)
    linked.select_ellipse(image, 14, 12, 80, 70)
    selected = np.frombuffer(bytes.fromhex(linked.selection(image, 4, 6, 96, 80)), np.uint8).reshape(80, 96) >= 128
    pixels = cloth(96, 80)
    hidden = np.mgrid[0:80, 0:96][1] > 66
    pixels[hidden] = [20, 240, 20]
    pixels[~selected] = [20, 20, 240]
    assert (selected & hidden).sum() > 500
    status, message, _ = linked.samovar("identity", image, [layer])
    assert status == "SUCCESS", message
    source = linked.layer(image, "RGB_IMAGE", 96, 80, 4, 6, pixels.tobytes().hex(), "R'G'B' u8")
    linked.add_mask(source, np.where(hidden, 0, 255).astype(np.uint8).tobytes().hex())
    before = linked.state(image)
    status, message, _ = linked.samovar("texture", image, [source], model=MODEL, width=40, height=52)
    assert status == "SUCCESS", message
    after = linked.state(image)
    new = after["layers"][0]
    assert (new["size"], new["offset"], new["mask"]) == ([40, 52], [4, 6], 0), "at the layer's corner"
    assert after["layers"][1:] == before["layers"] and after["selection"] == before["selection"]
    made = grown(linked, new)
    assert made[..., 2].max() < 40 and made[..., 0].min() > 160, "neither blue nor green"


def test_without_a_size_it_is_as_large_as_what_is_selected_and_layer_scope_takes_all(linked: RemoteGimp) -> None:
    image, layer = sheet(linked, cloth(), 5, 5)
    linked.select(image, 15, 13, 30, 34)
    for scope, size in (("selection", [30, 34]), ("layer", [WIDTH, HEIGHT])):
        status, message, _ = linked.samovar("texture", image, [layer], model=MODEL, scope=scope)
        assert status == "SUCCESS", message
        new = linked.state(image)["layers"][-2]
        assert (new["size"], new["offset"]) == (size, [5, 5])


def test_sixteen_bits_and_lace_come_back_as_such(linked: RemoteGimp) -> None:
    pixels = np.empty((HEIGHT, WIDTH, 4), "<u2")
    pixels[..., :3] = cloth().astype(int) * 257 + np.random.default_rng(1).integers(0, 200, (HEIGHT, WIDTH, 1))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels[..., 3] = np.where((x % 8 < 4) & (y % 8 < 4), 0, 65535)
    image = linked.image(WIDTH, HEIGHT, precision="U16_NON_LINEAR")
    layer = linked.layer(image, "RGBA_IMAGE", WIDTH, HEIGHT, 0, 0, pixels.tobytes().hex(), "R'G'B'A u16")
    status, message, _ = linked.samovar("texture", image, [layer], model=MODEL, width=64, height=40)
    assert status == "SUCCESS", message
    new = linked.state(image)["layers"][0]
    made = grown(linked, new, "R'G'B'A u16", "<u2")
    assert new["alpha"] and made.shape == (40, 64, 4)
    clear = made[..., 3] < 10000
    assert 0.1 < clear.mean() < 0.45 and (made[..., 3] > 55000).mean() > 0.4
    assert (made[~clear][:, :3] % 257).any(), "more than eight bits"


def test_variants_are_layers_of_which_the_first_shows(linked: RemoteGimp) -> None:
    image, layer = sheet(linked, cloth(40, 40), 3, 2)
    status, message, _ = linked.samovar("texture", image, [layer], model=MODEL, variants=2, width=30, height=26)
    assert status == "SUCCESS", message
    *new, old = linked.state(image)["layers"]
    assert [(each["name"], each["visible"]) for each in new] == [(f"{NAME} 1", True), (f"{NAME} 2", False)]
    assert all((each["size"], each["offset"]) == ([30, 26], [3, 2]) for each in new) and old["visible"]
    assert linked.pixels(new[0]["id"]) != linked.pixels(new[1]["id"])
    assert linked.chosen(image)[0] == [f"{NAME} 1"]


@pytest.mark.parametrize("opaque", [True, False])
def test_what_is_selected_is_filled_and_nothing_else(linked: RemoteGimp, opaque: bool) -> None:
    x, y, width, height = SELECTED
    pixels = np.dstack([cloth(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    pixels[y : y + height, x : x + width] = [0, 0, 255, 255]
    if not opaque:
        pixels[y : y + 3, :, 3] = 0
    image, layer = sheet(linked, pixels)
    linked.select(image, *SELECTED)
    before = np.frombuffer(bytes.fromhex(linked.visible(image, "R'G'B'A u8")), np.uint8)
    status, message, _ = linked.samovar("texture", image, [layer], model=MODEL, result="fill", variants=2)
    assert status == "SUCCESS", message
    first, second, old = linked.state(image)["layers"]
    assert (first["name"], first["visible"], second["visible"]) == (f"{NAME} 1", True, False)
    assert (bool(first["mask"]), old["visible"]) == (opaque, opaque), "a copy of all where it can be seen through"
    assert linked.pixels(layer, "R'G'B'A u8") == pixels.tobytes().hex()
    after = np.frombuffer(bytes.fromhex(linked.visible(image, "R'G'B'A u8")), np.uint8)
    changed = (before != after).reshape(HEIGHT + 10, WIDTH + 20, 4).any(-1)
    inside = np.zeros_like(changed)
    inside[y : y + height, x : x + width] = True
    assert not changed[~inside].any() and changed[inside].mean() > 0.7
    filled = after.reshape(HEIGHT + 10, WIDTH + 20, 4)[inside]
    assert filled[filled[:, 3] > 0][:, 2].max() < 60, "no blue"


def test_what_cannot_be_is_one_sentence_and_changes_nothing(linked: RemoteGimp) -> None:
    image, layer = sheet(linked, cloth())
    empty = linked.layer(image, "RGBA_IMAGE", 40, 40)
    before = linked.state(image)
    cases = (
        ([layer], {"result": "fill"}, "Nothing is selected; select what is to be filled."),
        ([empty], {}, "select a part of it that is not transparent"),
    )
    for drawables, values, words in cases:
        status, message, _ = linked.samovar("texture", image, drawables, **{"model": MODEL, **values})
        assert status == "EXECUTION_ERROR" and words in message and "\n" not in message, message
        assert linked.state(image) == before


def test_taken_up_all_variants_lie_where_the_program_that_is_gone_wanted_them(linked: RemoteGimp) -> None:
    image, layer = sheet(linked, cloth())
    with connect("test", "") as client:
        run = Run(
            secrets.token_hex(16), "texture", {"model": MODEL, "width": 30, "height": 26, "variants": 2},
            {"image": Raster(HEIGHT, WIDTH, 3, x=7, y=3)}, priority="batch", keep_result=True,
        )  # fmt: skip
        client.send(run, [cloth().tobytes()])

        def over() -> bool:
            client.pump()
            return [each.state for each in daemon_status().jobs] == ["kept"]

        wait_for(over, 60, "its end")
    wait_for(lambda: any(each.orphan for each in daemon_status().jobs), 20, "the job without its client")
    status, message, _ = linked.samovar("jobs", image, [layer])
    assert status == "SUCCESS", message
    *new, old = linked.state(image)["layers"]
    assert [(each["name"], each["size"], each["offset"], each["visible"]) for each in new] == [
        (f"{NAME} 1", [30, 26], [7, 3], True), (f"{NAME} 2", [30, 26], [7, 3], False)
    ]  # fmt: skip
    assert old["visible"] and daemon_jobs() == []


# --- in the window --------------------------------------------------------------------------------------------------


GOES_ON = {
    "model": "texture/random", "start": "noise", "width": 640, "height": 480, "seconds": 600, "result": "new"
}  # fmt: skip
"""Takes longer than anybody here looks at it."""


def seen(desk: Desk) -> tuple[int, int]:
    """A sample in the window, other than any before, so that nothing is known of it; half of it is selected."""
    pixels = np.roll(cloth(96, 80), random.randrange(1, 40), 1)
    image, layer = sheet(desk.gimp, pixels, 6, 4)
    desk.gimp.select_ellipse(image, 10, 10, 60, 60)
    desk.gimp.clean(image)
    desk.gimp.show(image)
    return image, layer


def names(desk: Desk, image: int) -> list[str]:
    return [each["name"] for each in desk.gimp.state(image)["layers"]]


@pytest.mark.alone
def test_it_shows_where_it_will_be_and_use_this_keeps_it(desk: Desk, artifacts: Path) -> None:
    image, _ = seen(desk)
    before = desk.everything(image)
    desk.work("texture", **GOES_ON)
    wait_for(lambda: names(desk, image)[0] == GROWS, 60, "the texture while it grows")
    live = desk.gimp.state(image)["layers"][0]
    assert (live["size"], live["offset"], live["mask"]) == ([640, 480], [6, 4], 0)
    first = desk.everything(image)[1][0]
    wait_for(lambda: desk.everything(image)[1][0] != first, 30, "a better one")
    window = desk.dialog("Samovar: Texture")
    desk.screen.picture(artifacts / "gimp-texture-live.png")
    desk.screen.press(window, "alt+u")
    wait_for(lambda: not desk.gimp.plugin_processes(), 30, "the end of the plug-in")
    after = desk.everything(image)
    desk.screen.picture(artifacts / "gimp-texture-result.png")
    new, old = after[0]["layers"]
    assert (new["name"], new["size"], new["offset"]) == (f"Texture ({GOES_ON['model']})", [640, 480], [6, 4])
    assert old == before[0]["layers"][0] and after[1][1] == before[1][0] and after[0]["size"] == before[0]["size"]
    assert daemon_jobs() == []
    desk.press("ctrl+z")
    wait_for(lambda: desk.everything(image) == before, 5, "undo of all of it")
    desk.press("ctrl+y")
    wait_for(lambda: desk.everything(image) == after, 5, "redo of all of it")


@pytest.mark.alone
def test_its_dialog_tells_the_sizes_and_cancel_leaves_nothing(desk: Desk, artifacts: Path) -> None:
    image, _ = seen(desk)
    before = desk.everything(image)
    desk.remember("texture", **GOES_ON)
    desk.choose_filter("texture", artifacts / "gimp-render-menu.png")
    dialog = desk.dialog("Samovar: Texture")
    desk.screen.hover(300, 800)
    desk.screen.picture(artifacts / "gimp-texture-dialog.png")
    desk.screen.press(dialog, "alt+o")
    desk.screen.wait_gone(dialog)
    wait_for(lambda: names(desk, image)[0] == GROWS, 60, "the texture while it grows")
    desk.screen.press(desk.dialog("Samovar: Texture"), "alt+c")
    wait_for(lambda: not desk.gimp.plugin_processes(), 20, "the end of the plug-in")
    assert desk.everything(image) == before
    wait_for(lambda: daemon_jobs() == [], 5, "the end of the job")
