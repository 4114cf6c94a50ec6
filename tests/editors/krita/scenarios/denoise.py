"""A layer is cleaned within a soft selection and without one; what a selection can get wrong; 16 bits out and back."""

import array

from krita import Selection
from samovar_krita import _desk as desk

WIDTH, HEIGHT = 480, 400
LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT = 20, 14, 440, 371
SELECTED = (203, 181, 60, 48)
DEEP_WIDTH, DEEP_HEIGHT = 300, 230


def pixels():
    """BGRA: gradients in blocks of 8 with steps between them, lines, noise, and half of all columns see-through."""
    rows, noise = bytearray(), 1
    for y in range(LAYER_HEIGHT):
        for x in range(LAYER_WIDTH):
            noise = (1103515245 * noise + 12345) % (1 << 31)
            line = 160 if (x + 2 * y) % 37 < 3 else 0
            shade = [(x // 8 * 8) // 2, (y // 8 * 8) // 2, (x + y) // 8 * 8 // 4]
            colour = [max(0, min(255, each + (noise >> 16) % 17 - line)) for each in shade]
            rows += bytes([*colour, 255 if x % 64 < 32 else 100 + y % 100])
    return bytes(rows)


def oval(width, height):
    """Soft: from 0 in the corners to 255 in the middle; no side is all 0."""
    values = bytearray()
    for y in range(height):
        for x in range(width):
            far = ((x - (width - 1) / 2) / (width / 2 + 1)) ** 2 + ((y - (height - 1) / 2) / (height / 2 + 1)) ** 2
            values.append(round(255 * max(0.0, min(1.0, 2 - 2 * far))))
    return bytes(values)


def deep():
    """B G R A of 16 bits: every value there is, and some pixels with hidden colour."""
    values = array.array("H")
    for index in range(DEEP_WIDTH * DEEP_HEIGHT):
        inside = 0 < index % DEEP_WIDTH < DEEP_WIDTH - 1 and DEEP_WIDTH < index < DEEP_WIDTH * (DEEP_HEIGHT - 1)
        alpha = 65535 if index % 11 or not inside else index % 7 * 9000
        values.extend([index % 65536, (index * 257 + 5) % 65536, 65535 - index % 65536, alpha])
    return values.tobytes()


def scenario(test):
    facts, krita = test.facts, test.krita

    def select(*pieces):
        selection = Selection()
        for x, y, width, height, values in pieces:
            selection.setPixelData(values, x, y, width, height)
        krita.activeDocument().setSelection(selection)

    def layers():
        return [each for each in document.rootNode().childNodes() if each.type() != "selectionmask"]

    def composite():
        return bytes(document.pixelData(0, 0, WIDTH, HEIGHT))

    def state():
        listed = [
            [each.name(), *each.bounds().getRect(), hash(bytes(each.pixelData(0, 0, WIDTH, HEIGHT)))]
            for each in layers()
        ]
        selection = document.selection()
        return [listed, composite(), selection and bytes(selection.pixelData(0, 0, WIDTH, HEIGHT))]

    def run():
        docker.run_button.click()
        yield from test.until(lambda: desk.job is None, 120)
        yield 800

    document = test.document(WIDTH, HEIGHT)
    yield 500
    source = document.createNode("source", "paintlayer")
    source.setPixelData(pixels(), LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500
    test.save("source.bin", source.pixelData(LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT))
    facts["source"] = list(source.bounds().getRect())
    mask = oval(*SELECTED[2:])
    select((*SELECTED, mask))
    yield 800
    test.save("mask.bin", mask)
    facts["selection_kept"] = bytes(document.selection().pixelData(*SELECTED)) == mask

    # --- the action, and what the docker says
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    krita.action("samovar_denoise").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 5)
    yield 300
    facts["operation"] = docker.operation.id
    docker._form.widget("noise").setValue(3)
    document.setActiveNode(source)
    yield 300

    # --- within the selection
    before = state()
    test.save("before.bin", before[1])
    yield from run()
    facts["size_shown"] = docker.size_label.text()
    facts["says"] = desk.status
    facts["layers"] = [[each.name(), *each.bounds().getRect()] for each in layers()]
    facts["undo"] = krita.action("edit_undo").text()
    test.save("patch.bin", layers()[-1].pixelData(*SELECTED))
    test.save("after.bin", composite())
    facts["source_same"] = bytes(source.pixelData(LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT)) == pixels()
    test.screenshot("denoise.png")
    krita.action("edit_undo").trigger()
    yield 800
    facts["undone"] = state() == before

    # --- an operation that resizes goes on as if nothing were selected
    docker.choose("upscale")
    facts["upscale_size_shown"] = docker.size_label.text()
    docker.choose("denoise")

    # --- selections that hold nothing of the layer
    facts["refusals"] = []
    for pieces in ([(2, 30, 9, 9, b"\xff" * 81)], [(2, 200, 1, 1, b"\xff"), (200, 2, 1, 1, b"\xff")]):
        select(*pieces)
        yield 600
        document.setActiveNode(source)
        yield 300
        count = len(layers())
        yield from run()
        facts["refusals"].append([desk.status, docker.size_label.text(), len(layers()) - count])

    # --- nothing selected
    krita.action("deselect").trigger()
    yield 600
    document.setActiveNode(source)
    yield 300
    yield from run()
    facts["whole_size_shown"] = docker.size_label.text()
    facts["whole"] = [[each.name(), *each.bounds().getRect()] for each in layers()]
    test.save("whole.bin", layers()[-1].pixelData(LEFT, TOP, LAYER_WIDTH, LAYER_HEIGHT))

    # --- 16 bits
    document = test.document(DEEP_WIDTH, DEEP_HEIGHT, depth="U16")
    yield 800
    source = document.createNode("source", "paintlayer")
    source.setPixelData(deep(), 0, 0, DEEP_WIDTH, DEEP_HEIGHT)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500
    docker._form.widget("strength").setValue(0.0)
    document.setActiveNode(source)
    yield 300
    yield from run()
    result = layers()[-1]
    facts["deep"] = [result.name(), result.colorDepth(), *result.bounds().getRect()]
    test.save("deep_sent.bin", deep())
    test.save("deep.bin", result.pixelData(0, 0, DEEP_WIDTH, DEEP_HEIGHT))
