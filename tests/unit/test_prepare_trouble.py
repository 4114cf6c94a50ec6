"""`samovar train prepare` where something is wrong: with pictures, the folder or the disk; or it ends in the middle."""

from __future__ import annotations

import contextlib
import json
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from drawings import drawing, save

from samovar.cli.program import run as command
from samovar.training import ledger, pictures, prepare

OPTIONS = ["--size", "32", "--per-picture", "3"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for index, name in enumerate("abc"):
        save(drawing(index), tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


@pytest.fixture
def failing(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command and gives the one line that it says."""

    def run(*line: object, code: int = 1) -> str:
        capsys.readouterr()
        assert command(["train", *map(str, line)]) == code
        said = [each for each in capsys.readouterr().err.splitlines() if each != "preparing"]
        assert len(said) == 1 and said[0].startswith("samovar: ")
        return said[0].removeprefix("samovar: ")

    return run


def prepared(source: Path, folder: Path, *options: str) -> int:
    return command(["train", "prepare", str(source), "-o", str(folder), *OPTIONS, *options])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- pictures -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_named_with_the_reason_and_the_others_are_taken(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (source / "a.png").read_bytes()
    (source / "cut.png").write_bytes(whole[: len(whole) // 2])
    (source / "none.jpg").write_text("no picture")
    (source / "empty.webp").write_bytes(b"")
    (source / "gone.png").symlink_to(source / "nowhere")
    assert prepared(source, tmp_path / "out", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["pictures"], report["unreadable"], report["written"]) == (3, 3, 9)
    assert [each.split(" ")[0] for each in report["unreadable_named"]] == ["in/cut.png", "in/empty.webp", "in/none.jpg"]
    assert all("damaged, cut short or no picture" in each for each in report["unreadable_named"])
    assert len(pictures.read([source], 32)) == 3, "nor are they trained on"


def test_of_many_that_cannot_be_read_a_few_are_named(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(9):
        (source / f"{index}.png").write_text("no picture")
    assert prepared(source, tmp_path / "out") == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "pictures: 3 read, 9 unreadable, 0 like another"
    assert [line.split(" is damaged")[0] for line in shown[1:6]] == [f"  in/{index}.png" for index in range(5)]
    assert shown[6] == "  and 4 more"


def test_a_file_that_the_disk_does_not_give_is_passed_over(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "b2.png").symlink_to("/proc/self/mem")  # an error of input and output, whoever reads it
    assert prepared(source, tmp_path / "out", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["written"] == 9 and "b2.png cannot be read ([Errno 5]" in report["unreadable_named"][0]


def test_nothing_to_cut_is_said(tmp_path: Path, failing: Callable[..., str]) -> None:
    (tmp_path / "in").mkdir()
    assert "no pictures (.png" in failing("prepare", tmp_path / "in", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    save(drawing(0, 20, 20), tmp_path / "in" / "small.png")
    assert "nothing to train on" in failing("prepare", tmp_path / "in", "-o", tmp_path / "out")
    (tmp_path / "text.tar").write_text("none")
    said = failing("prepare", tmp_path / "text.tar", "-o", tmp_path / "other")
    assert "neither a folder nor a tar" in said


# --- the folder -----------------------------------------------------------------------------------------------------


def test_a_folder_with_other_files_is_left_alone(source: Path, tmp_path: Path, failing: Callable[..., str]) -> None:
    save(drawing(5), tmp_path / "out" / "a_0.png")
    before = contents(tmp_path / "out")
    assert "holds other files" in failing("prepare", source, "-o", tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_folder_that_is_empty_but_for_hidden_files_will_do(source: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".DS_Store").write_bytes(b"x")
    assert prepared(source, tmp_path / "out") == 0


@pytest.mark.parametrize("place", ["in", "in/out", "link/out"])
def test_a_folder_among_the_pictures_is_refused(
    source: Path, tmp_path: Path, failing: Callable[..., str], place: str
) -> None:
    (tmp_path / "link").symlink_to(source, target_is_directory=True)
    assert "lies in" in failing("prepare", source, "-o", tmp_path / place)
    assert len(list(source.iterdir())) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "48", "--per-picture", "3"], "made with size 32, not 48"),
        (["--size", "32", "--per-picture", "4"], "made with per-picture 3, not 4"),
        ([*OPTIONS, "--alike", "0"], "made with alike 4, not 0"),
        ([*OPTIONS, "--seed", "1"], "made with seed 0, not 1"),
        ([*OPTIONS, "--whole"], "made with way parts, not whole"),
    ],
)
def test_a_folder_made_otherwise_is_not_mixed_with(
    source: Path, tmp_path: Path, failing: Callable[..., str], options: list[str], words: str
) -> None:
    assert prepared(source, tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    assert words in failing("prepare", source, "-o", tmp_path / "out", *options)
    assert contents(tmp_path / "out") == before


def test_more_pictures_join_those_that_are_there(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(source, tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    save(drawing(8), tmp_path / "more" / "a.png")
    save(drawing(0), tmp_path / "more" / "old.png")
    capsys.readouterr()
    assert prepared(tmp_path / "more", tmp_path / "out", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["pictures"], report["duplicate_pictures"], report["written"]) == (5, 1, 12)
    after = contents(tmp_path / "out")
    assert all(after[name] == content for name, content in before.items() if name.endswith(".png"))
    assert set(after) - set(before) == {f"a-2_{index}.png" for index in range(3)}


def test_a_limit_ends_it_and_a_higher_one_goes_on(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = []
    for limit in ("4", "4", "7", "99"):
        assert prepared(source, tmp_path / "out", "--limit", limit, "--json") == 0
        report = json.loads(capsys.readouterr().out)
        written.append(report["written"])
        assert report["found"] == report["written"] + report["duplicates"] + report["left_out"]
    assert written == [4, 4, 7, 7], "b.png had its turn when there was room for one of its three"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["--cascade", "x.xml"], "--cascade is for --faces"),
        (["--size", "8"], "8 is not in the range"),
        (["--per-picture", "0"], "0 is not in the range"),
        (["--limit", "0"], "0 is not in the range"),
        (["--alike", "33"], "33 is not in the range"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_made(
    source: Path, tmp_path: Path, failing: Callable[..., str], line: list[str], words: str
) -> None:
    assert words in failing("prepare", source, "-o", tmp_path / "out", *line, code=2)
    assert not (tmp_path / "out").exists()


# --- ending in the middle -------------------------------------------------------------------------------------------


def test_what_was_broken_off_goes_on_to_the_same(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepared(source, tmp_path / "whole") == 0
    write, left = prepare._write, iter(range(4))

    def interrupted(*arguments: Any) -> None:
        if next(left, None) is None:  # in the middle of the second picture
            raise KeyboardInterrupt
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_write", interrupted)
        assert prepared(source, tmp_path / "out") == 130
    assert "the same command goes on" in capsys.readouterr().err
    begun = contents(tmp_path / "out")
    assert len(begun) == 4 + 1 and all(
        begun[name] == (tmp_path / "whole" / name).read_bytes() for name in begun if name != ledger.NAME
    )
    touched = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    half = (tmp_path / "out" / ledger.NAME).read_bytes() + b'{"picture": "in/b.p'  # the power went, too
    (tmp_path / "out" / ledger.NAME).write_bytes(half)
    assert prepared(source, tmp_path / "out") == 0
    whole, after = contents(tmp_path / "whole"), contents(tmp_path / "out")
    assert {name: after[name] for name in after if name != "review.html"} == {
        name: whole[name] for name in whole if name != "review.html"
    }
    assert all(path.stat().st_mtime_ns == time for path, time in touched.items()), "none was written twice"


def test_ctrl_c_is_not_lost_in_what_libvips_calls_back(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler, decoded = signal.getsignal(signal.SIGINT), pictures.decoded

    def calling_back(*arguments: Any) -> Any:
        with contextlib.suppress(KeyboardInterrupt):  # as cffi does
            signal.raise_signal(signal.SIGINT)
        return decoded(*arguments)

    monkeypatch.setattr(pictures, "decoded", calling_back)
    assert prepared(source, tmp_path / "out") == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.png")) == [f"a_{index}.png" for index in range(3)]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_file_of_the_users_own_is_never_overwritten(
    source: Path, tmp_path: Path, failing: Callable[..., str]
) -> None:
    assert prepared(source, tmp_path / "out", "--limit", "3") == 0
    mine = save(drawing(9, 32, 32), tmp_path / "out" / "b_1.png").read_bytes()
    said = failing("prepare", source, "-o", tmp_path / "out", *OPTIONS)
    assert "b_1.png is there already" in said and (tmp_path / "out" / "b_1.png").read_bytes() == mine


def test_a_damaged_line_is_said(source: Path, tmp_path: Path, failing: Callable[..., str]) -> None:
    assert prepared(source, tmp_path / "out") == 0
    path = tmp_path / "out" / ledger.NAME
    for damage in (b'{"picture"\n', b'{"colour": 3}\n', b"7\n", b"\xff\n"):
        whole = path.read_bytes()
        path.write_bytes(whole + damage + whole.splitlines(True)[-1])
        assert f"{ledger.NAME} is damaged" in failing("prepare", source, "-o", tmp_path / "out", *OPTIONS)
        path.write_bytes(whole)


@contextlib.contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond this: to those who write it is as a full disk is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_file(source: Path, tmp_path: Path, failing: Callable[..., str]) -> None:
    with full_disk(1500):  # a line, but not a picture
        assert "could not be written" in failing("prepare", source, "-o", tmp_path / "out", *OPTIONS)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [ledger.NAME]
    assert prepared(source, tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 9


def test_a_disk_that_is_full_for_the_ledger_or_the_page_loses_nothing(
    source: Path, tmp_path: Path, failing: Callable[..., str]
) -> None:
    assert prepared(source, tmp_path / "whole") == 0
    size = (tmp_path / "whole" / ledger.NAME).stat().st_size
    for index, (room, words) in enumerate(
        ((size - 40, "prepared.jsonl could not"), (size + 40, "review.html could not"))
    ):
        folder = tmp_path / f"{index}"
        many = len((tmp_path / "whole" / "a_0.png").read_bytes())
        assert many > size, "or the pictures would not fit"
        folder.mkdir()
        for path in (tmp_path / "whole").glob("*.png"):
            (folder / path.name).write_bytes(path.read_bytes())
        (folder / ledger.NAME).write_bytes(b"")
        with full_disk(room):
            assert words in failing("prepare", source, "-o", folder, *OPTIONS)
        assert not [path for path in folder.iterdir() if path.suffix not in (".png", ".jsonl")]
        assert prepared(source, folder) == 0
        assert (folder / ledger.NAME).read_bytes() == (tmp_path / "whole" / ledger.NAME).read_bytes()
