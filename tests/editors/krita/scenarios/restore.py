"""A picture that gets better while it is looked at: kept, cancelled, filled; and left running at the end."""

import random

from krita import Selection
from samovar_krita import _desk as desk

SIDE = 256


def noisy():
    """BGRA, opaque: soft waves with noise."""
    import math

    noise = random.Random(3)
    return bytes(
        value
        for y in range(SIDE)
        for x in range(SIDE)
        for value in (
            *(
                min(255, max(0, round(128 + 80 * math.sin(y / 9 + each) * math.cos(x / 7) + noise.gauss(0, 25))))
                for each in range(3)
            ),
            255,
        )
    )


def scenario(test):
    facts, krita = test.facts, test.krita

    def layers():
        return [each.name() for each in document.rootNode().childNodes() if each.type() != "selectionmask"]

    def pixels(name):
        node = next(each for each in document.rootNode().childNodes() if each.name() == name)
        return bytes(node.pixelData(0, 0, SIDE, SIDE))

    def composite():
        return bytes(document.pixelData(0, 0, SIDE, SIDE))

    def begin(**values):
        document.setActiveNode(source)
        yield 300
        for name, value in values.items():
            widget = docker._form.widget(name)
            if hasattr(widget, "setValue"):
                widget.setValue(value)
            else:
                widget.setCurrentIndex(widget.findData(value))
        yield 300
        docker.run_button.click()

    def shown():
        yield from test.until(lambda: desk.job is None or desk.job.keepable, 90)
        assert desk.job is not None, desk.status
        yield 600

    document = test.document(SIDE, SIDE)
    yield 800
    source = document.createNode("source", "paintlayer")
    source.setPixelData(noisy(), 0, 0, SIDE, SIDE)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    krita.action("samovar_restore").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)
    yield 300
    facts["operation"] = docker.operation.id
    facts["parameters"] = list(docker._form._widgets)
    facts["idle"] = [docker.use_button.isVisible(), docker._waiting_row.isVisible()]
    before = [layers(), composite()]

    # --- it gets better, and is kept
    yield from begin(seconds=600)
    yield from shown()
    test.save("before.bin", pixels("source"))
    facts["live"] = [layers(), docker.use_button.isVisible(), docker.use_button.isEnabled(), desk.job.stage[:5]]
    yield from test.until(lambda: desk.job is None or composite() != before[1], 20)
    first = composite()
    yield from test.until(lambda: desk.job is None or composite() != first, 20)
    facts["better"] = desk.job is not None
    drawn = yield from test.until(lambda: composite() == pixels("Restore"), 10)  # Krita draws a moment later
    facts["drawn"] = drawn is not None
    test.screenshot("restore.png")
    docker.use_button.click()
    facts["pressed"] = docker.use_button.isEnabled()
    yield from test.until(lambda: desk.job is None, 20)
    yield 800
    facts["kept"] = [layers(), desk.status, krita.action("edit_undo").text(), pixels("source") == noisy()]
    test.save("after.bin", pixels("Restore"))
    krita.action("edit_undo").trigger()
    yield 800
    facts["undone"] = [layers(), composite()] == before

    # --- cancelled
    yield from begin(seconds=600)
    yield from shown()
    docker.cancel_button.click()
    yield from test.until(lambda: desk.job is None, 5)
    yield 1500
    facts["cancelled"] = [desk.status, [layers(), composite()] == before]

    # --- the mode decides what else is asked
    facts["scale"] = []
    for mode in ("denoise", "upscale", "inpaint"):
        widget = docker._form.widget("mode")
        widget.setCurrentIndex(widget.findData(mode))
        yield 300
        facts["scale"].append([mode, docker._form.widget("scale").isEnabled(), docker._result_row.isVisible()])
    selection = Selection()
    selection.select(40, 50, 20, 16, 255)
    document.setSelection(selection)
    yield 500
    yield from begin(iterations=3)
    yield from test.until(lambda: desk.job is None, 60)
    yield 800
    facts["filled"] = [desk.status, layers()]
    patch = next(each for each in document.rootNode().childNodes() if each.name() == "Restore")
    facts["patch"] = list(patch.bounds().getRect())
    krita.action("edit_undo").trigger()
    yield 500
    document.setSelection(None)
    yield 500

    # --- the connection goes, and the job goes on without it
    yield from begin(mode="denoise", seconds=600, iterations=0)
    yield from shown()
    desk.session.close()
    yield 800
    facts["closed"] = [desk.status, layers()]
    desk.connect(False)
    yield from test.until(lambda: desk.session.state == "ready", 5)

    def looked():
        desk.look_for_jobs()
        return bool(desk.waiting)

    yield from test.until(looked, 15)
    yield 500
    facts["waiting"] = [docker._waiting_row.isVisible(), docker.waiting_box.currentText()]
    test.screenshot("restore-waiting.png")
    document.setActiveNode(source)
    yield 300
    docker.take_up_button.click()
    yield from shown()
    facts["taken_up"] = [layers(), docker._waiting_row.isVisible()]
    docker.use_button.click()
    yield from test.until(lambda: desk.job is None, 20)
    yield 800
    facts["taken"] = [desk.status, layers()]
    krita.action("edit_undo").trigger()
    yield 500

    # --- and one is left for the next Krita
    yield from begin(seconds=600)
    yield from shown()
    facts["left"] = desk.job.id
