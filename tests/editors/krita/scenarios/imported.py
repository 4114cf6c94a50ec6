"""The plug-in that came from the zip is there, with its shortcuts, and works."""

from samovar_krita import _desk as desk


def scenario(test):
    facts = test.facts
    document = test.document(64, 48)
    yield 500
    source = document.createNode("source", "paintlayer")
    source.setPixelData(bytes([40, 90, 200, 255]) * (40 * 30), 5, 6, 40, 30)
    document.rootNode().addChildNode(source, None)
    document.setActiveNode(source)
    yield 500
    facts["actions"] = [test.krita.action(name) is not None for name in ("samovar_upscale", "samovar_repeat")]
    test.krita.action("samovar_upscale").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)
    docker = next(each for each in test.krita.dockers() if each.objectName() == "samovar_docker")
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("layer"))
    docker.run_button.click()
    yield from test.until(lambda: desk.job is None, 120)
    yield 500
    facts["says"] = desk.status
    facts["layers"] = [[each.name(), *each.bounds().getRect()] for each in document.rootNode().childNodes()]
    test.screenshot("imported.png")
