"""How long the canvas stands still at most, by phase, while a 4096 x 4096 layer goes out and comes back.

While the daemon pretends to work, parts of a result are shown that it did not send: many of them, soon after another.
"""

import os
import time

from samovar_krita import _desk as desk
from samovar_krita.job import Request
from samovar_krita.samovar_link.messages import OperationInfo, Progress, Raster

SIDE = 4096
TIMES = 3
PART = 512
PARTS = 20


def scenario(test):
    document = test.document(SIDE, SIDE)
    yield 4000
    source = document.createNode("source", "paintlayer")
    rows = os.urandom(4 * SIDE * 16)
    for top in range(0, SIDE, 16):
        source.setPixelData(rows, 0, top, SIDE, 16)
        yield 0
    document.rootNode().addChildNode(source, document.rootNode().childNodes()[-1])
    yield 4000
    document.setActiveNode(source)
    desk.connect(True)
    yield from test.until(lambda: desk.session.state == "ready", 5)
    waiting = OperationInfo("identity", "Identity", resizes=True)
    desk.run(Request(waiting, {}, "layer"))  # the first job starts the worker
    yield from test.until(lambda: desk.job is None, 60)
    test.facts["first"] = desk.status
    yield 4000

    whole, tile = Raster(SIDE, SIDE, 4, order="bgra"), memoryview(bytes(range(256)) * (PART * PART // 64))

    def show_part(job, number):
        y, x = divmod(number, SIDE // PART)
        part = Raster(PART, PART, 4, order="bgra", x=x * PART + 100, y=y * PART + 100)
        job.take(Progress(job.id, 0.0, "waiting", images={"image": part}, whole=whole), [tile])

    test.gaps.start(lambda: "")
    yield 1500
    test.facts["idle"] = test.gaps.stop()

    dot = document.createNode("dot", "paintlayer")
    dot.setPixelData(b"\xff" * 4 * 64, SIDE // 2, SIDE // 2, 8, 8)
    document.rootNode().addChildNode(dot, document.rootNode().childNodes()[-1])
    yield 1000
    test.facts["frame"] = []
    for _ in range(TIMES):
        test.gaps.start(lambda: "")
        for _ in range(8):
            dot.setBlendingMode("normal")  # draws the layer anew
            yield 80
        test.facts["frame"].append(test.gaps.stop()[""])
    for placement in ("layer", "document"):
        test.facts[placement] = []
        for _ in range(TIMES):
            test.gaps.start(lambda: desk.job.stage if desk.job is not None else "over")
            began = time.perf_counter()
            desk.run(Request(waiting, {"seconds": 2.0}, placement))
            yield from test.until(lambda: desk.job is None or desk.job.stage == "waiting", 60)
            for number in range(PARTS):
                if desk.job is not None:
                    show_part(desk.job, number)
                yield 60
            yield from test.until(lambda: desk.job is None, 60)
            test.facts[f"{placement}_seconds"] = round(time.perf_counter() - began, 2)
            yield 50
            test.facts[placement].append(test.gaps.stop())
            test.facts["names"] = [each.name() for each in test.krita.activeDocument().rootNode().childNodes()]
            yield 3000
            if test.krita.activeDocument() != document:
                test.krita.activeDocument().setModified(False)
                test.krita.activeDocument().close()
                yield 1500
            document.setActiveNode(source)
            yield 200
    result = next(each for each in document.rootNode().childNodes() if each.name() == "Identity")
    strip = bytes(result.pixelData(0, SIDE - 16, SIDE, 16))
    test.facts["same_pixels"] = strip == rows
