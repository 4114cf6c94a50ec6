"""A layer with alpha and an offset goes out and comes back, by each placement; undo, redo, cancel, refusals."""

from samovar_krita import _desk as desk
from samovar_krita.job import Request
from samovar_krita.samovar_link.messages import OperationInfo

LEFT, TOP, WIDTH, HEIGHT = 13, 17, 48, 40
MODEL = "waifu2x/upconv7-art"


def pixels():
    """BGRA: two gradients, a hard edge, and alpha from clear to opaque."""
    rows = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            rows += [5 * x, 6 * y, 255 if x > y else 0, min(255, 7 * x)]
    return bytes(rows)


def tree(document):
    """Everything a job must not change: size, layers, their pixels, what undo would do."""
    layers = [
        [each.name(), each.type(), *each.bounds().getRect(), hash(bytes(each.pixelData(0, 0, 400, 300)))]
        for each in document.rootNode().childNodes()
    ]
    return [document.width(), document.height(), layers]


def scenario(test):
    facts, krita = test.facts, test.krita

    def undo_text():
        return krita.action("edit_undo").text()

    def finish(seconds=60):
        yield from test.until(lambda: desk.job is None, seconds)
        yield 600

    document = test.document(200, 150)
    yield 500
    source = document.createNode("source", "paintlayer")
    source.setPixelData(pixels(), LEFT, TOP, WIDTH, HEIGHT)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500
    test.save("source.bin", pixels())
    untouched = tree(document)

    # --- loading and the docker
    action = krita.action("samovar_upscale")
    facts["actions"] = [action.text(), krita.action("samovar_repeat").text()]
    facts["shortcut"] = action.shortcut().toString()
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    docker.setVisible(False)
    action.trigger()
    yield from test.until(lambda: desk.session.state == "ready", 5)
    facts["docker_visible"] = docker.isVisible()
    facts["session"] = desk.session.state
    form = docker._form
    form.widget("model").setCurrentIndex(form.widget("model").findData("realesr/animevideo-x4"))
    facts["noise_without_levels"] = form.widget("noise").isEnabled()
    form.widget("model").setCurrentIndex(form.widget("model").findData(MODEL))
    facts["noise_with_levels"] = form.widget("noise").isEnabled()
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("document"))
    facts["size_shown"] = docker.size_label.text()

    # --- layer only
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("layer"))
    docker.run_button.click()
    facts["buttons_in_job"] = [docker.run_button.isEnabled(), docker.cancel_button.isEnabled()]
    yield from finish()
    facts["done"] = docker.status_label.text()
    layers = document.rootNode().childNodes()
    facts["layer"] = [[each.name(), *each.bounds().getRect()] for each in layers]
    facts["layer_canvas"] = [document.width(), document.height()]
    facts["layer_undo"] = undo_text()
    test.save("layer.bin", layers[-1].pixelData(LEFT, TOP, 2 * WIDTH, 2 * HEIGHT))
    krita.action("edit_undo").trigger()
    yield 500
    facts["layer_undone"] = tree(document) == untouched
    krita.action("edit_redo").trigger()
    yield 500
    again = document.rootNode().childNodes()[-1]
    test.save("layer_redone.bin", again.pixelData(LEFT, TOP, 2 * WIDTH, 2 * HEIGHT))
    krita.action("edit_undo").trigger()
    yield 500

    # --- the whole image in place
    document.setActiveNode(source)
    yield 300
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("image"))
    docker.run_button.click()
    yield from finish()
    layers = document.rootNode().childNodes()
    facts["image_canvas"] = [document.width(), document.height()]
    facts["image"] = [[each.name(), *each.bounds().getRect()] for each in layers]
    test.save("image.bin", layers[-1].pixelData(2 * LEFT, 2 * TOP, 2 * WIDTH, 2 * HEIGHT))
    facts["image_undo"] = []
    for _ in range(2):
        facts["image_undo"].append(undo_text())
        krita.action("edit_undo").trigger()
        yield 600
    facts["image_undone"] = tree(document) == untouched

    # --- a new document
    document.setActiveNode(source)
    yield 300
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("document"))
    docker.run_button.click()
    yield from finish()
    opened = krita.activeDocument()
    layers = opened.rootNode().childNodes()
    facts["document_canvas"] = [opened.width(), opened.height(), opened.modified()]
    facts["document"] = [[each.name(), *each.bounds().getRect()] for each in layers]
    facts["document_source_untouched"] = tree(document) == untouched
    test.save("document.bin", layers[-1].pixelData(2 * LEFT, 2 * TOP, 2 * WIDTH, 2 * HEIGHT))
    test.save("document_seen.bin", opened.pixelData(0, 0, opened.width(), opened.height()))
    test.screenshot("work.png")

    # --- again by the action, on the new document's layer
    krita.action("samovar_repeat").trigger()
    facts["repeat_runs"] = desk.job is not None
    yield from finish()
    facts["repeat_canvas"] = [krita.activeDocument().width(), krita.activeDocument().height()]

    # --- a picture of its own for the rest: closing the others crashes Krita 5.2 at times
    document = test.document(200, 150)
    yield 800
    source = document.createNode("source", "paintlayer")
    source.setPixelData(pixels(), LEFT, TOP, WIDTH, HEIGHT)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500

    # --- cancel
    waiting = OperationInfo("identity", "Identity", resizes=True)
    before = [tree(document), undo_text()]
    pictures = len(krita.documents())
    for placement in ("layer", "image", "document"):
        document.setActiveNode(source)
        yield 200
        assert krita.activeDocument() == document and document.activeNode() == source
        desk.run(Request(waiting, {"seconds": 20.0}, placement))
        yield from test.until(lambda: desk.job is not None and desk.job.fraction > 0.05, 20)
        facts[f"cancel_{placement}_stage"] = desk.job.stage
        docker.cancel_button.click()
        facts[f"cancel_{placement}_over"] = desk.job is None
        yield 700
        facts[f"cancel_{placement}_same"] = [tree(document), undo_text()] == before and len(
            krita.documents()
        ) == pictures
        facts[f"cancel_{placement}_says"] = desk.status

    # --- what there is to refuse, and a group that is read as it looks
    group = document.createGroupLayer("group")
    child = document.createNode("child", "paintlayer")
    child.setPixelData(pixels(), LEFT, TOP, WIDTH, HEIGHT)
    empty = document.createNode("empty", "paintlayer")
    document.rootNode().addChildNode(group, source)
    group.addChildNode(child, None)
    document.rootNode().addChildNode(empty, group)
    yield 600
    facts["refusals"] = {}
    document.setActiveNode(empty)
    yield 300
    desk.run(Request(waiting, {}, "layer"))
    facts["refusals"]["empty"] = desk.status
    mask = document.createNode("mask", "transparencymask")  # a new one hides nothing
    child.addChildNode(mask, None)
    yield 300
    document.setActiveNode(mask)
    yield 300
    desk.run(Request(waiting, {}, "layer"))
    facts["refusals"]["mask"] = desk.status
    for node in (group, child):
        document.setActiveNode(node)
        yield 300
        desk.run(Request(waiting, {}, "layer"))
        yield from finish()
        siblings = node.parentNode().childNodes()
        facts[node.name()] = [each.name() for each in siblings]
        result = next((each for each in siblings if each.name() == "Identity"), None)
        test.save(f"{node.name()}.bin", result.pixelData(LEFT, TOP, WIDTH, HEIGHT) if result is not None else b"")
