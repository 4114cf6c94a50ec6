"""More of a cloth: from all of a layer, from an ellipse, in variants, in 16 bits, watched; and a hole in it filled."""

import random

from krita import Selection
from samovar_krita import _desk as desk

LEFT, TOP, WIDTH, HEIGHT = 9, 5, 56, 48
CANVAS = (150, 110)
HOLE = (30, 20, 12, 14)


def cloth(width, height, seed=4):
    """BGRA, opaque: stripes each way with some grain, red and yellow, with hardly any blue."""
    grain, pixels = random.Random(seed), bytearray()
    for y in range(height):
        for x in range(width):
            noise = grain.randrange(30)
            pixels += bytes([noise, y // 3 % 2 * 120 + noise, 170 + x // 4 % 2 * 50 + noise, 255])
    return pixels


def ellipse(width, height):
    """One byte a pixel, soft at its border."""
    middle = ((width - 1) / 2, (height - 1) / 2)
    return bytes(
        round(255 * min(1, max(0, 4 * (1.2 - ((x - middle[0]) / middle[0]) ** 2 - ((y - middle[1]) / middle[1]) ** 2))))
        for y in range(height)
        for x in range(width)
    )


def scenario(test):
    facts, krita = test.facts, test.krita

    def layers():
        return [each for each in document.rootNode().childNodes() if each.type() != "selectionmask"]

    def composite():
        return bytes(document.pixelData(0, 0, *CANVAS))

    def state():
        return [[each.name(), *each.bounds().getRect(), each.visible()] for each in layers()], composite()

    def add(pixels, left, top, width, height):
        node = document.createNode("source", "paintlayer")
        node.setPixelData(bytes(pixels), left, top, width, height)
        document.rootNode().addChildNode(node, document.rootNode().childNodes()[-1])
        yield 500
        document.setActiveNode(node)
        yield 300
        return node

    def select(bytes_, box):
        selection = Selection()
        selection.setPixelData(bytes_, *box)
        document.setSelection(selection)
        yield 500

    def begin(**values):
        document.setActiveNode(source)
        yield 300
        for name, value in values.items():
            widget = docker._form.widget(name)
            if hasattr(widget, "setChecked"):
                widget.setChecked(value)
            elif hasattr(widget, "setValue"):
                widget.setValue(value)
            else:
                widget.setCurrentIndex(widget.findData(value))
        yield 100
        docker._show_size()
        docker.run_button.click()

    def run(**values):
        yield from begin(**values)
        yield from test.until(lambda: desk.job is None, 60)
        yield 500
        facts.setdefault("says", []).append(desk.status)

    def step(action, wanted):
        """Undo or redo one step, and whether that came to what was wanted."""
        krita.action(action).trigger()
        yield from test.until(lambda: state() == wanted, 5)
        yield 200
        return state() == wanted

    def undo(wanted):
        return (yield from step("edit_undo", wanted))

    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    for each in krita.dockers():
        each.setVisible(each.objectName() in ("samovar_docker", "KisLayerBox"))
    document = test.document(*CANVAS)
    yield 800
    source = yield from add(cloth(WIDTH, HEIGHT), LEFT, TOP, WIDTH, HEIGHT)
    krita.action("samovar_texture").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)
    yield 300
    facts["operation"] = docker.operation.id
    facts["parameters"] = list(docker._form._widgets)
    facts["tiled"] = [docker._form.widget(each).isChecked() for each in ("tile_x", "tile_y")]
    before = state()

    # --- from all of the layer, along y without a seam
    yield from run(model="texture/patches", width=70, height=40, tile_x=False, seed=5)
    facts["size"] = [docker.size_label.text(), docker._result_row.isVisible()]
    facts["whole"] = state()[0]
    facts["undo"] = krita.action("edit_undo").text()
    facts["source_same"] = bytes(source.pixelData(LEFT, TOP, WIDTH, HEIGHT)) == bytes(cloth(WIDTH, HEIGHT))
    test.save("source.bin", cloth(WIDTH, HEIGHT))
    test.save("whole.bin", layers()[-1].pixelData(LEFT, TOP, 70, 40))
    test.screenshot("texture.png")
    after = state()
    facts["undone"] = yield from undo(before)
    facts["redone"] = yield from step("edit_redo", after)
    yield from undo(before)

    # --- two to choose from
    yield from run(width=30, height=26, variants=2)
    group = layers()[-1]
    facts["group"] = [
        group.type(), group.name(), [[each.name(), each.visible()] for each in group.childNodes()],
        [list(each.bounds().getRect()) for each in group.childNodes()],
        len({bytes(each.pixelData(LEFT, TOP, 30, 26)) for each in group.childNodes()}),
    ]  # fmt: skip
    yield from test.until(lambda: composite() != before[1], 5)
    facts["group_seen"] = composite() != before[1]
    facts["group_undone"] = yield from undo(before)
    docker._form.widget("variants").setValue(1)

    # --- filled, where it needs a selection
    facts["idle"] = [docker._form.widget(each).isEnabled() for each in ("width", "height", "tile_x", "tile_y")]
    yield from run(result="fill")
    facts["unselected"] = [desk.status, docker.size_label.text(), len(layers())]
    facts["idle"] += [docker._form.widget(each).isEnabled() for each in ("width", "height", "tile_x", "tile_y")]
    pixels = cloth(WIDTH, HEIGHT)
    for y in range(HOLE[1], HOLE[1] + HOLE[3]):
        start = ((y - TOP) * WIDTH + HOLE[0] - LEFT) * 4
        pixels[start : start + 4 * HOLE[2]] = bytes([240, 20, 20, 255]) * HOLE[2]
    source.setPixelData(bytes(pixels), LEFT, TOP, WIDTH, HEIGHT)
    document.refreshProjection()
    yield from select(b"\xff" * (HOLE[2] * HOLE[3]), HOLE)
    holed = state()
    test.save("holed.bin", holed[1])
    yield from run()
    facts["filled"] = state()[0]
    test.save("filled.bin", composite())
    facts["filling_undone"] = yield from undo(holed)

    # --- from an ellipse, with blue around it
    source.remove()
    yield 500
    box = (20, 10, 56, 50)
    shape = ellipse(56, 50)
    pixels = bytearray(bytes([240, 20, 20, 255]) * (90 * 76))
    inside = cloth(90, 76)
    for y in range(50):
        for x in range(56):
            at = ((y + box[1] - 4) * 90 + x + box[0] - 6) * 4
            if shape[y * 56 + x] >= 128:
                pixels[at : at + 4] = inside[at : at + 4]
    source = yield from add(pixels, 6, 4, 90, 76)
    yield from select(shape, box)
    before = state()
    yield from run(result="new", width=44, height=0, tile_x=True)
    facts["ellipse"] = [docker.size_label.text(), state()[0]]
    test.save("ellipse.bin", layers()[-1].pixelData(6, 4, 44, 50))
    facts["ellipse_undone"] = yield from undo(before)

    # --- watched, kept: it takes longer than anybody here looks at it
    yield from begin(model="texture/random", start="noise", seconds=600, width=640, height=480)
    yield from test.until(lambda: desk.job is None or desk.job.keepable, 60)
    yield 800
    assert desk.job is not None, desk.status
    live = layers()[-1]
    facts["live"] = [live.name(), list(live.bounds().getRect()), docker.use_button.isEnabled()]
    first = composite()
    yield from test.until(lambda: desk.job is None or composite() != first, 30)
    facts["better"] = desk.job is not None
    test.screenshot("texture-live.png")
    docker.use_button.click()
    yield from test.until(lambda: desk.job is None, 30)
    yield 800
    facts["kept"] = [desk.status, state()[0]]
    facts["kept_undone"] = yield from undo(before)

    # --- cancelled
    yield from begin(seed=7)
    yield from test.until(lambda: desk.job is None or desk.job.keepable, 60)
    yield 800
    docker.cancel_button.click()
    yield from test.until(lambda: desk.job is None, 5)
    yield 1500
    facts["cancelled"] = [desk.status, state() == before]

    # --- lost, and taken up where another layer is active
    yield from begin(seed=8)
    yield from test.until(lambda: desk.job is None or desk.job.keepable, 60)
    yield 500
    desk.session.close()
    yield 1500
    facts["lost"] = state() == before
    desk.connect(False)
    yield from test.until(lambda: desk.session.state == "ready", 5)

    def looked():
        desk.look_for_jobs()
        return bool(desk.waiting)

    yield from test.until(looked, 15)
    document.setActiveNode(layers()[0])
    yield 500
    docker.take_up_button.click()
    yield from test.until(lambda: desk.job is None or desk.job.keepable, 60)
    yield 500
    docker.use_button.click()
    yield from test.until(lambda: desk.job is None, 30)
    yield 800
    facts["taken"] = [desk.status, state()[0]]

    # --- 16 bits, and holes all over
    document = test.document(*CANVAS, depth="U16")
    yield 800
    lace = bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            at = (y * WIDTH + x) * 4
            for value in inside[at : at + 3]:
                lace += (value * 257 + (x * 31 + y * 17) % 200).to_bytes(2, "little")
            lace += bytes(2) if x % 8 < 4 and y % 8 < 4 else b"\xff\xff"
    source = yield from add(lace, LEFT, TOP, WIDTH, HEIGHT)
    yield from run(model="texture/patches", width=64, height=40)
    made = layers()[-1]
    facts["lace"] = [made.colorModel(), made.colorDepth()]
    test.save("lace.bin", made.pixelData(LEFT, TOP, 64, 40))
