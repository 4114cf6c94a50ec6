"""The broker's rules for trainings: one at a time, behind every job, and not bound to who asked for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from samovar.broker.trainings import QUIET_SECONDS
from samovar_link.errors import UnknownJob
from samovar_link.messages import (
    Attach,
    Cancel,
    Cancelled,
    Done,
    Failed,
    JobInfo,
    Message,
    Progress,
    Refused,
    Status,
    StatusReport,
    Train,
    Warm,
)  # fmt: skip
from stage import A, B, Stage

JOB = "0123456789abcdef" * 2


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    stage = Stage()
    stage.say(A, Train(JOB))
    return stage


def said(stage: Stage, client: bytes = A) -> list[Message]:
    return [message for to, message in stage.take() if to == client]


def trainings(stage: Stage, client: bytes = A) -> tuple[JobInfo, ...]:
    stage.take()
    stage.say(client, Status())
    (report,) = said(stage, client)
    assert isinstance(report, StatusReport) and not [each for each in report.jobs if each.job == JOB]
    return report.trainings


def test_it_runs_in_a_process_of_its_own_and_tells_how_far_it_is(stage: Stage) -> None:
    (errand,) = stage.errands.started
    assert errand.words == ["train", "carry-out", JOB]
    assert said(stage) == [Progress(JOB, 0.0)]
    errand.say({"what": "train upscale", "model": "mine"})
    errand.say({"fraction": 0.25, "stage": "step 5", "left": 12.0})
    errand.say({"note": "psnr 30"})
    assert said(stage) == [Progress(JOB, 0.25, "step 5", 12.0), Progress(JOB, 0.25, "psnr 30")]
    (info,) = trainings(stage)
    assert dataclasses.replace(info, age_seconds=0) == JobInfo(
        JOB, "train upscale", "running", "a", "mine", fraction=0.25
    )
    errand.say({"found": {"psnr": 31.5}})
    errand.end("")
    (done,) = said(stage)
    assert isinstance(done, Done) and json.loads(done.report.notes[-1]) == {"psnr": 31.5} and not done.images
    assert not trainings(stage)


def test_what_went_wrong_is_told(stage: Stage) -> None:
    stage.take()
    stage.errands.started[0].end("/p: no pictures in there")
    (failed,) = said(stage)
    assert isinstance(failed, Failed) and failed.message == "/p: no pictures in there"


def test_it_stands_still_at_once_for_a_job_and_goes_on_a_moment_after(stage: Stage) -> None:
    (errand,) = stage.errands.started
    stage.run(B, "1" * 32)
    assert errand.stands_still and [each.state for each in trainings(stage)] == ["resting"]
    stage.after(5, A, B)
    assert errand.stands_still, "as long as there are jobs"
    stage.work(Done("1" * 32))
    stage.after(0.1, A, B)
    assert errand.stands_still and stage.dispatcher.busy, "the next job may be on its way; and somebody has to look"
    stage.after(QUIET_SECONDS, A, B)
    assert not errand.stands_still and [each.state for each in trainings(stage)] == ["running"]


def test_it_makes_way_for_a_model_that_is_loaded(stage: Stage) -> None:
    stage.say(A, Warm("grow"))
    assert stage.errands.started[0].stands_still


def test_one_that_begins_while_there_are_jobs_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    stage = Stage()
    stage.run(B, "1" * 32)
    stage.say(A, Train(JOB))
    assert stage.errands.started[0].stands_still


def test_there_is_one_at_a_time_and_who_wants_the_same_follows_it(stage: Stage) -> None:
    stage.take()
    stage.say(B, Train("f" * 32))
    (refused,) = said(stage, B)
    assert isinstance(refused, Refused) and refused.kind == "Train" and "another training" in refused.message
    stage.say(B, Train(JOB))
    assert said(stage, B) == [Progress(JOB, 0.0)] and len(stage.errands.started) == 1
    stage.errands.started[0].say({"fraction": 0.5, "stage": "step 9", "left": 1.0})
    assert [to for to, _ in stage.take()] == [A, B]


def test_it_goes_on_without_its_client_and_is_taken_up_by_another(stage: Stage) -> None:
    (errand,) = stage.errands.started
    stage.after(60, B)
    (info,) = trainings(stage, B)
    assert errand.stopped == 0 and info.orphan and info.client == ""
    stage.say(B, Attach(JOB))
    assert said(stage, B) == [Progress(JOB, 0.0)]
    stage.say(B, Cancel(JOB))
    assert errand.stopped == 1
    errand.end("it ended with exit status 130")
    assert said(stage, B) == [Cancelled(JOB)]


def test_who_does_not_follow_it_cannot_end_it(stage: Stage) -> None:
    stage.say(B, Cancel(JOB))
    assert stage.errands.started[0].stopped == 0
    stage.say(A, Cancel(JOB))
    stage.say(A, Cancel(JOB))
    assert stage.errands.started[0].stopped == 1


def test_after_it_is_over_nobody_can_take_it_up(stage: Stage) -> None:
    stage.errands.started[0].end("")
    stage.take()
    stage.say(B, Attach(JOB))
    (failed,) = said(stage, B)
    assert isinstance(failed, Failed) and failed.code == UnknownJob.code


@pytest.mark.parametrize("job", ["", "../../etc/passwd", "/etc/passwd", "a.b", "--help", "-h", "a" * 65, "x", "a\n"])
def test_a_name_that_could_be_a_file_or_an_option_is_refused(job: str) -> None:
    stage = Stage()
    stage.say(A, Train(job))
    (refused,) = said(stage)
    assert isinstance(refused, Refused) and refused.message.startswith("Train.job is")
    assert stage.errands.started == []
