"""Attach in every state of a job, and what is kept for how long."""

from __future__ import annotations

import pytest

from samovar.broker.port import Bounds, Delivery
from samovar_link.messages import (
    Attach,
    Cancel,
    Cancelled,
    Done,
    Enough,
    Failed,
    Message,
    Progress,
    Refused,
    Status,
    StatusReport,
)  # fmt: skip
from stage import A, B, FakeBlock, Stage

LEASE = 3.1


@pytest.fixture
def stage() -> Stage:
    return Stage()


def only(stage: Stage) -> tuple[bytes, Message]:
    ((client, message),) = stage.take()
    return client, message


def finished(stage: Stage, job: str = "j", **options: object) -> FakeBlock:
    """A job of A that is done; the block of its result."""
    block = FakeBlock(**options)  # type: ignore[arg-type]
    stage.run(A, job, keep_result=True)
    stage.work(Done(job), block)
    stage.take()
    return block


def assert_unknown(stage: Stage, client: bytes, job: str = "j") -> None:
    stage.say(client, Attach(job))
    to, failed = only(stage)
    assert to == client and isinstance(failed, Failed) and (failed.job, failed.code) == (job, "unknown-job")
    assert repr(job) in failed.message and failed.hint == "run it again"


# --- a job that waits or runs -----------------------------------------------------------------------------------------


def test_a_queued_job_is_taken_up_and_runs_in_its_new_clients_turn(stage: Stage) -> None:
    stage.run(B, "running")
    stage.run(A, "j", keep_result=True)
    stage.say(B, Attach("j"))
    assert (B, Progress("j", 0.0)) in stage.take()
    stage.after(LEASE, B)
    stage.work(Done("running"))
    assert stage.worker.runs == ["running", "j"]
    stage.take()
    stage.work(Done("j"))
    assert [client for client, _ in stage.take()] == [B]


def test_a_running_job_is_taken_up_where_it_is(stage: Stage) -> None:
    stage.run(A, "j", keep_result=True)
    stage.work(Progress("j", 0.4, "upscaling"))
    stage.outcome[A] = Delivery.GONE
    stage.work(Progress("j", 0.5, "upscaling"))
    stage.after(LEASE, B)
    assert stage.worker.cancels == [] and stage.dispatcher.busy
    stage.take()
    stage.say(B, Attach("j"))
    assert only(stage) == (B, Progress("j", 0.5, "upscaling"))
    stage.work(Progress("j", 0.6))
    stage.work(Done("j"))
    assert [(client, type(message)) for client, message in stage.take()] == [(B, Progress), (B, Done)]


def test_a_job_without_keep_is_taken_up_while_its_lease_lasts_and_ends_with_it(stage: Stage) -> None:
    stage.run(A, "j")
    stage.run(A, "k")
    stage.say(B, Attach("j"))
    stage.take()
    stage.after(LEASE, B)
    assert [type(message) for _, message in stage.take()] == [Failed] and stage.worker.cancels == []
    stage.work(Done("j"))
    assert [client for client, _ in stage.take()] == [B]
    assert_unknown(stage, B, "k")
    assert_unknown(stage, B)


def test_who_still_waits_is_told_that_another_took_the_job_up(stage: Stage) -> None:
    stage.run(A, "j", keep_result=True)
    stage.say(B, Attach("j"))
    (first, told), (second, progress) = stage.take()
    assert first == A and isinstance(told, Failed) and "taken up by another connection" in told.message
    assert second == B and isinstance(progress, Progress)
    stage.say(A, Cancel("j"))
    assert stage.worker.cancels == [], "it is not A's any more"
    stage.say(B, Cancel("j"))
    assert stage.worker.cancels == ["j"]


def test_two_clients_that_attach_by_turns_never_have_it_both(stage: Stage) -> None:
    stage.run(A, "j", keep_result=True)
    for client in (B, A, B, A):
        stage.say(client, Attach("j"))
        stage.take()
    stage.work(Progress("j", 0.3))
    stage.work(Done("j"))
    assert [client for client, _ in stage.take()] == [A, A]


def test_the_owner_may_attach_and_is_told_how_far_it_is(stage: Stage) -> None:
    stage.run(A, "j")
    stage.work(Progress("j", 0.25, "x"))
    stage.take()
    stage.say(A, Attach("j"))
    assert only(stage) == (A, Progress("j", 0.25, "x"))


def test_an_orphan_on_a_worker_that_died_is_run_again(stage: Stage) -> None:
    stage.run(A, "j", keep_result=True)
    stage.after(LEASE, B)
    stage.die()
    assert stage.worker.runs == ["j", "j"]
    stage.say(B, Attach("j"))
    stage.take()
    stage.work(Done("j"))
    assert only(stage)[0] == B


def test_an_orphan_ends_when_nobody_comes_for_it() -> None:
    stage = Stage(None, Bounds(orphan_seconds=60.0))
    stage.run(A, "j", keep_result=True)
    stage.after(LEASE, B)
    stage.after(59.0, B)
    assert stage.worker.cancels == []
    stage.after(2.0, B)
    assert stage.worker.cancels == ["j"]


def test_an_owner_that_comes_back_itself_makes_it_no_orphan() -> None:
    stage = Stage(None, Bounds(orphan_seconds=60.0))
    stage.run(A, "j", keep_result=True)
    for _ in range(3):
        stage.after(50.0)
        stage.after(0.1, A)
    assert stage.worker.cancels == []


# --- a job that is over -----------------------------------------------------------------------------------------------


def test_a_result_is_kept_and_can_be_had_again_and_again(stage: Stage) -> None:
    block = finished(stage)
    for client in (B, B, A):
        stage.say(client, Attach("j"))
        to, done = only(stage)
        assert to == client and isinstance(done, Done)
    assert block.released == 1
    shelf, *sent = block.shares[0], *block.shares[0].shares
    assert shelf.released == 0 and [each.released for each in sent] == [1, 1, 1]


def test_the_end_of_an_orphan_waits_for_who_comes(stage: Stage) -> None:
    stage.run(A, "j", keep_result=True)
    stage.run(A, "k", keep_result=True)
    stage.after(LEASE, B)
    stage.outcome[A] = Delivery.GONE
    stage.work(Done("j"), FakeBlock())
    stage.work(Failed("k", "out-of-memory", "too large"))
    for job, kind in (("j", Done), ("k", Failed)):
        stage.say(B, Attach(job))
        client, message = only(stage)
        assert client == B and isinstance(message, kind) and message.job == job  # type: ignore[attr-defined]


@pytest.mark.parametrize("job", ["never", "x" * 70])
def test_an_unknown_job_is_named(stage: Stage, job: str) -> None:
    assert_unknown(stage, A, job[:64])


def test_without_keep_or_after_cancel_nothing_is_kept(stage: Stage) -> None:
    stage.run(A, "plain")
    stage.work(Done("plain"))
    stage.run(A, "cancelled", keep_result=True)
    stage.say(A, Cancel("cancelled"))
    stage.work(Cancelled("cancelled"))
    stage.take()
    for job in ("plain", "cancelled"):
        assert_unknown(stage, A, job)


def test_a_result_expires() -> None:
    stage = Stage(None, Bounds(kept_seconds=60.0))
    block = finished(stage)
    stage.after(59.0, B)
    assert block.shares[0].released == 0
    stage.after(1.0, B)
    assert block.shares[0].released == 1
    assert_unknown(stage, B)


@pytest.mark.parametrize("bounds", [Bounds(kept_bytes=20), Bounds(kept_results=2)])
def test_the_oldest_goes_when_newer_ones_need_the_room(bounds: Bounds) -> None:
    stage = Stage(None, bounds)
    blocks = {job: finished(stage, job, memory_bytes=10) for job in "jkl"}
    assert [block.shares[0].released for block in blocks.values()] == [1, 0, 0]
    assert_unknown(stage, B, "j")


def test_what_is_larger_than_all_the_room_is_not_kept_and_drives_nothing_out() -> None:
    stage = Stage(None, Bounds(kept_bytes=20))
    small = finished(stage, "j", memory_bytes=10)
    large = finished(stage, "k", memory_bytes=21)
    assert large.shares == [] and large.released == 1 and small.shares[0].released == 0
    assert_unknown(stage, B, "k")


def test_who_has_a_result_lets_go_of_it_by_cancel_and_nobody_else_can(stage: Stage) -> None:
    block = finished(stage)
    stage.say(B, Cancel("j"))
    assert block.shares[0].released == 0
    stage.say(B, Attach("j"))
    stage.say(A, Cancel("j"))
    assert block.shares[0].released == 0, "it is B's now"
    stage.say(B, Cancel("j"))
    assert block.shares[0].released == 1
    stage.take()
    assert_unknown(stage, B)


def test_the_id_of_a_kept_job_is_in_use(stage: Stage) -> None:
    finished(stage)
    stage.run(B, "j")
    _, refused = only(stage)
    assert isinstance(refused, Refused) and "exists already" in refused.message


def test_at_the_daemons_end_all_is_let_go(stage: Stage) -> None:
    block = finished(stage)
    stage.dispatcher.say_goodbye()
    assert block.shares[0].released == 1


# --- good enough ------------------------------------------------------------------------------------------------------


def test_who_finds_a_running_job_good_enough_is_heard() -> None:
    stage = Stage()
    stage.run(A, "j")
    stage.run(A, "waits")
    for client in (B, A):  # any client; once is enough
        stage.say(client, Enough("j"))
    assert stage.worker.enoughs == ["j"]
    stage.say(A, Enough("waits"))
    stage.say(A, Enough("never was"))
    assert stage.worker.enoughs == ["j"]
    stage.say(A, Cancel("j"))
    stage.say(A, Enough("j"))
    assert stage.worker.enoughs == ["j"]


def test_what_is_kept_is_listed_and_whether_anybody_waits() -> None:
    stage = Stage()
    stage.run(A, "j", keep_result=True)
    stage.after(1, B)
    stage.after(1, B)
    stage.after(2, B)
    stage.say(B, Status())
    (report,) = [message for _, message in stage.take() if isinstance(message, StatusReport)]
    assert [(each.job, each.state, each.orphan) for each in report.jobs] == [("j", "running", True)]
    stage.say(B, Attach("j"))
    stage.take()
    stage.say(B, Status())
    (report,) = [message for _, message in stage.take() if isinstance(message, StatusReport)]
    assert not report.jobs[0].orphan
    stage.after(4, A)
    stage.work(Done("j"))
    stage.after(1, A)
    stage.say(A, Status())
    (report,) = [message for _, message in stage.take() if isinstance(message, StatusReport)]
    assert [(each.job, each.state, each.operation, each.orphan) for each in report.jobs] == [
        ("j", "kept", "grow", True)
    ]
