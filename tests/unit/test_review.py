"""Looking through what was prepared: the page, and what becomes of the list that it saves."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from drawings import drawing, load, save

from samovar.cli import prepare as commands
from samovar.cli.program import run as command
from samovar.training import ledger, pictures, review

ALL = [f"{name}_{index}.png" for name in "abc" for index in range(2)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two parts of each of three pictures; its own name has something in it that HTML and shells take amiss."""
    for index, name in enumerate("abc"):
        save(drawing(index), tmp_path / "in" / f"{name}.png")
    made = tmp_path / "<!--<script> & 'out'"
    assert prepared(tmp_path / "in", made) == 0
    return made


@pytest.fixture
def drop(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[dict[str, Any], str]]:
    """Drops what a text names; gives what was printed as JSON, if anything, and what was said beside it."""

    def run(text: str | bytes, code: int = 0) -> tuple[dict[str, Any], str]:
        (tmp_path / "dropped.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        capsys.readouterr()
        assert command(["train", "drop", str(folder), str(tmp_path / "dropped.txt"), "--json"]) == code
        shown = capsys.readouterr()
        return json.loads(shown.out or "{}"), shown.err

    return run


def prepared(source: Path, folder: Path) -> int:
    return command(["train", "prepare", str(source), "-o", str(folder), "--size", "32", "--per-picture", "2"])


def told(folder: Path) -> dict[str, Any]:
    """What the page knows."""
    page = (folder / review.PAGE).read_text(encoding="utf-8")
    (inside,) = re.findall(r'<script type="application/json" id="prepared">(.*?)</script>', page, re.S)
    return dict(json.loads(inside))


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_page_knows_what_is_in_its_folder(folder: Path) -> None:
    knows = told(folder)
    assert knows["names"] == ALL and knows["size"] == 32 and knows["list"] == "dropped.txt"
    assert knows["command"] == "samovar train drop '" + str(folder).replace("'", "'\"'\"'") + "' dropped.txt"


def test_the_page_needs_nothing_from_elsewhere(folder: Path) -> None:
    page = (folder / review.PAGE).read_text(encoding="utf-8")
    assert not re.findall(r"(?:https?:)?//[a-z]|@import|url\(|<link|src=", page)
    assert page.count("<script") == 2, "its own, and what it knows"
    for part in ('loading = "lazy"', "prefers-color-scheme: dark", "aria-pressed", "ArrowDown", ":focus-visible"):
        assert part in page


def test_a_picture_that_somebody_took_away_is_not_on_the_page(folder: Path, tmp_path: Path) -> None:
    (folder / "b_1.png").unlink()
    assert prepared(tmp_path / "in", folder) == 0
    assert told(folder)["names"] == [name for name in ALL if name != "b_1.png"]
    assert not (folder / "b_1.png").exists()


# --- what is dropped ------------------------------------------------------------------------------------------------


def test_what_is_dropped_is_moved_and_no_longer_trained_on_nor_made_again(
    folder: Path, tmp_path: Path, drop: Callable[..., tuple[dict[str, Any], str]]
) -> None:
    pixels = load(folder / "a_1.png")
    report, said = drop("a_1.png\nc_0.png\n")
    assert report == {"moved": 2, "before": 0, "missing": [], "left": 4} and said == ""
    left = ["a_0.png", "b_0.png", "b_1.png", "c_1.png"]
    for _ in range(2):
        assert [each.name for each in pictures.read([folder], 32)] == left == told(folder)["names"]
        assert (load(folder / "dropped" / "a_1.png") == pixels).all()
        assert prepared(tmp_path / "in", folder) == 0


def test_a_list_may_come_from_any_editor_and_be_given_again(
    folder: Path, drop: Callable[..., tuple[dict[str, Any], str]]
) -> None:
    assert drop("\ufeffa_0.png\r\n\r\n  b_0.png  \r\na_0.png")[0]["moved"] == 2
    assert drop("a_0.png\nb_0.png\nc_0.png\n")[0] == {"moved": 1, "before": 2, "missing": [], "left": 3}
    assert drop("")[0]["moved"] == 0
    assert len(list((folder / "dropped").iterdir())) == 3


def test_names_that_are_not_there_are_named_and_the_others_moved(
    folder: Path, drop: Callable[..., tuple[dict[str, Any], str]]
) -> None:
    (folder / "mine.png").write_bytes(b"not of this")
    names = ["a_0.png", "review.html", ledger.NAME, "mine.png", "dropped", *(f"{index}.png" for index in range(4))]
    report, said = drop("\n".join(names), code=1)
    assert (report["moved"], report["missing"]) == (1, names[1:])
    assert "review.html, prepared.jsonl, mine.png, dropped, 0.png, and 3 more" in said
    assert [path.name for path in (folder / "dropped").iterdir()] == ["a_0.png"]


@pytest.mark.parametrize("name", ["../in/a.png", "dropped/a_0.png", "/etc/passwd", "..\\a.png", "..", "./b_0.png"])
def test_a_name_with_a_folder_is_refused_before_anything_is_moved(
    folder: Path, drop: Callable[..., tuple[dict[str, Any], str]], name: str
) -> None:
    report, said = drop(f"a_0.png\n{name}\n", code=1)
    assert f"names {name}; a name is that of a file in the folder" in said and report == {}
    assert not (folder / "dropped").exists() and (folder / "a_0.png").exists()


def test_what_is_no_list_or_no_folder_of_these_is_refused(
    folder: Path, tmp_path: Path, drop: Callable[..., tuple[dict[str, Any], str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "is no list of names" in drop(b"\x89PNG\xff\xfe", code=1)[1]
    assert command(["train", "drop", str(tmp_path / "in"), str(tmp_path / "dropped.txt")]) == 1
    (tmp_path / "dropped.txt").write_text("a.png")
    assert command(["train", "drop", str(tmp_path / "in"), str(tmp_path / "dropped.txt")]) == 1
    assert "was not made by samovar train prepare" in capsys.readouterr().err.splitlines()[-1]
    assert (tmp_path / "in" / "a.png").is_file()


def test_a_file_of_that_name_that_lies_among_the_dropped_is_not_overwritten(
    folder: Path, drop: Callable[..., tuple[dict[str, Any], str]]
) -> None:
    (folder / "dropped").mkdir()
    (folder / "dropped" / "a_0.png").write_bytes(b"older")
    assert drop("a_0.png\n")[0]["moved"] == 0
    assert (folder / "dropped" / "a_0.png").read_bytes() == b"older" and (folder / "a_0.png").exists()


def test_few_faces_are_said_to_be_few_after_dropping_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands, "FEW", 3)
    for index in range(3):
        save(drawing(index), tmp_path / "in" / f"{index}.png")
    line = ["train", "prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--whole", "--size", "64"]
    assert command(line) == 0 and "few" not in capsys.readouterr().err
    (tmp_path / "list").write_text("1_0.png")
    assert command(["train", "drop", str(tmp_path / "out"), str(tmp_path / "list")]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{tmp_path / 'out'}: 1 dropped, 0 before, 2 left\n" and "few faces (2)" in shown.err
