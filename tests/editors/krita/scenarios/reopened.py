"""A Krita that was opened again: the job of the one before is in the docker's list, is taken up and kept."""

from samovar_krita import _desk as desk

SIDE = 256


def scenario(test):
    facts, krita = test.facts, test.krita
    document = test.document(SIDE, SIDE)
    yield 800
    docker = next(each for each in krita.dockers() if each.objectName() == "samovar_docker")
    krita.action("samovar_restore").trigger()
    yield from test.until(lambda: desk.session.state == "ready", 10)

    def looked():
        desk.look_for_jobs()
        return bool(desk.waiting)

    yield from test.until(looked, 15)
    facts["waiting"] = [each.job for each in desk.waiting]
    docker.take_up_button.click()
    yield from test.until(lambda: desk.job is None or desk.job.keepable, 60)
    yield 600
    facts["live"] = [each.name() for each in document.rootNode().childNodes()]
    docker.use_button.click()
    yield from test.until(lambda: desk.job is None, 20)
    yield 800
    facts["kept"] = [desk.status, [each.name() for each in document.rootNode().childNodes()]]
    node = document.rootNode().childNodes()[-1]
    facts["bounds"] = list(node.bounds().getRect())
    test.save("after.bin", bytes(node.pixelData(0, 0, SIDE, SIDE)))
