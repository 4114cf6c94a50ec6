"""Not a test: a drawing is upscaled, and the window is left as a picture for the README. See screenshot.py."""

import os

from samovar_krita import _desk as desk

SHOWN = ("samovar_docker", "KisLayerBox")


def scenario(test):
    krita = test.krita
    window = krita.activeWindow().qwindow()
    window.showNormal()
    window.resize(1280, 800)
    document = krita.openDocument(os.environ["PICTURE"])
    document.setBatchmode(True)
    krita.activeWindow().addView(document)
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
    for _ in range(2):  # the second time the model is hot: these are the seconds to show
        krita.activeWindow().views()[0].setVisible()
        krita.activeWindow().activeView()
        yield 500
        docker.run_button.click()
        yield from test.until(lambda: desk.job is None, 240)
        yield 800
        if len(krita.documents()) > 2:
            break
        if _ == 0:
            extra = krita.activeDocument()
            extra.setModified(False)
            extra.close()
            yield 800
    krita.activeDocument().setName("samovar, upscaled")
    yield 300
    krita.action("zoom_to_fit").trigger()
    yield 5000  # until the words over the canvas are gone
    test.facts["says"] = desk.status
    test.screenshot("portrait.png")
