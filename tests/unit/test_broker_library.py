"""The broker's rules for models on disk: fetched once for all who ask, and everybody hears of what is new."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from samovar.broker import library
from samovar.card import ModelCard, WeightFile
from samovar.weights import store
from samovar_link.messages import Message, Pull, Pulled, Pulling, Refused, StopPull, Welcome
from stage import A, B, Stage

MODEL = "far/away"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    return tmp_path


def distant(id: str = MODEL) -> ModelCard:
    """A model that has to be fetched."""
    weight = WeightFile("", f"{id}/weights.pth", "00", "https://example.org/weights.pth", 1000)
    return ModelCard(id, "Far away", ("grow",), "foreign", {"": weight}, 2, 8, "MIT", "")


def arrive(id: str = MODEL) -> None:
    path = store.folder() / id / "weights.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(1000))


def on_stage(*more: ModelCard) -> Stage:
    stage = Stage(None, None, distant(), *more)
    stage.after(2, A, B)
    stage.take()
    return stage


def said_to(client: bytes, sent: list[tuple[bytes, Message]]) -> list[Message]:
    return [message for to, message in sent if to == client]


def test_a_model_is_fetched_and_all_hear_of_it() -> None:
    stage = on_stage()
    stage.say(A, Pull(MODEL))
    (errand,) = stage.errands.started
    assert errand.words == ["models", "pull", "--json", MODEL]
    errand.say({"model": MODEL, "have_bytes": 10, "total_bytes": 1000})
    assert stage.take() == [(A, Pulling(MODEL, 10, 1000))]
    arrive()
    errand.end("")
    sent = stage.take()
    welcome, pulled = said_to(A, sent)
    assert isinstance(welcome, Welcome) and welcome.models[0].available and pulled == Pulled(MODEL)
    assert said_to(B, sent) == [welcome]
    stage.say(B, Pull(MODEL))
    assert stage.take() == [(B, Pulled(MODEL))] and len(stage.errands.started) == 1


def test_two_who_want_the_same_share_one_errand_and_it_ends_with_the_last() -> None:
    stage = on_stage()
    stage.say(A, Pull(MODEL))
    (errand,) = stage.errands.started
    errand.say({"model": MODEL, "have_bytes": 10, "total_bytes": 1000})
    stage.say(B, Pull(MODEL))
    stage.say(B, Pull(MODEL))
    assert said_to(B, stage.take()) == [Pulling(MODEL, 10, 1000)] and len(stage.errands.started) == 1
    stage.say(A, StopPull(MODEL))
    assert stage.take() == [(A, Pulled(MODEL, stopped=True))] and errand.stopped == 0
    stage.say(B, StopPull(MODEL))
    stage.say(B, StopPull(MODEL))
    assert stage.take() == [(B, Pulled(MODEL, stopped=True))] * 2 and errand.stopped == 1
    errand.end("terminated")
    assert stage.take() == []


def test_who_asks_again_while_it_ends_gets_another_errand() -> None:
    stage = on_stage()
    stage.say(A, Pull(MODEL))
    stage.say(A, StopPull(MODEL))
    stage.say(A, Pull(MODEL))
    assert len(stage.errands.started) == 1
    stage.errands.started[0].end("terminated")
    assert len(stage.errands.started) == 2
    assert stage.take() == [(A, Pulled(MODEL, stopped=True))]
    arrive()
    stage.errands.started[1].end("")
    assert said_to(A, stage.take())[-1] == Pulled(MODEL)


def test_a_fetch_that_fails_gives_its_reason() -> None:
    stage = on_stage()
    stage.say(A, Pull(MODEL))
    (errand,) = stage.errands.started
    errand.say({"code": "model-unavailable", "message": "the disk is full", "hint": "make room"})
    errand.end("the disk is full; make room")
    assert stage.take() == [(A, Refused("Pull", "model-unavailable", "the disk is full", "make room"))]
    stage.say(A, Pull(MODEL))
    stage.errands.started[1].end("SIGSEGV")
    ((_, refused),) = stage.take()
    assert isinstance(refused, Refused) and refused.message == f"{MODEL} could not be fetched: SIGSEGV"


def test_a_model_that_is_not_offered_is_refused() -> None:
    stage = on_stage()
    stage.say(A, Pull("../../etc/passwd"))
    ((_, refused),) = stage.take()
    assert isinstance(refused, Refused) and MODEL in refused.message and not stage.errands.started


def test_not_everything_at_once() -> None:
    many = [distant(f"far/{number}") for number in range(library.MAX_PULLS)]
    stage = on_stage(*many)
    for each in many:
        stage.say(A, Pull(each.id))
    stage.say(A, Pull(MODEL))
    ((_, refused),) = stage.take()
    assert isinstance(refused, Refused) and refused.code == "busy"
    stage.errands.started[0].end("no network")
    stage.say(A, Pull(MODEL))
    assert len(stage.errands.started) == library.MAX_PULLS + 1


def test_with_the_client_goes_its_wish() -> None:
    stage = on_stage()
    stage.say(A, Pull(MODEL))
    stage.after(2, B)
    assert stage.errands.started[0].stopped == 0
    stage.after(2, B)
    assert stage.errands.started[0].stopped == 1


def test_what_changes_in_the_folder_is_told_to_everybody_once() -> None:
    stage = on_stage()
    arrive()
    stage.after(2, A, B)
    sent = stage.take()
    assert [type(message) for _, message in sent] == [Welcome, Welcome] and {to for to, _ in sent} == {A, B}
    stage.after(2, A, B)
    assert stage.take() == []


def test_a_file_that_was_dropped_in_is_looked_at_when_nobody_writes_to_it() -> None:
    stage = on_stage()
    path = store.folder() / "mine.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    stage.after(2, A, B)
    assert not stage.errands.started
    os.utime(path, (1, 1))
    stage.after(2, A, B)
    assert [each.words for each in stage.errands.started] == [["models", "list", "--json"]]
    stage.after(2, A, B)
    assert len(stage.errands.started) == 1
    for count, reason in enumerate(("it broke", ""), 1):  # or it ended well, in a folder that cannot be written to
        stage.errands.started[-1].end(reason)
        stage.after(2, A, B)
        assert len(stage.errands.started) == count, "not again and again"
        stage.after(120, A, B)
        assert len(stage.errands.started) == count + 1


def test_a_folder_of_models_that_cannot_be_looked_through_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(seconds: float) -> bool:
        raise OSError(24, "Too many open files")

    stage = on_stage()
    monkeypatch.setattr(store, "has_new", refuse)
    for _ in range(3):
        stage.after(library.LOOK_SECONDS + 1, A, B)
    assert stage.errands.started == []
    assert caplog.text.count("cannot be looked through") == 1, "not once a second"
    monkeypatch.setattr(store, "has_new", lambda seconds: True)
    stage.after(library.LOOK_SECONDS + 1, A, B)
    assert len(stage.errands.started) == 1
