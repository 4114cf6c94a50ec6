"""Not a test: a drawing is upscaled, and the window is left as a picture for the README. See screenshot.py."""

import os

from samovar_krita import _desk as desk

SHOWN = ("samovar_docker", "KisLayerBox")


def scenario(test):
    def run(docker):
        docker.run_button.click()
        yield from test.until(lambda: desk.job is None, 240)
        yield 800

    krita = test.krita
    window = krita.activeWindow().qwindow()
    window.showNormal()
    window.resize(1280, 800)
    side = int(os.environ["SIDE"])
    document = test.document(side, side)  # not openDocument, which may ask about colours
    with open(os.environ["PICTURE"], "rb") as file:
        document.rootNode().childNodes()[0].setPixelData(file.read(), 0, 0, side, side)
    document.refreshProjection()
    document.setName("samovar")
    for docker in krita.dockers():
        docker.setVisible(docker.objectName() in SHOWN)
    yield 800
    krita.action("samovar_upscale").trigger()
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    yield from test.until(lambda: desk.session.state == "ready", 10)
    form = docker._form
    form.widget("model").setCurrentIndex(form.widget("model").findData("waifu2x/cunet-art"))
    form.widget("noise").setValue(1)
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("document"))
    yield 300
    yield from run(docker)  # the second time the model is hot: those are the seconds to show
    krita.activeDocument().setModified(False)
    krita.activeDocument().close()
    yield 1000
    yield from run(docker)
    krita.activeDocument().setName("samovar, upscaled")
    yield 300
    yield 5000  # until the words over the canvas are gone
    test.facts["says"] = desk.status
    test.screenshot("portrait.png")
