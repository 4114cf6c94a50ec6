"""The daemon's log where it cannot be written, and how it is rotated."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from samovar.broker import log_file
from samovar.broker.log_file import LogFile


class Stream:
    """A file on a disk that is full at times."""

    def __init__(self) -> None:
        self.full = False
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.lines.append(text)

    def flush(self) -> None: ...
    def close(self) -> None: ...
    def seek(self, *_: int) -> None: ...
    def tell(self) -> int:
        return 0


def line(number: int) -> logging.LogRecord:
    return logging.LogRecord("samovar", logging.INFO, "", 0, f"line {number}", None, None)


def test_a_full_disk_costs_lines_and_says_how_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler, stream = LogFile(tmp_path / "samovar.log"), Stream()
    handler.close()
    handler.stream = stream  # type: ignore[assignment]
    for number, full in enumerate([False, True, True, True, False, False]):
        stream.full = full
        handler.handle(line(number))
    missing = "3 lines are missing here: No space left on device\n"
    assert stream.lines == ["line 0\n", missing, "line 4\n", "line 5\n"]
    assert capsys.readouterr().err == ""


def test_a_defect_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", True)
    handler = LogFile(tmp_path / "samovar.log")
    handler.handle(logging.LogRecord("samovar", logging.INFO, "", 0, "%d", ("x",), None))
    handler.close()
    assert "TypeError" in capsys.readouterr().err


def test_it_is_rotated_and_keeps_three_older_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "MAX_BYTES", 100)
    handler = LogFile(tmp_path / "samovar.log")
    for number in range(100):
        handler.handle(line(number))
    handler.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["samovar.log", *(f"samovar.log.{n}" for n in (1, 2, 3))]
    assert "line 99" in (tmp_path / "samovar.log").read_text()
