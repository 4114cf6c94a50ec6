"""A page is coloured, alone and led by strokes; as a picture and as layers of colour; and a gray document."""

from samovar_krita import _desk as desk

SIDE = 160


def page():
    """BGRA, opaque: four gray areas with dark lines between them."""
    rows = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            line = x % 80 < 3 or y % 80 < 3
            shade = 15 if line else 110 + x // 80 * 50 + y // 80 * 20
            rows += bytes([shade, shade, shade, 255])
    return bytes(rows)


def stroke():
    """BGRA: red in the first area, clear elsewhere."""
    pixels = bytearray(SIDE * SIDE * 4)
    for y in range(30, 40):
        for x in range(25, 60):
            at = (y * SIDE + x) * 4
            pixels[at : at + 4] = bytes([40, 30, 210, 255])
    return bytes(pixels)


def scenario(test):
    facts, krita = test.facts, test.krita

    def layers():
        return [each for each in document.rootNode().childNodes() if each.type() != "selectionmask"]

    def add(name, pixels):
        node = document.createNode(name, "paintlayer")
        node.setPixelData(pixels, 0, 0, SIDE, SIDE)
        document.rootNode().addChildNode(node, document.rootNode().childNodes()[-1])
        return node

    def run(**values):
        document.setActiveNode(source)
        yield 300
        for name, value in values.items():
            widget = docker._form.widget(name)
            widget.setCurrentIndex(widget.findData(value))
        yield 300
        docker.run_button.click()
        yield from test.until(lambda: desk.job is None, 120)
        yield 800
        facts.setdefault("says", []).append(desk.status)

    document = test.document(SIDE, SIDE)
    yield 800
    source, strokes = add("source", page()), add("strokes", stroke())
    strokes.setVisible(False)
    yield 500  # what was added last becomes the active one a moment later
    document.setActiveNode(source)
    yield 500
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    krita.action("samovar_colorize").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)
    docker._show_size()
    yield 300
    facts["operation"] = docker.operation.id
    facts["parameters"] = list(docker._form._widgets)
    facts["guides"] = [docker.guide_box.itemText(row) for row in range(docker.guide_box.count())]
    facts["shown"] = docker._guide_row.isVisible()
    docker._form.widget("keep_white").setChecked(False)

    # --- alone, then led
    yield from run()
    test.save("alone.bin", layers()[2].pixelData(0, 0, SIDE, SIDE))
    krita.action("edit_undo").trigger()
    yield 800
    docker.guide_box.setCurrentIndex(docker.guide_box.findText("strokes"))
    yield from run()
    facts["layers"] = [each.name() for each in layers()]
    facts["undo"] = krita.action("edit_undo").text()
    facts["source_same"] = bytes(source.pixelData(0, 0, SIDE, SIDE)) == page()
    test.save("led.bin", layers()[2].pixelData(0, 0, SIDE, SIDE))
    test.screenshot("colorize.png")
    krita.action("edit_undo").trigger()
    yield 800

    # --- as layers of colour
    facts["blending"] = []
    for output in ("color", "multiply"):
        yield from run(result=output)
        made = layers()[2]
        facts["blending"].append([made.name(), made.blendingMode(), source.visible()])
        test.save(f"{output}.bin", document.pixelData(0, 0, SIDE, SIDE))
        krita.action("edit_undo").trigger()
        yield 800

    # --- the strokes on the layer itself
    chosen = docker.guide_box.currentData()
    document.setActiveNode(strokes)
    yield 300
    docker.desk.run(docker.request().__class__(docker.operation, docker._form.values(), "layer", chosen))
    yield 500
    facts["itself"] = desk.status
    docker.choose("denoise")
    yield 300
    facts["hidden"] = docker._guide_row.isVisible()
    docker.choose("colorize")

    # --- a gray layer in a picture with colours, and a gray document
    document.setActiveNode(source)
    docker.guide_box.setCurrentIndex(0)
    krita.action("samovar_colorize").trigger()
    source.setColorSpace("GRAYA", "U16", "Gray-D50-elle-V2-srgbtrc.icc")
    yield 800
    yield from run(result="picture")
    made = layers()[2]
    facts["gray_layer"] = [made.name(), made.colorModel(), made.colorDepth()]
    test.save("gray_layer.bin", document.pixelData(0, 0, SIDE, SIDE))
    document = test.document(SIDE, SIDE, model="GRAYA", profile="Gray-D50-elle-V2-srgbtrc.icc")
    yield 800
    source = layers()[0]
    count = len(layers())
    yield from run()
    facts["gray_document"] = [desk.status, len(layers()) - count]
