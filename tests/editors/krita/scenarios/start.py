"""No daemon runs: the first job starts one."""

from samovar_krita import _desk as desk


def scenario(test):
    facts = test.facts
    document = test.document(64, 48)
    yield 500
    source = document.createNode("source", "paintlayer")
    source.setPixelData(b"\x40\x80\xc0\xff" * 32 * 32, 4, 4, 32, 32)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500
    docker = next(each for each in test.krita.dockers() if each.objectName() == "samovar_docker")
    docker.setVisible(True)
    yield 300
    facts["before"] = [desk.session.state, docker.status_label.text()]
    docker.choose("upscale")
    model = docker._form.widget("model")
    model.setCurrentIndex(model.findData("waifu2x/upconv7-art"))
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("document"))
    test.gaps.start(lambda: desk.session.state)
    docker.run_button.click()
    yield from test.until(lambda: desk.job is None, 60)
    facts["gaps"] = test.gaps.stop()
    yield 300
    facts["says"] = desk.status
    opened = test.krita.activeDocument()
    facts["canvas"] = [opened.width(), opened.height()]
