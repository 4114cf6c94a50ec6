"""The daemon is killed in the middle of a job; then there is none and none can be started."""

import os
import signal
import time

from samovar_krita import _desk as desk
from samovar_krita.job import Request
from samovar_krita.samovar_link.messages import OperationInfo

WIDTH, HEIGHT = 460, 280
"""Four tiles, and no two of them alike: the daemon would know the second one already."""


def scenario(test):
    facts = test.facts
    document = test.document(WIDTH, HEIGHT)
    yield 500
    source = document.createNode("source", "paintlayer")
    rows = (bytes((x * y // 500 + 30 * c) % 200 + 55 for x in range(WIDTH) for c in range(4)) for y in range(HEIGHT))
    source.setPixelData(b"".join(rows), 0, 0, WIDTH, HEIGHT)
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 500

    def state():
        layers = document.rootNode().childNodes()
        pixels = [(each.name(), bytes(each.pixelData(0, 0, 2 * WIDTH, 2 * HEIGHT))) for each in layers]
        history = [test.krita.action(id).text() for id in ("edit_undo", "edit_redo")]
        seen = bytes(document.pixelData(0, 0, WIDTH, HEIGHT))
        return [pixels, document.width(), history, seen, len(test.krita.documents())]

    waiting = OperationInfo("identity", "Identity", resizes=True)
    before = state()

    def shown():
        return any(
            "Upscale" in each.name() and not each.bounds().isEmpty() for each in document.rootNode().childNodes()
        )

    upscale = next(each for each in desk.operations if each.id == "upscale")
    desk.run(Request(upscale, {"model": "waifu2x/upconv7-art"}, "layer"))
    yield from test.until(lambda: desk.job is None or shown(), 60)
    facts["shown_when_killed"] = desk.job is not None and shown()
    os.kill(int(os.environ["DAEMON_PID"]), signal.SIGKILL)
    facts["killed_seconds"] = yield from test.until(lambda: desk.job is None, 10)
    facts["killed_says"] = desk.status
    yield 1500
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
