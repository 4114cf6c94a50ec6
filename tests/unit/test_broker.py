"""The dispatcher's rules, without sockets, processes or time."""

from __future__ import annotations

import dataclasses
import errno

import pytest

from samovar.broker.job import Pixels
from samovar.broker.port import Bounds, Delivery
from samovar.channel import Held, Ready, Spent
from samovar.operation import Registry
from samovar_link.messages import (
    Cancel,
    Cancelled,
    Done,
    Failed,
    Hello,
    Limits,
    LoadedModel,
    Progress,
    Raster,
    Refused,
    Report,
    Run,
    Seconds,
    Status,
    StatusReport,
    Stop,
    Stopping,
    Welcome,
)  # fmt: skip
from stage import A, B, FakeBlock, Frame, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


# --- meeting ----------------------------------------------------------------------------------------------------------


def test_hello_is_answered_by_welcome_with_operations(stage: Stage) -> None:
    stage.say(b"c", Hello())
    ((client, welcome),) = stage.take()
    assert client == b"c" and isinstance(welcome, Welcome)
    assert [each.id for each in welcome.operations] == ["grow"] and (welcome.version, welcome.pid) == ("1.0", 42)


def test_another_protocol_is_refused_and_stays_a_stranger(stage: Stage) -> None:
    stage.say(b"c", Hello(protocol=2, client="krita"))
    stage.run(b"c", "j")
    (_, first), (_, second) = stage.take()
    assert isinstance(first, Refused) and "krita speaks protocol 2, Samovar 1.0 speaks 1" in first.message
    assert isinstance(second, Refused) and second.kind == "Run"
    assert stage.worker.runs == []


@pytest.mark.parametrize("name", ["x\ny", "\x1b[31m", "x" * 7_000])
def test_what_a_client_calls_itself_is_a_short_part_of_a_line(stage: Stage, name: str) -> None:
    stage.say(b"c", Hello(protocol=2, client=name, version=name))
    stage.say(b"c", Hello(client=name, version=name))
    stage.say(b"c", Status())
    stage.run(b"c", "j")
    stage.say(b"c", Status())
    (_, refused), _, _, (_, status) = stage.take()
    assert isinstance(refused, Refused) and refused.message.isprintable() and len(refused.message) < 250
    assert isinstance(status, StatusReport)
    assert status.jobs[0].client.isprintable() and len(status.jobs[0].client) <= 121


def test_a_field_of_great_depth_is_refused_like_any_other(stage: Stage) -> None:
    stage.dispatcher.receive(A, b"\x92\xa4Ping\x81\xa5nonce" + b"\x91" * 1000 + b"\xc0", [])
    ((_, refused),) = stage.take()
    assert isinstance(refused, Refused) and refused.message.startswith("Ping.nonce is [[[")


def test_a_worker_in_which_something_went_wrong_is_replaced_when_nothing_runs_in_it(stage: Stage) -> None:
    stage.run(A, "batch", priority="batch")
    stage.run(B, "failing")
    stage.work(Ready("cpu"))
    stage.work(Held((LoadedModel("m", "cpu", 1, "torch f32"),)))
    stage.work(Spent())
    stage.work(Failed("failing", "internal", "a defect"))
    assert stage.worker.retired == 0, "the batch job goes on in it"
    stage.run(B, "waits", priority="batch")
    stage.work(Done("batch"))
    assert stage.worker.retired == 1 and stage.worker.runs == ["batch", "failing", "waits"]
    stage.take()
    stage.say(A, Status())
    ((_, report),) = stage.take()
    assert isinstance(report, StatusReport) and report.models == ()
    stage.work(Ready("cpu"))
    stage.work(Done("waits"))
    assert stage.worker.retired == 1, "the new one stays"
    stage.run(A, "dies")
    stage.work(Spent())
    stage.die()
    stage.work(Ready("cpu"))
    stage.work(Done("dies"))
    assert stage.worker.retired == 1, "it is gone already"


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyError("a defect"), "internal", "Run could not be handled: KeyError: 'a defect'"),
        (OSError(errno.EMFILE, "Too many open files"), "out-of-memory", "no more files can be opened just now"),
    ],
)
@pytest.mark.parametrize("place", ["registry", "worker"])
def test_a_job_that_could_not_be_handled_has_an_end_and_no_other_is_touched(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception, code: str, words: str
) -> None:
    """Before it was accepted, or after that."""

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(*{"registry": (Registry, "check"), "worker": (stage.worker, "run")}[place], fail)
        stage.run(A, "j")
    ((client, failed),) = stage.take()
    assert (
        isinstance(failed, Failed) and client == A and (failed.job, failed.code, failed.message) == ("j", code, words)
    )
    if place == "worker":
        stage.work(Cancelled("j"))  # it was told that it need not go on
    stage.run(B, "k")
    stage.work(Done("k"))
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "check", fail)
        stage.run(B, "m")
        stage.run(A, "m")
        patch.setattr(stage.dispatcher, "_shelf", None)
        stage.say(B, Status())
    (_, done), (_, first), (_, second), (_, refused) = stage.take()
    assert isinstance(done, Done) and isinstance(first, Failed) and isinstance(second, Failed)
    assert isinstance(refused, Refused) and refused.kind == "Status"
    assert not stage.dispatcher.busy


def test_stop_is_passed_on_and_goodbye_is_said_to_all(stage: Stage) -> None:
    stage.run(A, "j")
    stage.say(B, Stop())
    assert stage.stopped == 1
    stage.dispatcher.say_goodbye()
    assert stage.take() == [(A, Cancelled("j")), (A, Stopping()), (B, Stopping())]


# --- jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_goes_to_the_worker_and_its_result_to_its_owner(stage: Stage) -> None:
    stage.run(A, "j")
    assert stage.worker.runs == ["j"]
    block = FakeBlock()
    stage.work(Progress("j", 0.5))
    stage.work(Done("j"), block)
    sent = stage.take()
    assert [client for client, _ in sent] == [A, A] and sent[0][1] == Progress("j", 0.5)
    assert isinstance(sent[1][1], Done) and block.released == 1
    assert not stage.dispatcher.busy


def test_one_job_at_a_time_interactive_first_and_clients_in_turn(stage: Stage) -> None:
    stage.run(A, "first")
    for client, job, priority in (
        (A, "a1", "batch"), (A, "a2", "interactive"), (A, "a3", "interactive"), (B, "b1", "interactive"),
    ):  # fmt: skip
        stage.run(client, job, priority=priority)
    for job in ("first", "a2", "b1", "a3", "a1"):
        assert stage.worker.runs[-1] == job
        stage.work(Done(job))


def test_the_report_is_completed_with_what_the_broker_knows(stage: Stage) -> None:
    stage.run(A, "before")
    stage.run(A, "j")
    stage.now += 2  # in the queue
    stage.work(Done("before"))
    stage.take()
    stage.now += 3
    stage.work(Ready())  # as if the worker had only just started
    stage.now += 5
    stage.work(Done("j", report=Report(seconds=Seconds(load=1, compute=3))))
    ((_, done),) = stage.take()
    assert isinstance(done, Done)
    assert done.report.seconds == Seconds(queue=2, load=4, transfer=1, compute=3, total=10)


def test_a_bad_request_fails_with_the_reason_and_costs_no_work(stage: Stage) -> None:
    stage.say(A, Run("j", "grow", {"factor": 9}, {"image": Raster(2, 2, 1)}), 4)
    ((_, failed),) = stage.take()
    assert failed == Failed("j", "bad-request", "grow.factor is 9; allowed: 1..8", "")
    assert stage.worker.runs == [] and not stage.dispatcher.busy


def test_a_result_that_is_too_large_is_refused_before_anything_is_allocated() -> None:
    stage = Stage(limits=Limits(max_output_pixels=15))
    stage.say(A, Run("j", "grow", {"factor": 2}, {"image": Raster(2, 2, 1)}), 4)
    ((_, failed),) = stage.take()
    assert isinstance(failed, Failed) and failed.message == "size of the result is '4x4'; allowed: at most 15 pixels"


def test_an_id_in_use_is_refused_even_for_another_client(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(B, "j")
    ((client, refused),) = stage.take()
    assert client == B and isinstance(refused, Refused) and "exists already" in refused.message


@pytest.mark.parametrize("bounds", [Bounds(max_jobs=2), Bounds(max_bytes=8)])
def test_a_full_queue_is_busy(bounds: Bounds) -> None:
    stage = Stage(bounds=bounds)
    for client, job in ((A, "j"), (B, "k"), (b"c", "l")):
        stage.say(client, Hello())
        stage.run(client, job)
    failed = stage.take()[-1][1]
    assert isinstance(failed, Failed) and (failed.job, failed.code) == ("l", "busy")
    assert stage.worker.runs == ["j"]


def test_one_client_gets_half_of_the_room_for_pixels_and_another_the_rest() -> None:
    stage = Stage(bounds=Bounds(max_bytes=16))
    for client, job in ((A, "j"), (A, "k"), (A, "l"), (B, "m"), (B, "n")):
        stage.run(client, job)
    ((client, failed),) = stage.take()
    assert client == A and isinstance(failed, Failed) and (failed.job, failed.code) == ("l", "busy")
    assert "2 jobs of this client" in failed.message


def test_a_job_may_be_larger_than_half_of_the_room_if_it_is_its_clients_only_one() -> None:
    stage = Stage(bounds=Bounds(max_bytes=6))
    stage.run(A, "j")
    stage.run(A, "k")
    ((_, failed),) = stage.take()
    assert isinstance(failed, Failed) and failed.job == "k" and stage.worker.runs == ["j"]


def test_one_client_may_have_so_many_jobs_and_another_still_gets_in() -> None:
    stage = Stage(limits=Limits(max_jobs_per_client=1))
    stage.run(A, "j")
    stage.run(A, "k")
    stage.run(B, "l")
    ((client, failed),) = stage.take()
    assert client == A and isinstance(failed, Failed) and (failed.job, failed.code) == ("k", "busy")


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_a_waiting_job_is_cancelled_without_the_worker(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(A, "k")
    stage.say(A, Cancel("k"))
    assert stage.take() == [(A, Cancelled("k"))] and stage.worker.cancels == []
    stage.work(Done("j"))
    assert stage.worker.runs == ["j"]


def test_a_running_job_is_answered_at_once_and_nothing_of_it_follows(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(B, "k")
    stage.say(A, Cancel("j"))
    assert stage.take() == [(A, Cancelled("j"))] and stage.worker.cancels == ["j"]
    blocks = FakeBlock(), FakeBlock()
    stage.work(Progress("j", 0.7), blocks[0])
    assert stage.worker.runs == ["j"], "the worker is not free yet"
    stage.work(Done("j"), blocks[1])
    assert stage.take() == [] and [block.released for block in blocks] == [1, 1]
    assert stage.worker.runs == ["j", "k"]


def test_cancel_of_unknown_finished_or_foreign_job_is_ignored(stage: Stage) -> None:
    stage.run(A, "j")
    stage.say(B, Cancel("j"))
    stage.say(A, Cancel("x"))
    stage.work(Done("j"))
    stage.take()
    stage.say(A, Cancel("j"))
    assert stage.take() == [] and stage.worker.cancels == []


def test_a_worker_that_does_not_drop_a_cancelled_job_is_killed_and_the_next_job_runs(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(A, "k")
    stage.say(A, Cancel("j"))
    for _ in range(15):
        stage.after(1.9, A)
    assert stage.worker.kills == 0
    stage.after(1.9, A)
    stage.after(0.1, A)
    assert stage.worker.kills == 1
    stage.die("SIGKILL")
    assert stage.worker.runs == ["j", "k"]


# --- ahead of a batch job ---------------------------------------------------------------------------------------------


@pytest.fixture
def ahead(stage: Stage) -> Stage:
    """A batch job that let an interactive one go ahead."""
    stage.run(A, "folder", priority="batch")
    stage.run(B, "brush")
    assert stage.worker.runs == ["folder", "brush"]
    return stage


def test_an_interactive_job_goes_ahead_of_a_batch_job_that_runs(ahead: Stage) -> None:
    ahead.run(B, "next")
    ahead.run(B, "other folder", priority="batch")
    ahead.work(Progress("folder", 0.3))
    ahead.work(Progress("brush", 0.5))
    assert ahead.take() == [(A, Progress("folder", 0.3)), (B, Progress("brush", 0.5))]
    assert ahead.worker.runs == ["folder", "brush"], "one at a time goes ahead"
    ahead.work(Done("brush"))
    assert ahead.worker.runs == ["folder", "brush", "next"]
    ahead.work(Done("next"))
    assert ahead.worker.runs == ["folder", "brush", "next"], "a batch job does not go ahead of another"
    ahead.work(Done("folder"))
    assert [message.job for _, message in ahead.take()] == ["brush", "next", "folder"]  # type: ignore[union-attr]
    assert ahead.worker.runs[-1] == "other folder"


def test_nothing_goes_ahead_of_an_interactive_job(stage: Stage) -> None:
    stage.run(A, "one")
    stage.run(B, "two")
    assert stage.worker.runs == ["one"]


def test_both_start_again_when_the_worker_dies(ahead: Stage) -> None:
    ahead.die()
    assert ahead.take() == []
    assert ahead.worker.runs == ["folder", "brush", "brush"]
    ahead.work(Done("brush"))
    ahead.work(Done("folder"))
    retries = [message.report.retries for _, message in ahead.take()]  # type: ignore[union-attr]
    assert [len(each) for each in retries] == [1, 1]


def test_a_batch_job_cancelled_below_another_has_its_time_to_stop_when_that_is_done(ahead: Stage) -> None:
    ahead.say(A, Cancel("folder"))
    assert ahead.take() == [(A, Cancelled("folder"))] and ahead.worker.cancels == ["folder"]
    for _ in range(30):
        ahead.after(1.9, A, B)
    assert ahead.worker.kills == 0, "it cannot stop before the other is done"
    ahead.work(Done("brush"))
    ahead.take()
    for _ in range(15):
        ahead.after(1.9, A, B)
    assert ahead.worker.kills == 0
    for _ in range(2):
        ahead.after(1.9, A, B)
    assert ahead.worker.kills == 1


# --- the worker dies --------------------------------------------------------------------------------------------------


def test_a_job_survives_one_death_and_its_progress_never_goes_back(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(A, "k", priority="interactive")
    stage.work(Progress("j", 0.6))
    stage.die()
    assert stage.worker.runs == ["j", "j"], "before those that wait"
    stage.work(Progress("j", 0.1))
    stage.work(Progress("j", 0.8))
    stage.work(Done("j"))
    *progress, (_, done) = stage.take()
    assert [message.fraction for _, message in progress if isinstance(message, Progress)] == [0.6, 0.6, 0.8]
    assert isinstance(done, Done) and len(done.report.retries) == 1 and "SIGSEGV" in done.report.retries[0]


def test_a_second_death_fails_the_job_and_the_next_one_runs(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(B, "k")
    stage.die()
    stage.die()
    ((client, failed),) = stage.take()
    assert client == A and isinstance(failed, Failed) and (failed.job, failed.code) == ("j", "worker-crashed")
    assert "/log" in failed.hint
    assert stage.worker.runs == ["j", "j", "k"]


def test_the_death_of_a_worker_with_a_cancelled_job_is_no_retry(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(A, "k")
    stage.say(A, Cancel("j"))
    stage.die()
    assert stage.worker.runs == ["j", "k"]


def test_the_models_of_a_dead_worker_are_gone(stage: Stage) -> None:
    stage.work(Held((LoadedModel("m", "cpu", 1, "torch"),)))
    stage.die()
    stage.say(A, Status())
    report = stage.take()[-1][1]
    assert isinstance(report, StatusReport) and report.models == ()


# --- leases -----------------------------------------------------------------------------------------------------------


def test_a_silent_client_loses_its_jobs_and_only_its_own(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(B, "k")
    stage.after(2.0, B)
    assert stage.worker.cancels == []
    stage.after(1.1, B)
    ((client, failed),) = stage.take()
    assert stage.worker.cancels == ["j"] and client == A, "it may only have stood still"
    assert isinstance(failed, Failed) and failed.message.startswith("nothing was heard of this program for 3 s")
    stage.work(Cancelled("j"))
    assert stage.worker.runs == ["j", "k"] and stage.take() == []


def test_any_message_renews_the_lease(stage: Stage) -> None:
    stage.run(A, "j")
    for _ in range(4):
        stage.after(2.0)
        stage.say(A, Status())
    assert stage.worker.cancels == []


def test_a_client_that_cannot_be_reached_keeps_its_job_if_it_comes_back(stage: Stage) -> None:
    stage.run(A, "j")
    stage.outcome[A] = Delivery.GONE
    stage.work(Progress("j", 0.1))
    stage.after(0.9)
    stage.outcome.clear()
    stage.after(0.2, A)
    assert stage.worker.cancels == []


def test_a_client_that_stays_unreachable_loses_its_job_early(stage: Stage) -> None:
    stage.run(A, "j")
    stage.outcome[A] = Delivery.GONE
    stage.work(Progress("j", 0.1))
    stage.after(1.1)
    assert stage.worker.cancels == ["j"]


def test_a_client_that_does_not_read_gets_its_result_later_but_no_stale_progress(stage: Stage) -> None:
    stage.run(A, "j")
    stage.outcome[A] = Delivery.FULL
    blocks = FakeBlock(), FakeBlock()
    stage.work(Progress("j", 0.1), blocks[0])
    stage.work(Done("j"), blocks[1])
    assert [block.released for block in blocks] == [1, 0] and stage.dispatcher.busy
    stage.outcome.clear()
    stage.after(0.1)
    assert [type(message) for _, message in stage.take()] == [Done] and blocks[1].released == 1


def test_a_result_that_nobody_fetches_is_dropped_with_the_lease(stage: Stage) -> None:
    stage.run(A, "j")
    stage.outcome[A] = Delivery.FULL
    block = FakeBlock()
    stage.work(Done("j"), block)
    stage.after(3.1)
    assert block.released == 1 and not stage.dispatcher.busy


# --- the idle worker --------------------------------------------------------------------------------------------------


def test_an_idle_worker_is_retired_unless_it_holds_a_model() -> None:
    stage = Stage(bounds=Bounds(idle_seconds=10))
    stage.run(A, "j")
    stage.after(20, A)
    assert stage.worker.retired == 0, "it computes"
    stage.work(Held((LoadedModel("m", "cpu", 1, "torch"),)))
    stage.work(Done("j"))
    stage.after(20)
    assert stage.worker.retired == 0, "it holds a model"
    stage.work(Held(()))
    stage.after(0.1)
    assert stage.worker.retired == 1


def test_the_status_tells_who_runs_what(stage: Stage) -> None:
    stage.run(A, "j", parameters={"factor": 2})
    stage.run(B, "k")
    stage.work(Progress("j", 0.25))
    stage.take()
    stage.now += 1.5
    stage.say(B, Status())
    ((_, report),) = stage.take()
    assert isinstance(report, StatusReport)
    jobs = [(job.job, job.state, job.client, job.fraction, job.age_seconds) for job in report.jobs]
    assert jobs == [("j", "running", "a", 0.25, 1.5), ("k", "queued", "b", 0.0, 1.5)]
    assert (report.uptime_seconds, report.clients, report.worker) == (1.5, 2, "busy")


def test_a_released_job_frees_its_pixels(stage: Stage) -> None:
    stage.run(A, "j")
    pixels = stage.worker.pixels[0]
    assert pixels.size_bytes == 4
    stage.work(Done("j"))
    assert pixels.frames == []


def test_pixels_in_motion_are_freed_only_when_the_copy_is_made() -> None:
    pixels = Pixels([Frame(4)])
    block = FakeBlock()
    pixels.blocks, pixels.moving = [block], True  # type: ignore[list-item]
    pixels.release()
    assert block.released == 0 and pixels.frames
    pixels.moved()
    assert block.released == 1 and not pixels.frames


def test_every_message_kind_has_an_answer_or_is_refused(stage: Stage) -> None:
    from samovar_link.messages import MESSAGES

    required = {"Run": {"job": "x"}, "Refused": {"kind": "", "code": "", "message": ""}}
    for name, cls in MESSAGES.items():
        fields = {
            f.name: required.get(name, {}).get(f.name, 0.0 if f.name == "fraction" else "x")
            for f in dataclasses.fields(cls)
            if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        }
        stage.say(A, cls(**fields))
    refused = {message.kind for _, message in stage.take() if isinstance(message, Refused)}
    assert refused == {
        "Welcome", "Refused", "Progress", "Done", "Failed", "Cancelled", "StatusReport", "Stopping", "Unloaded",
        "Warmed", "Pulling", "Pulled", "Warm", "Pull", "Train",  # the last three because nothing is called "x"
    }  # fmt: skip
