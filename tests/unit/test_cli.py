"""The command line: options drawn from declarations, inputs paired with outputs, errors in one line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import pytest

from samovar.cli import batch, program, progress
from samovar.cli import operation as drawing
from samovar.operation import Operation, discover, operation, param
from samovar.picture import Picture
from samovar.picture.reading import read
from samovar.picture.writing import write
from samovar_link.errors import BadRequest, DaemonUnavailable, RemoteError
from samovar_link.messages import Cancelled, Done, Limits, Progress, Raster, Report, Run, Seconds, Tiles, Welcome

REPORT = Report(
    "cpu", "torch", "f32", "a/model", "12ab", Tiles(4, 1), Seconds(0.0, 0.5, 0.1, 1.0, 1.6), ("smaller tile",)
)


class FakeClient:
    """Answers every `Run` with its own picture, or does what `behave` says for it."""

    def __init__(self, behave: Callable[[Run], Any] | None = None) -> None:
        self.welcome = Welcome(limits=Limits(max_pixels=10_000))
        self.runs: list[Run] = []
        self.closed = False
        self._behave = behave or (lambda run: Done(run.job, {"image": run.images["image"]}, REPORT))

    def run(self, run: Run, frames: list[memoryview], on_progress: Any) -> tuple[Any, list[memoryview]]:
        self.runs.append(run)
        on_progress(Progress(run.job, 0.5, "computing", eta_seconds=95.7), [])
        return self._behave(run), [memoryview(bytes(frame)) for frame in frames]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient()
    monkeypatch.setattr(batch, "connect_or_start", lambda *arguments: fake)
    return fake


@pytest.fixture
def pictures(tmp_path: Path) -> Iterator[Path]:
    """A folder with two good pictures and one broken."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        write(Picture(Raster(4, 5, 3), memoryview(bytes(range(60)))), folder / name)
    (folder / "b.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    yield folder


def test_help_lists_what_is_visible(capsys: pytest.CaptureFixture[str]) -> None:
    assert program.run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in (*program.COMMANDS, "upscale"))
    assert "identity" not in shown


@pytest.mark.slow
def test_starting_imports_nothing_heavy() -> None:
    check = (
        "import sys; from samovar.cli.program import run; run(sys.argv[1:]);"
        "sys.exit(str([name for name in ('torch', 'numpy', 'pyvips', 'zmq', 'tqdm') if name in sys.modules]))"
    )
    for arguments in (["--help"], ["status"], ["upscale", "--help"], ["upscale", "x", "-o", "y"]):
        done = subprocess.run(
            [sys.executable, "-c", check, *arguments], capture_output=True, text=True, env={"SAMOVAR_HOME": "/nowhere"}
        )
        allowed = "['pyvips']" if arguments[-1] == "y" else "[]"
        assert done.stderr.splitlines()[-1] == allowed, arguments


# --- options --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Params:
    amount: float = param(1.0, title="Amount", help="How much", unit="px", minimum=0.0, maximum=2.0)
    step_count: int = param(3, title="Steps", help="How often", minimum=-1, maximum=9)
    keep_grain: bool = param(True, title="Grain", help="Keep the grain")
    mode: str = param("fast", title="Mode", help="How", choices={"fast": "Quick", "fine": "Good"})


def refuse_nine(params: Params) -> None:
    if params.step_count == 9:
        raise BadRequest.field("fake.step_count", 9, "less with this mode")


@operation("fake", title="Fake", params=Params, roles=("image", "mask"), check=refuse_nine)
def fake(image: Any, params: Params, job: Any) -> Any:
    """Do nothing at all."""


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> Callable[..., drawing.Task]:
    """Runs the fake operation's command and gives the task that it made."""
    tasks: list[drawing.Task] = []
    monkeypatch.setattr(batch, "run", lambda task, pairs, **options: tasks.append(task) or 0)

    def parse(*arguments: str) -> drawing.Task:
        line = ["in.png", "-o", "out.png", "--mask", "m.png", *arguments]
        assert drawing.command_for(fake).main(line, standalone_mode=False) == 0
        return tasks.pop()

    return parse


def test_parameters_become_options(task: Callable[..., drawing.Task]) -> None:
    made = task("--amount", "0.5", "--step-count", "-1", "--no-keep-grain", "--mode", "fine", "--tile-x", "--seed", "7")
    assert made.parameters == {"amount": 0.5, "step_count": -1, "keep_grain": False, "mode": "fine"}
    assert (made.wrap_x, made.wrap_y, made.seed) == (True, False, 7)
    assert made.extra == {"mask": Path("m.png")}


def test_defaults_are_those_of_the_declaration(task: Callable[..., drawing.Task]) -> None:
    made = task()
    assert made.parameters == {"amount": 1.0, "step_count": 3, "keep_grain": True, "mode": "fast"}
    assert made.keep_alive_seconds == 300.0


@pytest.mark.parametrize("each", list(discover()), ids=lambda each: each.id)
def test_no_two_options_of_an_operation_have_one_name(each: Operation) -> None:
    parameters = drawing.command_for(each).params
    for names in ([name for one in parameters for name in one.opts], [one.name for one in parameters]):
        assert sorted(names) == sorted(set(names))


def test_help_shows_unit_range_choices_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    drawing.command_for(fake).main(["--help"], standalone_mode=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "How much (px). [default: 1.0; 0.0<=x<=2.0]" in shown
    assert "--keep-grain / --no-keep-grain" in shown
    assert "fast: Quick; fine: Good." in shown
    assert "Do nothing at all." in shown


@pytest.mark.parametrize(
    "wrong", [["--amount", "2.1"], ["--amount", "nan"], ["--step-count", "x"], ["--mode", "odd"], ["--step-count", "9"]]
)
def test_a_value_out_of_range_is_wrong_usage(task: Callable[..., drawing.Task], wrong: list[str]) -> None:
    with pytest.raises(click.UsageError):
        task(*wrong)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["upscale", "a.png"], "Missing option '-o'"),
        (["upscale", "-o", "a.png"], "Missing argument 'IN...'"),
        (["upscale", "a.png", "-o", "b.png", "--scale", "0"], "0.0 is not in the range 1.0<=x<=8.0"),
        (["upscale", "a.png", "-o", "b.png", "--scale", "9"], "9.0 is not in the range"),
        (["upscale", "a.png", "-o", "b.png", "--model", "none"], "'none' is not one of 'realesr"),
        (["upscale", "a.png", "-o", "b.png", "--model", "realesrgan/photo-x4", "--noise", "1"], "upscale.noise is 1"),
        (["serve", "--port", "70000"], "70000 is not in the range"),
        (["install", "photoshop"], "is not one of 'krita', 'gimp'"),
        (["brew"], "No such command 'brew'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], line: list[str], words: str
) -> None:
    assert program.run(line) == 2
    (shown,) = capsys.readouterr().err.splitlines()
    assert words in shown and shown.startswith("samovar: ") and shown.endswith("--help")


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_one_picture_goes_to_one_file(pictures: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out.png")
    assert batch.pair([pictures / "a.png"], out) == [batch.Pair(pictures / "a.png", Path(out))]


def test_one_picture_goes_into_a_folder_that_exists_or_is_named_as_one(pictures: Path, tmp_path: Path) -> None:
    for output in (str(tmp_path), str(tmp_path / "new") + "/"):
        assert batch.pair([pictures / "a.png"], output)[0].target == Path(output) / "a.png"
    assert (tmp_path / "new").is_dir()


def test_a_folder_gives_its_pictures_in_order_and_keeps_their_names(pictures: Path, tmp_path: Path) -> None:
    pairs = batch.pair([pictures], str(tmp_path / "x" / "y"))
    assert [each.source.name for each in pairs] == ["a.png", "b.png", "c.png"]
    assert [each.target for each in pairs] == [tmp_path / "x" / "y" / each.source.name for each in pairs]


def test_several_pictures_need_a_folder_and_names_of_their_own(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="need a folder"):
        batch.pair([pictures], str(tmp_path / "out.png"))
    with pytest.raises(click.UsageError, match="2 pictures are named a.png"):
        batch.pair([pictures, pictures / "a.png"], str(tmp_path / "out"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(click.UsageError, match="holds no pictures"):
        batch.pair([tmp_path / "empty"], str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


# --- running --------------------------------------------------------------------------------------------------------

KEYS = {"notes", "device", "runtime", "dtype", "model", "sha256", "tiles", "seconds", "retries"}


def test_json_of_one_picture_is_its_report(
    client: FakeClient, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    assert program.run(["identity", str(pictures / "a.png"), "-o", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == KEYS | {"input", "output", "width", "height"}
    assert report["tiles"] == {"total": 4, "cached": 1}
    assert set(report["seconds"]) == {"queue", "load", "transfer", "compute", "total"}
    assert report["retries"] == ["smaller tile"] and (report["width"], report["height"]) == (5, 4)
    assert bytes(read(out).pixels) == bytes(range(60))
    assert client.closed


def test_one_broken_picture_does_not_stop_the_others(
    client: FakeClient, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(["identity", str(pictures), "-o", str(tmp_path / "out"), "--json"]) == 1
    shown = capsys.readouterr()
    assert [set(each) & {"error", "device"} for each in json.loads(shown.out)] == [{"device"}, {"error"}, {"device"}]
    assert [line for line in shown.err.splitlines() if "smaller tile" not in line] == [
        f"samovar: {pictures}/b.png is not a picture that Samovar reads; convert it to PNG, TIFF, JPEG or WebP."
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    assert {run.priority for run in client.runs} == {"batch"} and len({run.job for run in client.runs}) == 2


def test_what_happened_is_one_line_and_quiet_is_quiet(
    client: FakeClient, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["identity", str(pictures / "a.png"), "-o", str(tmp_path / "x.png")]
    assert program.run(line) == 0
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1 and "5x4 -> 5x4, a/model torch f32 cpu, 4 tiles (1 cached)" in shown.out
    assert shown.err == "samovar: smaller tile\n"
    assert program.run([*line, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_a_mistyped_name_starts_no_daemon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch, "connect_or_start", lambda *arguments: pytest.fail("connected"))
    assert program.run(["identity", str(tmp_path / "no.png"), "-o", str(tmp_path / "x.png")]) == 1
    assert "there is no such file" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_found_before_the_work(
    monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch, "connect_or_start", lambda *arguments: pytest.fail("connected"))
    assert program.run(["identity", str(pictures / "a.png"), "-o", str(tmp_path / "no" / "x.png")]) == 1
    assert "does not exist" in capsys.readouterr().err


def failing(error: BaseException) -> Callable[[Run], Any]:
    def behave(run: Run) -> Any:
        raise error

    return behave


@pytest.mark.parametrize(
    ("behave", "words", "code"),
    [
        (failing(RemoteError("the worker died", "see the log")), "a.png: the worker died (see the log)", 1),
        (failing(DaemonUnavailable("Samovar went away")), "a.png: Samovar went away", 1),
        (lambda run: Cancelled(run.job), "the daemon ended the job", 1),
        (failing(KeyboardInterrupt()), "", 130),
        (failing(MemoryError("no more")), "MemoryError: no more. This is a defect", 1),
    ],
)
def test_a_job_that_ends_badly_is_one_line_and_an_exit_code(
    client: FakeClient, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    behave: Callable[[Run], Any], words: str, code: int,
) -> None:  # fmt: skip
    client._behave = behave
    assert program.run(["identity", str(pictures / "a.png"), "-o", str(tmp_path / "x.png")]) == code
    shown = capsys.readouterr()
    assert words in shown.err and "Traceback" not in shown.err and len(shown.err.strip().splitlines()) <= 1
    assert not (tmp_path / "x.png").exists() and client.closed


def test_after_a_lost_daemon_the_next_picture_gets_a_new_one(
    monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path
) -> None:
    clients = [FakeClient(failing(DaemonUnavailable("gone"))), FakeClient()]
    left = list(clients)
    monkeypatch.setattr(batch, "connect_or_start", lambda *arguments: left.pop(0))
    sources = [str(pictures / name) for name in ("a.png", "c.png")]
    assert program.run(["identity", *sources, "-o", str(tmp_path / "out")]) == 1
    assert [len(each.runs) for each in clients] == [1, 1]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c.png"]


def test_a_daemon_that_does_not_start_is_tried_once(
    monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tries: list[int] = []

    def refuse(*arguments: Any) -> Any:
        tries.append(1)
        raise DaemonUnavailable("Samovar did not start")

    monkeypatch.setattr(batch, "connect_or_start", refuse)
    assert program.run(["identity", str(pictures), "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err == "samovar: Samovar did not start\n" and tries == [1]


def test_a_tty_gets_a_bar_and_a_pipe_none(
    client: FakeClient, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, expected in ((Screen(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        program.run(["identity", str(pictures / "a.png"), "-o", str(tmp_path / "x.png")])
        assert all(part in stream.getvalue() for part in ("50%", "computing", "1 min 35 s left")) is expected
        assert {run.priority for run in client.runs} == {"interactive"}, "somebody looks at it"


@pytest.mark.parametrize(
    ("seconds", "words"), [(None, None), (0.2, "1 s left"), (59.9, "59 s left"), (3720.0, "1 h 2 min left")]
)
def test_what_is_left_is_said_in_two_units(seconds: float | None, words: str | None) -> None:
    assert progress.left(seconds) == words


def test_the_result_keeps_what_the_file_held_beside_its_pixels(
    client: FakeClient, pictures: Path, tmp_path: Path
) -> None:
    source = read(pictures / "a.png")
    fine = replace(source, metadata=replace(source.metadata, x_dots_per_mm=11.811, y_dots_per_mm=11.811))
    write(fine, pictures / "a.png")
    program.run(["identity", str(pictures / "a.png"), "-o", str(tmp_path / "x.png")])
    assert read(tmp_path / "x.png").metadata.x_dots_per_mm == pytest.approx(11.811, abs=0.01)


# --- set-up ---------------------------------------------------------------------------------------------------------


def test_install_names_every_folder_and_the_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("samovar.install.places.gimp_plugins", lambda: [tmp_path / "3.0", tmp_path / "3.2"])
    assert program.run(["install", "gimp"]) == 0
    shown = capsys.readouterr().out
    assert f"{tmp_path}/3.0/samovar_gimp\n" in shown and f"{tmp_path}/3.2/samovar_gimp\n" in shown
    assert "Restart GIMP" in shown
    assert program.run(["install", "gimp", "--uninstall"]) == 0
    assert "Removed the GIMP plug-in" in capsys.readouterr().out
    assert not any((tmp_path / version / "samovar_gimp").exists() for version in ("3.0", "3.2"))


def test_install_into_a_folder_of_ones_own_says_how_to_switch_it_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.run(["install", "krita", "--target", str(tmp_path)]) == 0
    assert "Python Plugin Manager" in capsys.readouterr().out
    assert (tmp_path / "samovar_krita" / "daemon.json").is_file()
    assert program.run(["install", "krita", "--target", "/dev/null/x"]) == 1
    assert "Not a directory" in capsys.readouterr().err


def test_commands_for_a_daemon_say_that_none_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    assert [program.run([name]) for name in ("status", "ps", "stop", "logs", "unload")] == [1, 1, 0, 1, 0]
    shown = capsys.readouterr()
    assert shown.out == "Samovar is not running.\nNo model is loaded, or a job uses it.\n"
    assert len(shown.err.splitlines()) == 3 and "samovar serve --detach" in shown.err
    assert program.run(["logs", "--path"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/log/samovar.log\n"
