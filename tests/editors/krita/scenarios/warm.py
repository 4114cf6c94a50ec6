"""Somebody looks at the docker: what a run would use is loaded meanwhile, and again when they choose otherwise."""

from samovar_krita import _desk as desk
from samovar_krita.samovar_link.messages import Refused, Warmed

LIGHT = ("waifu2x/upconv7-photo", "waifu2x/cunet-art", "waifu2x/upconv7-art")


def scenario(test):
    facts = test.facts
    answers = facts["answers"] = []
    arrived = desk.session._arrived

    def listen(message, frames):
        if isinstance(message, Warmed):
            answers.append(list(message.models))
        elif isinstance(message, Refused):
            answers.append(message.message)
        arrived(message, frames)

    desk.session._arrived = listen
    test.document(64, 48)
    yield 500
    facts["before"] = len(answers)
    test.krita.action("samovar_upscale").trigger()
    yield from test.until(lambda: len(answers) == 1, 60)
    docker = next(each for each in test.krita.dockers() if each.objectName() == "samovar_docker")
    model = docker._form.widget("model")
    others = [id for id in LIGHT if id != model.currentData()]
    facts["wanted"] = others[-1]
    for id in others:  # passing by all but the last
        model.setCurrentIndex(model.findData(id))
        yield 100
    yield from test.until(lambda: len(answers) == 2, 60)
    docker.enterEvent(None)
    yield 700
    facts["jobs"] = desk.job is not None
