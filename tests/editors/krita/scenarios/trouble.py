"""The daemon is killed in the middle of a job; then there is none and none can be started."""

import os
import signal
import time

from samovar_krita import _desk as desk
from samovar_krita.job import Request
from samovar_krita.samovar_link.messages import OperationInfo


def scenario(test):
    facts = test.facts
    document = test.document(128, 128)
    yield 500
    source = document.createNode("source", "paintlayer")
    source.setPixelData(b"\x40\x80\xc0\xff" * 64 * 64, 8, 8, 64, 64)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500

    def state():
        names = [(each.name(), bytes(each.pixelData(0, 0, 128, 128))) for each in document.rootNode().childNodes()]
        return [names, document.width(), test.krita.action("edit_undo").text(), len(test.krita.documents())]

    waiting = OperationInfo("identity", "Identity", resizes=True)
    before = state()

    desk.run(Request(waiting, {"seconds": 60.0}, "image"))
    yield from test.until(lambda: desk.job is not None and desk.job.fraction > 0.05, 30)
    facts["stage_when_killed"] = desk.job.stage
    os.kill(int(os.environ["DAEMON_PID"]), signal.SIGKILL)
    facts["killed_seconds"] = yield from test.until(lambda: desk.job is None, 10)
    facts["killed_says"] = desk.status
    yield 500
    facts["killed_same"] = state() == before

    began = time.perf_counter()
    desk.run(Request(waiting, {}, "image"))
    yield from test.until(lambda: desk.job is None, 10)
    facts["none_seconds"] = time.perf_counter() - began
    facts["none_says"] = desk.status
    yield 500
    facts["none_same"] = state() == before
    docker = next(each for each in test.krita.dockers() if each.objectName() == "samovar_docker")
    facts["docker_says"] = docker.status_label.text()
    facts["run_again_possible"] = docker.run_button.isEnabled()
    docker.setVisible(True)
    docker.raise_()
    yield 300
    test.screenshot("trouble.png")
