"""The daemon's front: whatever several clients send, in any order, every one gets an answer or is not heeded.

The dispatcher is the real one with everything that is installed on offer; its worker and its clock are played. Answers
can be sent as they are, and every error in them is one line.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import packing
from fuzz_raster import offer
from target import Choices, Finding, Target, one_line

from samovar.broker.intake import Offer
from samovar.broker.port import Bounds, Delivery
from samovar.card import Catalogue
from samovar_link import codec, messages
from samovar_link.messages import Cancelled, Done, Failed, Hello, Progress, Raster, Refused, Run
from stage import Frame, Stage

KINDS = tuple(messages.MESSAGES.values())
FROM_CLIENTS = tuple(cls for cls in KINDS if "Client -> daemon" in (cls.__doc__ or ""))
CLIENTS = (b"a", b"b", b"stranger", b"")
MOST_ANSWERS = 8


class Hall(Stage):
    """A stage on which every answer is read, with every operation and two models on offer: a Welcome of all is slow."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        few = Offer(offer().registry, Catalogue(list(offer().catalogue)[:2]))
        super().__init__(bounds=bounds, offer=few)

    def check_answers(self) -> None:
        answers = self.take()
        if len(answers) > MOST_ANSWERS * len(CLIENTS):
            raise Finding(f"{len(answers)} answers")
        for _, message in answers:
            header = codec.encode(message)
            if type(codec.decode(header)) is not type(message):
                raise Finding(f"{message!r} does not arrive")
            if isinstance(message, (Refused, Failed)):
                one_line(message.message)
                if message.hint:
                    one_line(message.hint)


def any_bytes(data: bytes) -> None:
    """One message of bytes as they are, from a stranger and from a client."""
    hall = Hall()
    for client in (b"a", b"stranger"):
        hall.dispatcher.receive(client, data, [])
        hall.check_answers()


def any_messages(data: bytes) -> None:
    """Many messages, while the worker works and time passes."""
    choices = Choices(data)
    hall = Hall(Bounds(max_jobs=4, max_bytes=4096))
    while choices.left:
        kind = choices.number() % 8
        if kind < 5:
            cls = choices.pick(FROM_CLIENTS if choices.number() % 4 else KINDS)
            header = packing.message(cls, choices)
            frames = [Frame(choices.number() % 64) for _ in range(choices.number() % 3)]
            hall.dispatcher.receive(choices.pick(CLIENTS), header, frames)
        elif kind == 5:
            _sound_run(hall, choices)
        elif kind == 6:
            _work(hall, choices)
        else:
            hall.outcome[choices.pick(CLIENTS)] = choices.pick(tuple(Delivery))
            hall.now += choices.number() / 16
            hall.dispatcher.tick()
        hall.check_answers()
    hall.dispatcher.say_goodbye()


def _sound_run(hall: Stage, choices: Choices) -> None:
    run = Run(
        choices.pick("jkl"), "identity", images={"image": Raster(2, 2, 1)}, priority=choices.pick(messages.PRIORITIES),
        keep_result=choices.chance(2),
    )  # fmt: skip
    hall.say(choices.pick(CLIENTS[:2]), run, 4)


def _work(hall: Stage, choices: Choices) -> None:
    """The worker says something of its job, if it has one, or dies."""
    if hall.worker.runs:
        job = hall.worker.runs[-1]
        news: tuple[Callable[[], None], ...] = (
            functools.partial(hall.work, Progress(job, choices.pick(packing.FLOATS))),
            functools.partial(hall.work, Done(job)),
            functools.partial(hall.work, Failed(job, "internal", "a fact")),
            functools.partial(hall.work, Cancelled(job)),
            hall.die,
        )
        choices.pick(news)()


def headers() -> dict[str, bytes]:
    from fuzz_codec import headers as of_codec

    return {
        **of_codec(),
        "long name": codec.encode(Hello(protocol=2, client="x\n" * 100_000)),
        "long role": codec.encode(Run("j", "identity", images={"x\n" * 100_000: Raster(0, 0, 0)})),
    }


def plays() -> dict[str, bytes]:
    return {
        "a job": b"\x05\x00\x00\x00\x00\x06\x00\x01",
        "two jobs, one dies": b"\x05\0\0\0\0\x05\1\0\0\1\x06\0\4\x06\0\4\x07\0\0\xff",
        "each kind": b"".join(bytes([0, 1, index]) + bytes(20) for index in range(len(FROM_CLIENTS))),
    }


TARGETS = (
    Target("reception", any_bytes, headers, most_bytes=1024),
    Target("dispatcher", any_messages, plays, most_bytes=384),
)
