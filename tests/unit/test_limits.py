"""What the broker accepts of a client, and no more: each limit with a sentence of its own."""

from __future__ import annotations

import statistics
import time

import msgpack
import pytest

from samovar.broker.port import Bounds, Delivery
from samovar.card import ModelCard
from samovar.channel import Held
from samovar_link import codec
from samovar_link.messages import (
    Done,
    Failed,
    Limits,
    LoadedModel,
    Message,
    Ping,
    Pong,
    Raster,
    Refused,
    Run,
    Unload,
    Unloaded,
)
from stage import A, B, FakeBlock, Frame, Stage

MOST = Bounds().max_header_bytes
MODEL = ModelCard("a/b", "B", ("grow",), "", {}, 1, 0, "MIT", "")


@pytest.fixture
def stage() -> Stage:
    return Stage()


def sent_to(stage: Stage, client: bytes) -> list[Message]:
    return [message for to, message in stage.take() if to == client]


# --- frame 0 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "named"), [("Run", "Run"), ("x" * 40, ""), ("Ping", "Ping")])
def test_a_header_that_is_too_large_is_refused_unread(stage: Stage, kind: str, named: str) -> None:
    header = msgpack.packb([kind, {"job": "j", "x": "y" * MOST}])
    stage.dispatcher.receive(A, header, [])
    assert sent_to(stage, A) == [
        Refused(named, "bad-request", f"frame 0 is '{len(header)} bytes'; allowed: at most {MOST} bytes",
                "pixels travel in frames of their own")
    ]  # fmt: skip


def test_one_of_just_that_size_is_read(stage: Stage) -> None:
    header = msgpack.packb(["Ping", {"nonce": 3, "x": "y" * (MOST - 19)}])
    assert len(header) == MOST
    stage.dispatcher.receive(A, header, [])
    assert sent_to(stage, A) == [Pong(3)]


def nested(depth: int, around: str) -> bytes:
    body: object = 0
    for _ in range(depth):
        body = [body]
    return bytes(msgpack.packb(["Run", {"job": "j", "operation": "grow", around: {"factor": body}}]))


@pytest.mark.parametrize("around", ["parameters", "images", "unknown"])
@pytest.mark.parametrize("depth", [3, 400, 505, 12_000])
def test_a_deep_header_ends_nothing(stage: Stage, around: str, depth: int) -> None:
    if depth == 12_000:  # deeper than a packer goes
        header = b"\x92\xa3Run\x83\xa3job\xa1j\xa9operation\xa4grow" + msgpack.packb(around) + b"\x91" * depth + b"\x00"
    else:
        header = nested(depth, around)
    stage.dispatcher.receive(A, header, [])
    answers = sent_to(stage, A)
    assert len(answers) <= 1 and all(isinstance(each, (Failed, Refused)) for each in answers)
    if depth == 3 and around != "unknown":
        assert answers and "allowed" in str(answers[0])
    stage.say(A, Ping(1))
    assert sent_to(stage, A) == [Pong(1)]


WORST = {
    "a list of numbers": lambda: ["Run", {"x": [[0] * 2700] * 6}],
    "empty lists": lambda: ["Run", {"x": [[[]] * 2700] * 6}],
    "empty maps": lambda: ["Run", {"x": [[{}] * 2700] * 6}],
    "short texts": lambda: ["Run", {"x": [["a"] * 2700] * 3}],
    "many fields": lambda: ["Run", {f"{number:05d}": 0 for number in range(2300)}],
    "many parameters": lambda: ["Run", {"job": "j", "operation": "grow",
                                        "parameters": {f"{number:05d}": 0 for number in range(2300)}}],
    "many images": lambda: ["Run", {"job": "j", "operation": "grow", "images": {
        f"{number:04d}": {"height": 1, "width": 1, "channels": 1} for number in range(500)}}],
    "one wrong list": lambda: ["Run", {"job": "j", "operation": [[0] * 2700] * 6}],
}  # fmt: skip


@pytest.mark.parametrize("name", WORST)
def test_no_header_takes_long(stage: Stage, name: str) -> None:
    """A header may take what a slow picture of a canvas takes, not seconds; `-s` shows what it takes here."""
    header = msgpack.packb(WORST[name]())
    assert MOST * 0.9 < len(header) <= MOST
    taken = []
    for _ in range(5):
        begin = time.perf_counter()
        stage.dispatcher.receive(A, header, [])
        taken.append(time.perf_counter() - begin)
    print(f"{name}, {len(header)} bytes: {statistics.median(taken) * 1000:.1f} ms")
    assert statistics.median(taken) < 0.1


def test_what_is_no_message_is_logged_once_for_each_client(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    for client in (A, A, B, A):
        stage.dispatcher.receive(client, b"\xc1", [])
    assert caplog.text.count("sent what is no message") == 2
    assert stage.take() == []


# --- pixels -----------------------------------------------------------------------------------------------------------


def test_more_frames_than_any_message_has_are_refused() -> None:
    stage = Stage(Limits(max_frames=3))
    run = Run("j", "grow", images={"image": Raster(2, 2, 1)})
    stage.say(A, run, *[4] * 4)
    (failed,) = sent_to(stage, A)
    assert isinstance(failed, Failed)
    assert failed.message == "frames is 'more than 3'; allowed: at most 3 frames of pixels"
    stage.say(A, run, *[4] * 3)
    (failed,) = sent_to(stage, A)
    assert isinstance(failed, Failed) and failed.message == "frames is 3; allowed: 1, one for each image"


def test_more_pixels_than_a_job_may_have_are_refused_before_they_come() -> None:
    stage = Stage(Limits(max_pixels=10, max_side=100))
    stage.say(A, Run("j", "grow", images={"image": Raster(2, 6, 1)}), 12)
    (failed,) = sent_to(stage, A)
    assert isinstance(failed, Failed) and "'6x2'; allowed: at most 10 pixels" in failed.message


def test_a_job_for_which_there_is_never_room_says_so() -> None:
    stage = Stage(None, Bounds(max_bytes=3 << 20))
    image = Raster(1 << 10, 1 << 10, 4)
    stage.say(A, Run("j", "grow", images={"image": image}), image.size_bytes)
    (failed,) = sent_to(stage, A)
    assert isinstance(failed, Failed) and failed.code == "bad-request"
    assert failed.message == "pixels of the job is '4 MiB'; allowed: at most 3 MiB"


# --- who does not read ------------------------------------------------------------------------------------------------


def test_for_who_does_not_read_nothing_more_is_computed_until_it_does(stage: Stage) -> None:
    for job in ("one", "two", "three"):
        stage.run(A, job)
    stage.run(B, "other")
    stage.outcome[A] = Delivery.FULL
    blocks = FakeBlock()
    stage.work(Done("one"), blocks)
    stage.work(Done("other"))
    stage.after(1.0, A, B)
    assert stage.worker.runs == ["one", "other"] and blocks.released == 0
    stage.outcome[A] = Delivery.SENT
    stage.after(0.1, A, B)
    assert stage.worker.runs == ["one", "other", "two"] and blocks.released == 1
    assert Done("one") in sent_to(stage, A)


def test_who_does_not_read_and_falls_silent_loses_its_jobs(stage: Stage) -> None:
    stage.run(A, "one")
    stage.run(A, "two")
    stage.outcome[A] = Delivery.FULL
    blocks = FakeBlock()
    stage.work(Done("one"), blocks)
    stage.after(10.0, B)
    assert blocks.released == 1 and stage.worker.runs == ["one"]
    assert not stage.dispatcher.busy


# --- questions --------------------------------------------------------------------------------------------------------


def test_questions_that_await_the_worker_are_counted() -> None:
    stage = Stage(None, Bounds(max_questions=2), MODEL)
    stage.run(A, "j")
    stage.work(Held((LoadedModel("a/b", "cpu", 1, "torch"),)))
    for _ in range(4):
        stage.say(A, Unload("a/b"))
    stage.say(B, Unload("a/b"))
    refused = [each for each in sent_to(stage, A) if isinstance(each, Refused)]
    assert [each.code for each in refused] == ["busy", "busy"] and "2 Unloads of this client" in refused[0].message
    assert len(stage.worker.asked) == 3
    stage.work(Unloaded())
    stage.say(A, Unload("a/b"))
    assert len(stage.worker.asked) == 4


def test_a_frame_counts_as_received_until_it_is_in_shared_memory(stage: Stage) -> None:
    stage.run(A, "one")
    stage.run(A, "two")
    assert stage.dispatcher.waiting_bytes == 8
    stage.worker.pixels[0].moved()
    assert stage.dispatcher.waiting_bytes == 4
    stage.dispatcher.receive(A, codec.encode(Ping()), [Frame(100)])
    assert stage.dispatcher.waiting_bytes == 4
