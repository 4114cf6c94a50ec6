"""A sheet of faces is drawn, looked through, placed, varied and mixed, by clicks and keys on the docker's list."""

from krita import Selection
from PyQt5.QtCore import QPoint, Qt
from PyQt5.QtGui import QImage
from PyQt5.QtTest import QTest
from samovar_krita import _desk as desk

CANVAS = (300, 220)
SEED, COUNT = 11, 6
BUTTONS = ("place", "whole", "vary", "mix", "new")
KINDS = {
    "u16": ("RGBA", "U16", "sRGB-elle-V2-srgbtrc.icc"),
    "gray": ("GRAYA", "U8", "Gray-D50-elle-V2-srgbtrc.icc"),
    "f32": ("RGBA", "F32", "sRGB-elle-V2-g10.icc"),
    "f16": ("RGBA", "F16", "sRGB built-in"),
    "cmyk": ("CMYKA", "U8", ""),
}


def scenario(test):
    facts, krita = test.facts, test.krita

    def layers(parent=None):
        nodes = (parent or document.rootNode()).childNodes()
        return [each for each in nodes if each.type() != "selectionmask"]

    def tree(parent=None):
        found = []
        for each in layers(parent):
            inner = tree(each) if each.type() == "grouplayer" else []
            found.append([each.name(), list(each.bounds().getRect()), each.visible(), inner])
        return found

    def state():
        return [tree(), bytes(document.pixelData(0, 0, *CANVAS))]

    def put(**values):
        form = docker._form
        for name, value in values.items():
            widget = form.widget(name)
            if hasattr(widget, "setValue"):
                widget.setValue(value)
            else:
                widget.setCurrentIndex(widget.findData(value))
        yield 50

    def values():
        return docker._form.values()

    def finish(seconds=90):
        yield from test.until(lambda: desk.job is None, seconds)
        yield 500
        facts.setdefault("says", []).append(desk.status)

    def draw(**parameters):
        yield from put(**parameters)
        docker.run_button.click()
        yield from finish()

    def click(row, *, ctrl=False, double=False):
        faces.scrollToItem(faces.item(row))
        at = faces.visualItemRect(faces.item(row)).center()
        modifier = Qt.KeyboardModifier.ControlModifier if ctrl else Qt.KeyboardModifier.NoModifier
        (QTest.mouseDClick if double else QTest.mouseClick)(
            faces.viewport(), Qt.MouseButton.LeftButton, modifier, QPoint(at)
        )  # fmt: skip

    def buttons():
        found = [getattr(sheet, f"{name}_button") for name in BUTTONS]
        return [[each.isEnabled(), each.toolTip()] for each in found]

    def names():
        return [faces.item(row).toolTip() for row in range(faces.count())]

    def pixels(node, name):
        test.save(f"{name}.bin", node.pixelData(*node.bounds().getRect()))

    def save_image(name, image):
        image = image.convertToFormat(QImage.Format.Format_ARGB32)
        bits = image.constBits()
        bits.setsize(image.sizeInBytes())
        test.save(f"{name}.bin", bytes(bits))
        return [image.width(), image.height()]

    def picture(name):
        return save_image(name, desk.sheet.picture)

    def undo(wanted, action="edit_undo"):
        krita.action(action).trigger()
        yield from test.until(lambda: state() == wanted, 5)
        yield 200
        return state() == wanted

    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    for each in krita.dockers():
        each.setVisible(each.objectName() in ("samovar_docker", "KisLayerBox"))
    krita.activeWindow().qwindow().resize(1500, 960)
    sheet, faces = docker.contact_sheet, docker.contact_sheet.faces

    # --- before there is a picture
    krita.action("samovar_upscale").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)
    yield 200
    facts["elsewhere"] = [sheet.isVisible(), docker.run_button.text(), docker._result_row.isVisible()]
    krita.action("samovar_faces").trigger()
    yield 300
    facts["operation"] = [docker.operation.id, docker.run_button.text(), docker._result_row.isVisible()]
    facts["shown"] = sheet.isVisible()
    facts["parameters"] = list(docker._form._widgets)
    facts["idle"] = []
    for way in ("new", "vary", "mix"):
        yield from put(way=way)
        facts["idle"].append([docker._form.widget(each).isEnabled() for each in ("amount", "other")])
    facts["undrawn"] = buttons()
    yield from draw(way="new", count=COUNT, seed=SEED, size="64")
    facts["nowhere"] = [faces.count(), buttons()]

    document = test.document(*CANVAS)
    yield 800
    background = layers()[0]
    before = state()

    # --- the sheet
    yield from draw(seed=SEED)
    facts["drawn"] = [state() == before, faces.count(), names(), picture("sheet")]
    facts["icons"] = []
    for row in range(faces.count()):
        icon = faces.item(row).icon()
        facts["icons"].append(save_image(f"icon-{row}", icon.pixmap(icon.availableSizes()[0]).toImage()))
    facts["size"] = docker.size_label.text()
    facts["chosen"] = []
    for rows in ((), (1,), (1, 4), (0, 1, 4)):
        faces.clearSelection()
        for number, row in enumerate(rows):
            click(row, ctrl=number > 0)
        yield 50
        facts["chosen"].append([faces.chosen, [enabled for enabled, _ in buttons()], [tip for _, tip in buttons()]])
    yield 300
    test.screenshot("faces-sheet.png")

    # --- one by a double click, in the size that is set
    click(2)
    click(2, double=True)
    facts["busy"] = buttons()
    yield from finish()
    facts["one"] = tree()
    yield from test.until(lambda: state()[1] != before[1], 5)
    yield 1000
    test.save("one-seen.bin", document.pixelData(*layers()[-1].bounds().getRect()))
    pixels(layers()[-1], "one")
    facts["undo"] = krita.action("edit_undo").text()
    after = state()
    facts["one_undone"] = [(yield from undo(before)), (yield from undo(after, "edit_redo")), (yield from undo(before))]

    # --- two, by the button
    document.setActiveNode(background)
    yield 300
    click(1)
    click(4, ctrl=True)
    sheet.place_button.click()
    yield from finish()
    facts["two"] = tree()
    group = layers()[-1]
    for number, node in enumerate(layers(group)):
        pixels(node, f"two-{number}")
    yield from test.until(lambda: state()[1] != before[1], 5)
    yield 1000
    test.save("two-seen.bin", document.pixelData((CANVAS[0] - 128) // 2, (CANVAS[1] - 64) // 2, 128, 64))
    test.screenshot("faces-placed.png")
    facts["two_undone"] = yield from undo(before)

    # --- the one that Return is pressed on, larger than the network draws it
    yield from put(size="256")
    click(3)
    QTest.keyClick(faces, Qt.Key.Key_Right)
    facts["by_keys"] = faces.chosen
    QTest.keyClick(faces, Qt.Key.Key_Return)
    yield from finish(240)
    facts["large"] = tree()[-1]
    pixels(layers()[-1], "large")
    yield from undo(before)
    yield from put(size="64")

    # --- all of it as one layer, and again
    sheet.whole_button.click()
    yield from finish()
    facts["whole"] = tree()
    pixels(layers()[-1], "whole")
    yield from undo(before)
    krita.action("samovar_repeat").trigger()
    yield from finish()
    facts["again"] = tree() == facts["whole"]
    yield from undo(before)

    # --- varied
    yield from put(truncation=0.5)  # means the next ones: the chosen one is to stay as it is
    click(1)
    sheet.vary_button.click()
    yield from finish()
    facts["varied"] = [names(), {name: values()[name] for name in ("way", "seed", "truncation", "amount")}]
    picture("varied")
    facts["variation"] = []
    for row in (0, 3):
        click(row)
        facts["variation"].append(buttons()[2])
    click(3)
    click(3, double=True)
    yield from finish()
    facts["variation_placed"] = tree()[-1]
    pixels(layers()[-1], "variation")
    yield from undo(before)

    # --- new ones, then two of them mixed
    sheet.new_button.click()
    yield from finish()
    facts["new"] = [names(), values()["way"], values()["seed"]]
    click(0)
    click(2, ctrl=True)
    sheet.mix_button.click()
    yield from finish()
    facts["mixed"] = [names(), {name: values()[name] for name in ("way", "seed", "other")}]
    picture("mixed")
    click(2)
    facts["between"] = buttons()[2]
    sheet.new_button.click()
    yield from finish()
    facts["newer"] = [values()["way"], values()["seed"]]

    # --- whatever is active, and whatever is selected
    selection = Selection()
    selection.setPixelData(b"\xff" * 100, 5, 5, 10, 10)
    document.setSelection(selection)
    yield 400
    facts["active"] = {}
    for kind in ("vectorlayer", "grouplayer", "transparencymask", "inner"):
        made = document.createNode(
            "made", "grouplayer" if kind == "inner" else kind.replace("transparencymask", "paintlayer")
        )
        document.rootNode().addChildNode(made, background)
        yield 300
        active = made
        if kind in ("transparencymask", "inner"):
            active = document.createNode("inside", kind if kind != "inner" else "paintlayer")
            made.addChildNode(active, None)
            yield 300
        document.setActiveNode(active)
        yield 400
        facts["active"][kind] = [document.activeNode().type()]
        click(1)
        click(1, double=True)
        yield from finish()
        facts["active"][kind] += [tree(), made.childNodes() != [] and [each.name() for each in made.childNodes()]]
        for node in layers()[1:]:
            node.remove()
        yield 500
    krita.action("deselect").trigger()
    yield 400

    # --- other kinds of pictures
    facts["kinds"] = {}
    first = document
    for kind, space in KINDS.items():
        document = test.document(120, 100, *space)
        yield 800
        click(2)
        sheet.place_button.click()
        yield from finish()
        node = layers()[-1]
        facts["kinds"][kind] = [node.name(), list(node.bounds().getRect()), node.colorModel(), node.colorDepth()]
        pixels(node, kind)

    # --- ended before it was done
    document = first
    for view in krita.activeWindow().views():
        if view.document() == document:
            view.setVisible()
    yield 500
    document.setActiveNode(background)
    yield 300
    before = state()
    facts["cancelled"] = []
    for begin in (docker.run_button.click, sheet.whole_button.click, sheet.place_button.click):
        yield from put(count=64, size="512")
        faces.selectAll()
        begin()
        yield from test.until(lambda: desk.job is None or desk.job.fraction > 0, 60)
        drawing = desk.job is not None
        docker.cancel_button.click()
        facts["cancelled"].append([drawing, desk.job is None, desk.status])
        yield 700
    facts["cancelled"].append([state() == before, faces.count()])
    desk.session.close()
    yield 300
    desk.connect(False)
    yield from test.until(lambda: desk.session.state == "ready", 10)
    sheet.place_button.click()
    yield from test.until(lambda: desk.job is None or desk.job.fraction > 0, 60)
    lost = desk.job is not None
    desk.session.close()
    yield 500
    facts["lost"] = [lost, desk.job is None, desk.status, state() == before]

    # --- closed before it was done
    yield from put(size="64")
    document = test.document(*CANVAS)
    yield 800
    sheet.place_button.click()
    started = desk.job is not None
    document.setModified(False)
    document.close()
    yield from finish()
    facts["closed"] = [started, desk.status, len(krita.documents())]
