"""`restore` in real processes: what shows meanwhile, how it is ended, and that it outlives what dies around it."""

from __future__ import annotations

import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from live_daemon import Daemon
from samovar_link import Client
from samovar_link.messages import (
    BATCH,
    Attach,
    Cancel,
    Cancelled,
    Done,
    Enough,
    Failed,
    JobInfo,
    Message,
    Progress,
    Raster,
    Run,
    Status,
    StatusReport,
)  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIDE = 96
PATIENCE_SECONDS = 60.0
Received = tuple[Message, list[memoryview]]


def picture() -> bytes:
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    clean = 128 + 80 * np.sin(y / 9)[..., None] * np.cos(x / 7)[..., None].repeat(3, 2)
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8).tobytes()


def request(**parameters: Any) -> Run:
    """One that does not end by itself so soon."""
    parameters = {"method": "classic", **parameters}
    return Run(
        secrets.token_hex(16), "restore", parameters, {"image": Raster(SIDE, SIDE, 3)}, stream=True, priority=BATCH,
        keep_result=True,
    )  # fmt: skip


def connected(daemon: Daemon) -> Client:
    client = Client(daemon.connection, name="test", version="1")
    while client.welcome is None:
        client.receive(PATIENCE_SECONDS)
    return client


def until(client: Client, wanted: Callable[[Message], bool]) -> Received:
    """The first message that is wanted; a failure is not put up with."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        message, frames = client.receive(PATIENCE_SECONDS)
        if wanted(message):
            return message, frames
        assert not isinstance(message, Failed), message
    raise AssertionError("it did not come")


def shows(job: str) -> Callable[[Message], bool]:
    return lambda message: isinstance(message, Progress) and message.job == job and bool(message.images)


def jobs(client: Client) -> dict[str, JobInfo]:
    client.send(Status())
    report, _ = until(client, lambda message: isinstance(message, StatusReport))
    assert isinstance(report, StatusReport)
    return {each.job: each for each in report.jobs}


def test_it_shows_all_of_the_picture_and_ends_when_it_is_good_enough(shared_daemon: Daemon) -> None:
    with connected(shared_daemon) as client, connected(shared_daemon) as other:
        run = request(seconds=600)
        client.send(run, [picture()])
        shown, frames = until(client, shows(run.job))
        assert isinstance(shown, Progress) and shown.whole == shown.images["image"]
        assert len(frames[0]) == SIDE * SIDE * 3
        until(client, shows(run.job))
        other.send(Enough(run.job))  # whoever says so
        assert jobs(other)[run.job].state == "running"
        done, frames = until(client, lambda message: isinstance(message, Done))
        assert isinstance(done, Done) and done.job == run.job
        assert done.report.notes[0].startswith("kept as it was after")
        assert done.report.model == "deep-image-prior/classic" and len(frames[0]) == SIDE * SIDE * 3
        client.send(Cancel(run.job))
        assert run.job not in jobs(client)


def test_it_is_cancelled_within_a_step(shared_daemon: Daemon) -> None:
    with connected(shared_daemon) as client:
        run = request(seconds=600)
        client.send(run, [picture()])
        until(client, shows(run.job))
        client.send(Cancel(run.job))
        until(client, lambda message: isinstance(message, Cancelled) and message.job == run.job)
        after = Run(secrets.token_hex(16), "identity", images={"image": Raster(1, 1, 1)})
        client.send(after, [b"x"])
        until(client, lambda message: isinstance(message, Done) and message.job == after.job)


def test_what_takes_a_moment_goes_ahead_of_it(shared_daemon: Daemon) -> None:
    with connected(shared_daemon) as client, connected(shared_daemon) as other:
        run = request(seconds=600)
        client.send(run, [picture()])
        until(client, shows(run.job))
        moment = Run(secrets.token_hex(16), "identity", images={"image": Raster(1, 1, 1)})
        assert isinstance(other.run(moment, [b"x"])[0], Done)
        until(client, shows(run.job))
        client.send(Cancel(run.job))
        until(client, lambda message: isinstance(message, Cancelled))


CLIENT = """
import sys
from samovar_link import Client
from samovar_link.discovery import ConnectionFile
from samovar_link.messages import BATCH, Progress, Raster, Run
from pathlib import Path
file, job, pixels = sys.argv[1:]
client = Client(ConnectionFile.read(Path(file)), name="editor", version="1")
side = {side}
images = {{"image": Raster(side, side, 3)}}
values = {{"seconds": 600, "method": "classic"}}
run = Run(job, "restore", values, images, stream=True, priority=BATCH, keep_result=True)
client.run(run, [Path(pixels).read_bytes()], lambda progress, frames: print(bool(progress.images), flush=True))
"""


def test_a_program_that_is_killed_loses_nothing_and_another_takes_it_up(daemon: Daemon, tmp_path: Any) -> None:
    job = secrets.token_hex(16)
    (tmp_path / "pixels").write_bytes(picture())
    command = [
        sys.executable,
        "-c",
        CLIENT.format(side=SIDE),
        str(daemon.connection_file),
        job,
        str(tmp_path / "pixels"),
    ]
    with subprocess.Popen(command, env=daemon.environment, stdout=subprocess.PIPE, text=True) as editor:
        assert editor.stdout is not None
        while editor.stdout.readline() != "True\n":
            assert editor.poll() is None
        editor.kill()
    with connected(daemon) as client:
        end = time.monotonic() + PATIENCE_SECONDS
        while not (info := jobs(client)[job]).orphan:
            assert time.monotonic() < end
            time.sleep(0.1)
        assert (info.state, info.operation) == ("running", "restore")
        client.send(Attach(job))
        first, _ = until(client, lambda message: isinstance(message, Progress) and message.job == job)
        shown, frames = until(client, shows(job))
        assert isinstance(first, Progress) and isinstance(shown, Progress)
        assert shown.fraction >= first.fraction and len(frames[0]) == SIDE * SIDE * 3
        assert not jobs(client)[job].orphan
        client.send(Enough(job))
        until(client, lambda message: isinstance(message, Done) and message.job == job)


def test_it_is_kept_when_it_ends_while_nobody_waits(daemon: Daemon) -> None:
    run = request(seconds=1)
    with connected(daemon) as client:
        client.send(run, [picture()])
        until(client, shows(run.job))
    with connected(daemon) as client:
        end = time.monotonic() + PATIENCE_SECONDS
        while (info := jobs(client)[run.job]).state != "kept":
            assert time.monotonic() < end
            time.sleep(0.1)
        assert info.fraction == 1.0
        done, frames = client.attach(run.job)
        assert isinstance(done, Done) and len(frames[0]) == SIDE * SIDE * 3


def test_it_goes_on_where_the_worker_was_killed(daemon: Daemon) -> None:
    with connected(daemon) as client:
        run = request(seconds=14)
        client.send(run, [picture()])
        folder = daemon.home / "checkpoints"
        end = time.monotonic() + PATIENCE_SECONDS
        step = 0
        while not list(folder.glob("*.safetensors")) if folder.exists() else True:
            message, _ = client.receive(PATIENCE_SECONDS)
            assert time.monotonic() < end and not isinstance(message, (Done, Failed)), message
        message, _ = until(client, lambda message: isinstance(message, Progress) and "step" in message.stage)
        assert isinstance(message, Progress)
        step = int(message.stage.removeprefix("step "))
        client.send(Status())
        report, _ = until(client, lambda message: isinstance(message, StatusReport))
        assert isinstance(report, StatusReport)
        (worker,) = [each for each in daemon.workers() if each.pid == report.worker_pid]
        worker.kill()
        first, _ = until(client, lambda message: isinstance(message, Progress) and "step" in message.stage)
        # what lay in the socket may still come from the first
        steps = [int(first.stage.removeprefix("step "))]  # type: ignore[union-attr]
        done, _ = until(client, lambda message: _noted(message, steps))
        assert isinstance(done, Done) and "started again on a fresh one" in done.report.retries[0]
        assert min(steps) >= step / 2, "it began anew"
        told = re.search(r"after (\d+) steps, (\d+) s", done.report.notes[0])
        assert told is not None and int(told[1]) > step
        assert not list(folder.iterdir())


def _noted(message: Message, steps: list[int]) -> bool:
    if isinstance(message, Progress) and message.stage.startswith("step "):
        steps.append(int(message.stage.removeprefix("step ")))
    return isinstance(message, Done)
