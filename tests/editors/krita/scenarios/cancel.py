"""Jobs on a 4096 x 4096 layer are cancelled: one on a selected part, and one whose first tiles are seen already.

The picture is saved before and after.
"""

from krita import InfoObject, Selection
from samovar_krita import _desk as desk

SIDE, BAND = 4096, 16
MARGIN = 300


def scenario(test):
    facts, krita = test.facts, test.krita
    document = test.document(SIDE, SIDE)
    yield 3000
    source = document.createNode("source", "paintlayer")
    band = bytes((x * 7 + y * 31 + c * 50) % 200 + 55 for y in range(BAND) for x in range(SIDE // 8) for c in range(4))
    row_bytes = len(band) // BAND
    rows = b"".join(8 * band[y * row_bytes : (y + 1) * row_bytes] for y in range(BAND))
    for top in range(0, SIDE, BAND):
        source.setPixelData(rows, 0, top, SIDE, BAND)
        yield 0
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 2000
    selection = Selection()
    inner = SIDE - 2 * MARGIN
    for top in range(MARGIN, SIDE - MARGIN, BAND):  # softer from top to bottom
        rows_left = min(BAND, SIDE - MARGIN - top)
        selection.setPixelData(bytes([255 - top // 17]) * inner * rows_left, MARGIN, top, inner, rows_left)
    document.setSelection(selection)
    yield 2000
    document.setActiveNode(source)
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    krita.action("samovar_denoise").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)
    docker._form.widget("strength").setValue(1.0)
    yield 500

    def state():
        nodes = [
            [each.name(), each.type(), *each.bounds().getRect(), hash(bytes(each.pixelData(0, 0, SIDE, SIDE)))]
            for each in document.rootNode().childNodes()
        ]
        selected = hash(bytes(document.selection().pixelData(0, 0, SIDE, SIDE)))
        undo = [krita.action(id).text() for id in ("edit_undo", "edit_redo")]
        return [nodes, selected, undo, hash(bytes(document.pixelData(0, 0, SIDE, SIDE)))]

    def save(name):
        document.exportImage(f"{test.folder}/{name}", InfoObject())

    save("before.kra")
    yield 500
    before = state()
    facts["undo"] = before[2]
    docker.run_button.click()
    facts["size_shown"] = docker.size_label.text()
    yield from test.until(lambda: desk.job is None or desk.job.stage == "cleaning", 120)
    facts["stage"] = desk.job.stage if desk.job is not None else f"over: {desk.status}"
    docker.cancel_button.click()
    facts["over"] = desk.job is None
    yield 1500
    facts["says"] = desk.status
    facts["same"] = [now == then for now, then in zip(state(), before, strict=True)]

    def working():
        """The layer in work."""
        return next((each for each in document.rootNode().childNodes() if each.name().startswith("Upscale")), None)

    docker.choose("upscale")
    docker._form.widget("model").setCurrentIndex(docker._form.widget("model").findData("waifu2x/upconv7-art"))
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("layer"))
    yield 300
    docker.run_button.click()
    yield from test.until(lambda: desk.job is None or (working() and not working().bounds().isEmpty()), 120)
    yield 1000
    facts["shown"] = list(working().bounds().getRect())
    docker.cancel_button.click()
    yield 4000
    facts["shown_same"] = [now == then for now, then in zip(state(), before, strict=True)]
    save("after.kra")
