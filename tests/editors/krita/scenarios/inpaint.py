"""What is selected is removed: as a patch, in three variants, in 16 bits; what can go wrong with the selection."""

import array
import random

from krita import Selection
from samovar_krita import _desk as desk

WIDTH, HEIGHT = 300, 220
SELECTED = (122, 82, 56, 56)


def wall(depth):
    """Bricks with some grain and a red disc on them, BGRA."""
    grain, values = random.Random(5), []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            joint = y % 20 < 3 or (x + 25 * (y // 20 % 2)) % 50 < 3
            shade = (0.75 if joint else 0.45) + grain.uniform(-0.02, 0.02)
            colour = [shade * 0.7, shade * 0.8, shade]
            if (x - 150) ** 2 + (y - 110) ** 2 < 24**2:
                colour = [0.1, 0.1, 0.9]
            values += [*colour, 1.0]
    if depth == "F32":
        return array.array("f", [values[at // 4 * 4 + (2, 1, 0, 3)[at % 4]] for at in range(len(values))]).tobytes()
    top, kind = (255, "B") if depth == "U8" else (65535, "H")
    return array.array(kind, [round(each * top) for each in values]).tobytes()


def scenario(test):
    facts, krita = test.facts, test.krita

    def select(box):
        selection = Selection()
        selection.select(*box, 255)
        krita.activeDocument().setSelection(selection)

    def layers():
        return [each for each in document.rootNode().childNodes() if each.type() != "selectionmask"]

    def composite():
        return bytes(document.pixelData(0, 0, WIDTH, HEIGHT))

    def state():
        return [[each.name(), *each.bounds().getRect()] for each in layers()], composite()

    def begin(depth):
        made = test.document(WIDTH, HEIGHT, depth=depth)
        yield 800
        source = made.createNode("source", "paintlayer")
        source.setPixelData(wall(depth), 0, 0, WIDTH, HEIGHT)
        made.rootNode().addChildNode(source, made.rootNode().childNodes()[-1])
        yield 500
        made.setActiveNode(source)
        yield 300
        return made, source

    def run(seconds=120):
        docker.run_button.click()
        yield from test.until(lambda: desk.job is None, seconds)
        yield 800

    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    facts["saved"] = {}
    for depth in ("U8", "U16", "F32"):
        document, source = yield from begin(depth)
        if depth == "U8":
            krita.action("samovar_inpaint").trigger()
            yield from test.until(lambda: desk.session.state == "ready", 5)
            yield 300
            facts["operation"] = docker.operation.id
            facts["parameters"] = list(docker._form._widgets)
            yield from run()
            facts["unselected"] = [desk.status, docker.size_label.text(), len(layers())]
        select(SELECTED)
        yield 800
        document.setActiveNode(source)
        yield 300
        before = state()
        test.save(f"before-{depth}.bin", before[1])
        yield from run()
        facts["saved"][depth] = [desk.status, [[each.name(), *each.bounds().getRect()] for each in layers()]]
        document.setBatchmode(True)
        path = f"{test.folder}/removed-{depth}.kra"
        facts["saved"][depth].append(document.saveAs(path))
        yield 500
        again = krita.openDocument(path)
        again.waitForDone()
        test.save(f"after-{depth}.bin", bytes(again.pixelData(0, 0, WIDTH, HEIGHT)))
        kept = next(each for each in again.rootNode().childNodes() if each.name() == "source")
        facts["saved"][depth].append(bytes(kept.pixelData(0, 0, WIDTH, HEIGHT)) == wall(depth))
        again.close()
        krita.setActiveDocument(document)
        if depth != "U8":
            continue
        test.screenshot("inpaint.png")
        after = state()
        facts["undo"] = krita.action("edit_undo").text()
        krita.action("edit_undo").trigger()
        yield 800
        facts["undone"] = state() == before
        krita.action("edit_redo").trigger()
        yield 800
        facts["redone"] = state() == after
        krita.action("edit_undo").trigger()
        yield 800

        # --- three to choose from
        docker._form.widget("variants").setValue(3)
        document.setActiveNode(source)
        yield 300
        yield from run()
        group = layers()[-1]
        facts["group"] = [
            group.type(), group.name(), [[each.name(), each.visible()] for each in group.childNodes()],
            len({bytes(each.pixelData(*SELECTED)) for each in group.childNodes()}),
        ]  # fmt: skip
        krita.action("edit_undo").trigger()
        yield 800
        facts["group_undone"] = state() == before
        docker._form.widget("variants").setValue(1)

        # --- cancelled
        document.setActiveNode(source)
        yield 300
        docker.run_button.click()
        yield from test.until(lambda: desk.job is not None and desk.job.stage == "filling", 30)
        docker.cancel_button.click()
        yield from test.until(lambda: desk.job is None, 5)
        yield 800
        facts["cancelled"] = [desk.status, state() == before]
