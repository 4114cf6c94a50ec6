"""`samovar logs`: the last records, those that are grave enough, and what comes, across rotations."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import pytest

from samovar.broker import log_file
from samovar.broker.log_file import LogFile
from samovar.cli import logs
from samovar.cli.program import run

RECORDS = """\
2026-01-01 10:00:00,000 INFO samovar.broker: one
2026-01-01 10:00:01,000 ERROR samovar.worker: two
Traceback (most recent call last):
  two and a half
2026-01-01 10:00:02,000 WARNING samovar.worker: three
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.0)
    path = tmp_path / "log" / "samovar.log"
    path.parent.mkdir()
    path.write_text(RECORDS)
    return path


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert run(["logs", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_record_is_shown_with_all_its_lines_if_it_is_grave_enough(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shown(capsys) == RECORDS.splitlines()
    assert shown(capsys, "--level", "warning") == RECORDS.splitlines()[1:]
    assert shown(capsys, "--level", "error") == RECORDS.splitlines()[1:4]
    assert shown(capsys, "--level", "error", "-n", "1") == ["  two and a half"]


def test_the_last_lines_may_lie_in_the_file_before(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path.rename(path.with_name("samovar.log.1"))
    path.write_text("2026-01-01 10:00:03,000 INFO samovar.broker: four\n")
    assert [line[-4:] for line in shown(capsys, "-n", "2")] == ["hree", "four"]


def test_every_line_is_followed_whole_and_once_however_often_the_file_is_rotated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "MAX_BYTES", 40)  # a rotation every third line
    handler = LogFile(path)
    followed = logs.written(path, path.open())
    assert list(itertools.islice(followed, 5)) == RECORDS.splitlines(keepends=True)
    for number in range(0, 40, 2):
        for each in (number, number + 1):
            handler.handle(logging.LogRecord("", 20, "", 0, f"line number {each}", None, None))
        assert list(itertools.islice(followed, 2)) == [f"line number {number}\n", f"line number {number + 1}\n"]
    handler.close()
    followed.close()
    assert path.with_name("samovar.log.3").exists()


def test_half_a_line_waits_for_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = logs.written(path, path.open())
    list(itertools.islice(followed, 5))
    with path.open("a") as file:
        file.write("half a ")
    looks = 0

    def go_on(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            with path.open("a") as file:
                file.write("line\n")

    monkeypatch.setattr(logs.time, "sleep", go_on)
    assert next(followed) == "half a line\n" and looks == 3
    followed.close()


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LOOK_SECONDS", 0.0)
    path = tmp_path / "samovar.log"
    followed = logs.written(path, None)
    monkeypatch.setattr(logs.time, "sleep", lambda seconds: path.write_text("here\n"))
    assert next(followed) == "here\n"
    followed.close()
