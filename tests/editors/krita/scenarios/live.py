"""A job of several tiles, seen while it runs, as a layer and as a document: cancelled, finished, closed by the user."""

from krita import InfoObject
from samovar_krita import _desk as desk
from samovar_krita import live, viewport

LEFT, TOP, WIDTH, HEIGHT = 13, 17, 920, 560
CANVAS = (980, 600)
NAME = "Upscale (waifu2x/upconv7-art)"
ZOOM = 6.0
"""So that only a part near the lower right corner is seen once the canvas is scrolled there."""


def pixels(version):
    """BGRA, opaque: blocks and gradients that are nowhere the same; others for another Krita, as the daemon, which both
    ask, would know their tiles already."""
    shift = sum(map(ord, version))
    return bytes(
        value
        for y in range(HEIGHT)
        for x in range(WIDTH)
        for value in ((x * 3 + y + shift) % 256, (x // 8 * 40 + y) % 256, (y * 5 + x // 30) % 256, 255)
    )


def scenario(test):
    facts, krita = test.facts, test.krita
    root = None
    came = []
    add = live.Live.add

    def kept(each, part, whole, *others):
        came.append([part.x - whole.x, part.y - whole.y, part.width, part.height])
        add(each, part, whole, *others)

    live.Live.add = kept  # to see in which order parts come, however many there are when one looks

    def state():
        """All that a job which is cancelled must leave as it was."""
        layers = [
            [
                each.name(),
                each.type(),
                each.locked(),
                *each.bounds().getRect(),
                hash(bytes(each.pixelData(0, 0, 1900, 1200))),
            ]
            for each in root.childNodes()
        ]
        history = [krita.action(id).text() for id in ("edit_undo", "edit_redo")]
        seen = hash(bytes(document.pixelData(0, 0, *CANVAS)))
        return [layers, history, seen, document.activeNode().name(), document.modified(), len(krita.documents())]

    def save(name):
        document.exportImage(f"{test.folder}/{name}", InfoObject())

    def layer(name, of):
        return next((each for each in of.rootNode().childNodes() if each.name() == name), None)

    def begin(placement, noise):
        """noise : another one for each job, so that the daemon knows none of the tiles already"""
        form.widget("noise").setValue(noise)
        document.setActiveNode(source)
        yield 400
        came.clear()
        docker.placement_box.setCurrentIndex(docker.placement_box.findData(placement))
        docker.run_button.click()

    def shown(placement):
        """Wait until a part is there, and keep what is known of it then."""
        where = (lambda: document) if placement == "layer" else krita.activeDocument

        def there():
            node = layer(NAME, where())
            return desk.job is None or (node is not None and not node.bounds().isEmpty())

        yield from test.until(there, 60)
        assert desk.job is not None, desk.status
        node = layer(NAME, where())
        found = facts.setdefault(placement, {})
        left, top = (LEFT, TOP) if placement == "layer" else (2 * LEFT, 2 * TOP)

        def seen():
            """Whether the picture shows a part at all: the first need not lie within it."""
            for x, y, _, _ in came:
                at = (left + x, top + y, 1, 1)
                pixel = bytes(node.pixelData(*at))
                if at[0] < where().width() and at[1] < where().height() and pixel[3]:
                    return pixel == bytes(where().pixelData(*at))
            return False

        yield from test.until(lambda: desk.job is None or seen(), 60)
        found["drawn"] = desk.job is not None
        found["first"] = came[0]
        box = node.bounds()
        found["box"] = list(box.getRect())
        alphas = bytes(node.pixelData(*box.getRect()))[3::4]
        found["share"] = (len(alphas) - alphas.count(0)) / (4 * WIDTH * HEIGHT)
        found["layers"] = [each.name() for each in where().rootNode().childNodes()]
        found["history"] = [krita.action(id).text() for id in ("edit_undo", "edit_redo")]
        found["modified"] = where().modified()
        found["active"] = where().activeNode().name()
        found["documents"] = [each == document for each in (where(), krita.activeDocument())]

    def finish():
        yield from test.until(lambda: desk.job is None, 120)
        yield 800

    document = test.document(*CANVAS)
    yield 500
    root = document.rootNode()
    source = document.createNode("source", "paintlayer")
    drawn = pixels(facts["krita"])
    source.setPixelData(drawn, LEFT, TOP, WIDTH, HEIGHT)
    test.save("source.bin", drawn)
    root.addChildNode(source, root.childNodes()[-1])
    yield 500
    for kind in ("grouplayer", "vectorlayer", "paintlayer"):
        root.addChildNode(document.createNode(kind, kind), root.childNodes()[-1])
        yield 400
    krita.action("edit_undo").trigger()  # so that there is something to redo
    yield 500
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    for each in krita.dockers():
        each.setVisible(each.objectName() in ("samovar_docker", "KisLayerBox"))
    krita.action("samovar_upscale").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 5)
    form = docker._form
    form.widget("model").setCurrentIndex(form.widget("model").findData("waifu2x/upconv7-art"))
    document.setActiveNode(source)
    canvas = krita.activeWindow().activeView().canvas()
    canvas.setZoomLevel(ZOOM)
    yield 600
    area = viewport._canvas_area(krita.activeWindow().qwindow())
    for bar in (area.horizontalScrollBar(), area.verticalScrollBar()):
        bar.setValue(round(bar.maximum() - (bar.maximum() - bar.minimum()) * 0.28))
    yield 600
    facts["seen"] = list(viewport.visible(document).getRect())
    test.screenshot("before.png")
    save("before.kra")
    yield 300
    before = state()
    facts["before"] = before[1]

    # --- cancelled
    for placement, noise in (("layer", 0), ("document", 1)):
        yield from begin(placement, noise)
        yield from shown(placement)
        test.screenshot(f"{placement}.png")
        docker.cancel_button.click()
        facts[placement]["over"] = desk.job is None
        yield 2000
        facts[placement]["says"] = desk.status
        facts[placement]["same"] = [now == then for now, then in zip(state(), before, strict=True)]
        facts[placement]["source_active"] = krita.activeDocument() == document
    save("after.kra")
    yield 300

    # --- finished
    yield from begin("layer", -1)
    yield from finish()
    facts["layer_done"] = [desk.status, [each.name() for each in root.childNodes()], state()[1]]
    result = layer(NAME, document)
    facts["layer_box"] = list(result.bounds().getRect())
    facts["layer_locked"] = result.locked()
    test.save("layer.bin", result.pixelData(LEFT, TOP, 2 * WIDTH, 2 * HEIGHT))
    krita.action("edit_undo").trigger()
    yield 600
    facts["undone"] = [now == then for now, then in zip(state()[0], before[0], strict=True)]
    krita.action("edit_redo").trigger()
    yield 600
    test.save("redone.bin", layer(NAME, document).pixelData(LEFT, TOP, 2 * WIDTH, 2 * HEIGHT))
    krita.action("edit_undo").trigger()
    yield 600

    yield from begin("document", 2)
    yield from finish()
    opened = krita.activeDocument()
    facts["document_done"] = [desk.status, [each.name() for each in opened.rootNode().childNodes()], state()[1]]
    result = layer(NAME, opened)
    facts["document_size"] = [opened.width(), opened.height(), opened.modified(), result.locked()]
    test.save("document.bin", result.pixelData(2 * LEFT, 2 * TOP, 2 * WIDTH, 2 * HEIGHT))
    test.save("document_seen.bin", opened.pixelData(2 * LEFT, 2 * TOP, 2 * WIDTH, 2 * HEIGHT))

    # --- closed by the user
    view = next(each for each in krita.activeWindow().views() if each.document() == document)
    view.setVisible()
    yield 600
    documents = len(krita.documents())
    yield from begin("document", 3)
    yield from shown("document")
    krita.action("file_close").trigger()
    yield from test.until(lambda: desk.job is None, 30)
    yield 800
    facts["closed"] = [desk.status, len(krita.documents()) - documents]
