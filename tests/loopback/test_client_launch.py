"""Starting a daemon from a client. The program that is started here is a stand-in of a few lines."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from router import TOKEN, Router

from samovar_link import launch
from samovar_link.discovery import FILE_NAME, ConnectionFile
from samovar_link.doctor import Doctor
from samovar_link.errors import DaemonUnavailable
from samovar_link.launch import DaemonStarter, clean_environment, connect_or_start, daemon_command

ANNOUNCE = "import os, shutil; shutil.copy(os.environ['READY_FILE'], os.environ['SAMOVAR_HOME'] + '/connection.json')"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SAMOVAR_CONNECTION_FILE", "SAMOVAR_COMMAND", "APPDIR", "SNAP"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("SAMOVAR_HOME", str(folder))
    monkeypatch.setenv("READY_FILE", str(tmp_path / "ready.json"))
    return folder


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    """The daemon that the stand-in program will announce."""
    with Router(f"ipc://{tmp_path}/s") as router:
        ConnectionFile(pid=1, token=TOKEN, endpoints=(router.endpoint,)).write(tmp_path / "ready.json")
        yield router


def command(code: str) -> list[str]:
    """Runs this Python code instead of `samovar serve --detach`."""
    return [sys.executable, "-c", code]


def poll_until_it_answers(starter: DaemonStarter, seconds: float = 10.0) -> int:
    """How many polls it took. None may take long."""
    for count in range(1, int(seconds / 0.02)):
        start = time.thread_time()
        answers = starter.poll()
        assert time.thread_time() - start < 0.05
        if answers:
            return count
        time.sleep(0.02)
    raise AssertionError("it never answered")


@pytest.mark.slow
def test_a_daemon_is_started_and_then_answers(router: Router, home: Path) -> None:
    starter = DaemonStarter(command(ANNOUNCE))
    assert poll_until_it_answers(starter) > 1
    assert (home / FILE_NAME).exists()


def test_a_daemon_that_runs_is_not_started_again(router: Router, home: Path, tmp_path: Path) -> None:
    shutil.copy(tmp_path / "ready.json", home / FILE_NAME)
    poll_until_it_answers(DaemonStarter(["/no/such/program"]))


@pytest.mark.slow
def test_a_stale_connection_file_does_not_stop_a_start(router: Router, home: Path) -> None:
    ConnectionFile(pid=1, token="old", endpoints=("ipc:///gone", "tcp://127.0.0.1:1")).write(home / FILE_NAME)
    poll_until_it_answers(DaemonStarter(command(ANNOUNCE)))


@pytest.mark.slow
def test_the_last_line_on_stderr_is_the_reason() -> None:
    starter = DaemonStarter(command("import sys; sys.exit('Traceback...\\nport 5555 is taken')"))
    with pytest.raises(DaemonUnavailable, match="^Samovar did not start: port 5555 is taken$"):
        poll_until_it_answers(starter)


@pytest.mark.slow
def test_a_silent_failure_gives_the_exit_status() -> None:
    with pytest.raises(DaemonUnavailable, match="exit status 3, without a word; see: samovar doctor"):
        poll_until_it_answers(DaemonStarter(command("raise SystemExit(3)")))


@pytest.mark.slow
def test_a_program_that_ends_well_but_starts_nothing_is_told() -> None:
    with pytest.raises(DaemonUnavailable, match="Samovar is not running"):
        poll_until_it_answers(DaemonStarter(command("")))


def test_a_missing_program_is_one_sentence() -> None:
    with pytest.raises(DaemonUnavailable, match=r"could not be started \(/no/such/program: No such file.*install it"):
        DaemonStarter(["/no/such/program"]).poll()


def test_no_program_at_all_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DaemonUnavailable, match="the program samovar was not found; install it"):
        DaemonStarter().poll()


@pytest.mark.slow
def test_a_start_that_takes_too_long_is_ended_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "START_SECONDS", 0.3)
    starter = DaemonStarter(command("import time; time.sleep(60)"))
    with pytest.raises(DaemonUnavailable, match="did not start within"):
        poll_until_it_answers(starter)
    assert starter._process is not None and starter._process.poll() is not None


@pytest.mark.slow
def test_a_daemon_that_hangs_leaves_the_word_to_serve(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PROBE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        ConnectionFile(pid=1, token="x", endpoints=(endpoint,)).write(home / FILE_NAME)
        with pytest.raises(DaemonUnavailable, match="process 1 hangs"):
            poll_until_it_answers(DaemonStarter(command("raise SystemExit('process 1 hangs')")))


@pytest.mark.slow
def test_connect_or_start_does_both(router: Router) -> None:
    with connect_or_start("test", "1", command(ANNOUNCE)) as client:
        assert client.welcome is not None
    with connect_or_start("test", "1", ["/no/such/program"]) as client:
        assert client.welcome is not None


# --- which program, in which environment ----------------------------------------------------------------------------


def test_the_variable_wins_over_the_file_and_the_file_over_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "samovar"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert daemon_command(tmp_path) == [str(program)]
    (tmp_path / "daemon.json").write_text(json.dumps({"command": ["/x/python", "-m", "samovar"]}))
    assert daemon_command(tmp_path) == ["/x/python", "-m", "samovar"]
    assert daemon_command() == [str(program)]
    monkeypatch.setenv("SAMOVAR_COMMAND", "'/y z/python' -m samovar")
    assert daemon_command(tmp_path) == ["/y z/python", "-m", "samovar"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"command": []}', '{"command": "x"}', '{"command": [1]}'])
def test_a_damaged_file_is_passed_over(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "daemon.json").write_text(text)
    assert daemon_command(tmp_path) is None


def test_the_editors_python_and_libraries_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPDIR", "/tmp/.mount_krita")
    monkeypatch.setenv("PYTHONHOME", "/tmp/.mount_krita/usr")
    monkeypatch.setenv("PYTHONPATH", "/tmp/.mount_krita/usr/lib/python3.10")
    monkeypatch.setenv("LD_LIBRARY_PATH", os.pathsep.join(["/tmp/.mount_krita/usr/lib", "/opt/cuda/lib64", ""]))
    monkeypatch.setenv("LD_PRELOAD", "/tmp/.mount_krita/usr/lib/checkrt.so")
    environment = clean_environment(["/x/.venv/bin/python", "-m", "samovar"])
    assert environment["LD_LIBRARY_PATH"] == "/opt/cuda/lib64"
    assert not {"PYTHONHOME", "PYTHONPATH", "LD_PRELOAD"} & set(environment)
    assert environment["PATH"] == os.environ["PATH"]


def test_our_own_python_keeps_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "daemon")
    monkeypatch.setenv("SAMOVAR_HOME", "relative")
    environment = clean_environment([sys.executable])
    assert environment["PYTHONPATH"] == "daemon"
    assert environment["SAMOVAR_HOME"] == os.path.abspath("relative")


def test_from_inside_flatpak_the_daemon_is_started_outside(
    router: Router, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn = tmp_path / "flatpak-spawn"
    spawn.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\nshift\nexec "$@"\n')
    spawn.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("FLATPAK_ID", "org.kde.krita")
    connect_or_start("test", "1", command(ANNOUNCE)).close()
    assert (tmp_path / "asked").read_text().startswith("--host ")
    spawn.write_text("#!/bin/sh\necho 'Portal call failed: not allowed' >&2\nexit 1\n")
    (home / FILE_NAME).unlink()
    with pytest.raises(DaemonUnavailable, match="Portal call failed: not allowed; from inside this sandbox"):
        connect_or_start("test", "1", command(ANNOUNCE))


def test_the_doctor_is_run_and_heard() -> None:
    doctor = Doctor([sys.executable, "-c", "import sys; print('fine', sys.argv[1:])"])
    while (said := doctor.poll()) is None:
        time.sleep(0.01)
    assert said == "fine ['doctor']" == doctor.poll()
    assert "could not be started" in str(Doctor(["/nowhere/samovar"]).poll())


def test_a_doctor_who_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samovar_link.doctor.PATIENCE_SECONDS", 0.0)
    doctor = Doctor([sys.executable, "-c", "import time; time.sleep(60)"])
    assert "not finished within 0 s" in str(doctor.poll())
