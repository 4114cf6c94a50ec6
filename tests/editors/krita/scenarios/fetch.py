"""A model that is not here yet: the question, Cancel, the question again, the fetching, the run. And the doctor."""

from samovar_krita import _desk as desk
from samovar_krita.qt import QtWidgets

MODEL = "test/tiny-x2"


def scenario(test):
    facts = test.facts
    document = test.document(64, 48)
    yield 500
    source = document.createNode("source", "paintlayer")
    source.setPixelData(bytes([40, 90, 200, 255]) * (64 * 48), 0, 0, 64, 48)
    document.rootNode().addChildNode(source, None)
    document.setActiveNode(source)
    yield 500

    def layers():
        return [each.name() for each in document.rootNode().childNodes()]

    def answer(label):
        next(each for each in desk.question.buttons() if label in each.text()).click()

    test.krita.action("samovar_upscale").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)
    yield 500
    docker = next(each for each in test.krita.dockers() if each.objectName() == "samovar_docker")
    docker.placement_box.setCurrentIndex(docker.placement_box.findData("layer"))
    model = docker._form.widget("model")
    model.setCurrentIndex(model.findData(MODEL))
    yield 600
    facts["listed"], facts["button"] = model.currentText(), docker.run_button.text()
    before = layers()

    # --- asked, and thought better of it
    docker.run_button.click()
    yield 700
    facts["question"] = desk.question.text()
    test.screenshot("question.png")
    answer("Cancel")
    yield 300
    facts["declined"] = [desk.job is None, layers() == before]

    # --- agreed, and cancelled on the way
    docker.run_button.click()
    yield 300
    answer("Fetch")
    facts["began"] = (yield from test.until(lambda: desk.job is not None and desk.job.fraction > 0.02, 20)) is not None
    test.screenshot("fetching.png")
    facts["stage"] = desk.job.stage
    docker.cancel_button.click()
    yield 300
    facts["cancelled"] = [desk.status, desk.job is None, layers() == before, docker.run_button.text()]

    # --- agreed
    docker.run_button.click()
    yield 300
    answer("Fetch")
    yield from test.until(lambda: desk.job is None and len(layers()) > len(before), 60)
    yield 500
    facts["says"], facts["layers"] = desk.status, layers()
    facts["after"] = [docker._form.widget("model").currentText(), docker.run_button.text()]

    # --- the doctor
    docker.doctor_button.click()
    yield from test.until(lambda: desk.doctor.copy_button.isEnabled(), 120)
    desk.doctor.copy_button.click()
    facts["doctor"] = desk.doctor.text.toPlainText()
    facts["copied"] = QtWidgets.QApplication.clipboard().text() == facts["doctor"]
    desk.doctor.grab().save(test.folder + "/doctor.png")
    desk.doctor.close()
    yield 200
