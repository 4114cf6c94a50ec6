"""Warm and Unload by the dispatcher's rules: jobs first, one at a time, and an answer whatever happens."""

from __future__ import annotations

import pytest

from samovar.card import ModelCard
from samovar.channel import Held, Ready
from samovar_link.messages import (
    Done,
    LoadedModel,
    Message,
    Refused,
    Status,
    StatusReport,
    Unload,
    Unloaded,
    Warm,
    Warmed,
)  # fmt: skip
from stage import A, B, Stage

GROW = Warm("grow")
SMALL, LARGE = LoadedModel("small", "cpu", 10, "torch"), LoadedModel("large noise1", "cpu", 90, "torch")


ONE = ModelCard("test/one", "One", (), "none", {}, 1, 0, "MIT", "")


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def idle() -> Stage:
    """Its worker runs, has nothing to do, and holds two models."""
    stage = Stage()
    stage.run(A, "before")
    stage.work(Held((SMALL, LARGE)))
    stage.work(Done("before"))
    stage.take()
    return stage


def only(stage: Stage) -> tuple[bytes, Message]:
    ((client, message),) = stage.take()
    return client, message


# --- warm -------------------------------------------------------------------------------------------------------------


def test_warm_starts_the_worker_and_is_answered_when_the_models_are_in_memory(stage: Stage) -> None:
    stage.say(A, GROW)
    assert stage.worker.state == "starting" and stage.worker.asked == []
    stage.work(Ready())
    assert stage.worker.asked == [GROW] and stage.take() == []
    stage.work(Warmed("grow", ("small",)))
    assert only(stage) == (A, Warmed("grow", ("small",)))
    stage.say(A, GROW)
    assert stage.worker.asked == [GROW, GROW]


def test_a_job_that_comes_while_the_worker_starts_goes_before_the_warm(stage: Stage) -> None:
    stage.say(A, GROW)
    stage.run(B, "j")
    stage.work(Ready())
    assert (stage.worker.runs, stage.worker.asked) == (["j"], [])
    stage.run(B, "k")
    stage.work(Done("j"))
    assert (stage.worker.runs, stage.worker.asked) == (["j", "k"], []), "no job may wait"
    stage.work(Done("k"))
    assert stage.worker.asked == [GROW]


def test_a_job_that_comes_while_the_worker_warms_goes_to_it_at_once(idle: Stage) -> None:
    idle.say(A, GROW)
    idle.run(B, "j")
    assert idle.worker.runs[-1] == "j"
    idle.now += 3
    idle.work(Warmed("grow"))
    idle.now += 2
    idle.work(Done("j"))
    done = idle.take()[-1][1]
    assert isinstance(done, Done)
    assert (done.report.seconds.load, done.report.seconds.transfer) == (3, 2), "waiting for weights is loading"


def test_warms_go_one_after_the_other_and_a_newer_one_replaces_what_waits(idle: Stage) -> None:
    first, replaced, last = (Warm("grow", {"factor": number}) for number in (1, 2, 3))
    for client, warm in ((A, first), (B, replaced), (B, last)):
        idle.say(client, warm)
    assert idle.worker.asked == [first]
    idle.work(Warmed("grow", ("one",)))
    assert idle.worker.asked == [first, last]
    idle.work(Warmed("grow", ("two",)))
    assert idle.take() == [(A, Warmed("grow", ("one",))), (B, Warmed("grow", ("two",)))]


def test_a_warm_whose_client_is_gone_is_forgotten(idle: Stage) -> None:
    idle.run(B, "j")
    idle.say(A, GROW)
    for _ in range(3):
        idle.after(2.0, B)
    idle.work(Done("j"))
    assert idle.worker.asked == []


@pytest.mark.parametrize(
    ("warm", "words"),
    [
        (Warm("shrink"), "operation is 'shrink'; allowed: grow"),
        (Warm("grow", {"factor": 9}), "grow.factor is 9; allowed: 1..8"),
        (Warm("grow", keep_alive_seconds=-2.0), "Warm.keep_alive_seconds is -2.0"),
        (Warm("grow", keep_alive_seconds=float("nan")), "Warm.keep_alive_seconds is nan"),
    ],
)
def test_a_bad_warm_is_refused_and_starts_nothing(stage: Stage, warm: Warm, words: str) -> None:
    stage.say(A, warm)
    client, refused = only(stage)
    assert client == A and isinstance(refused, Refused) and (refused.kind, refused.code) == ("Warm", "bad-request")
    assert words in refused.message and stage.worker.state == "none"


def test_what_the_worker_refuses_to_warm_goes_to_who_asked(idle: Stage) -> None:
    idle.say(A, GROW)
    idle.say(B, Warm("grow", {"factor": 2}))
    refused = Refused("Warm", "model-unavailable", "no weights", "get them")
    idle.work(refused)
    assert only(idle) == (A, refused) and len(idle.worker.asked) == 2


@pytest.mark.parametrize("ready", [False, True])
def test_a_warm_under_which_the_worker_dies_is_refused_and_not_tried_again(stage: Stage, ready: bool) -> None:
    stage.say(A, GROW)
    if ready:
        stage.work(Ready())
    stage.die("SIGKILL")
    client, refused = only(stage)
    assert client == A and isinstance(refused, Refused) and refused.code == "worker-crashed"
    assert stage.worker.state == "none", "or it might die of it for ever"


def test_a_warm_that_waits_for_a_job_outlives_the_worker_that_the_job_kills(stage: Stage) -> None:
    stage.run(A, "j")
    stage.say(B, GROW)
    stage.die()
    stage.die()
    stage.work(Ready())
    assert stage.worker.asked == [GROW]


def test_a_worker_that_cannot_be_started_is_said(stage: Stage) -> None:
    stage.worker.broken = True
    stage.say(A, GROW)
    _, refused = only(stage)
    assert isinstance(refused, Refused) and refused.code == "internal"


# --- unload -----------------------------------------------------------------------------------------------------------


def test_all_models_unloaded_while_nothing_runs_is_the_end_of_the_worker(idle: Stage) -> None:
    idle.say(A, Unload())
    assert idle.worker.retired == 1 and idle.worker.asked == []
    assert idle.take() == [], "its memory is not free yet"
    assert idle.worker.gone is not None
    idle.worker.gone()
    assert only(idle) == (A, Unloaded(("small", "large noise1"), 100))
    idle.say(A, Status())
    _, report = only(idle)
    assert isinstance(report, StatusReport) and report.models == ()
    idle.run(A, "j")
    assert idle.worker.runs[-1] == "j"


@pytest.mark.parametrize("model", ["", "test/one"])
def test_while_a_job_runs_the_worker_does_it_and_stays(model: str) -> None:
    stage = Stage(None, None, ONE)
    stage.run(A, "j")
    stage.say(B, Unload(model))
    assert stage.worker.asked == [Unload(model)] and stage.worker.retired == 0
    stage.work(Unloaded(("small",), 10))
    assert only(stage) == (B, Unloaded(("small",), 10))


def test_one_model_is_unloaded_by_the_worker_which_stays() -> None:
    stage = Stage(None, None, ONE)
    stage.run(A, "j")
    stage.work(Done("j"))
    stage.take()
    stage.say(A, Unload("test/one"))
    stage.say(B, Unload("test/one"))
    assert stage.worker.retired == 0
    stage.work(Unloaded(("test/one",), 10))
    stage.work(Unloaded())
    assert stage.take() == [(A, Unloaded(("test/one",), 10)), (B, Unloaded())]


def test_without_a_worker_nothing_is_unloaded_and_none_started(stage: Stage) -> None:
    stage.say(A, Unload())
    assert only(stage) == (A, Unloaded()) and stage.worker.state == "none"


def test_an_unknown_model_is_refused_by_name(idle: Stage) -> None:
    idle.say(A, Unload("no/such"))
    _, refused = only(idle)
    assert isinstance(refused, Refused) and (refused.kind, refused.code) == ("Unload", "bad-request")
    assert "'no/such'" in refused.message


def test_unloading_all_ends_a_warm_that_is_at_work(idle: Stage) -> None:
    idle.say(B, GROW)
    idle.say(A, Unload())
    client, refused = only(idle)
    assert client == B and isinstance(refused, Refused) and "unloaded" in refused.message
    assert idle.worker.retired == 1


def test_a_worker_that_dies_has_unloaded_all() -> None:
    stage = Stage(None, None, ONE)
    stage.run(A, "j")
    stage.work(Held((SMALL,)))
    stage.say(B, Unload("test/one"))
    stage.die()
    assert only(stage) == (B, Unloaded(("small",), 10))


def test_an_idle_worker_at_its_question_is_not_retired(idle: Stage) -> None:
    idle.work(Held(()))
    idle.say(A, GROW)
    idle.after(10_000.0, A)
    assert idle.worker.retired == 0
    idle.work(Warmed("grow"))
    idle.after(0.1, A)
    assert idle.worker.retired == 1
