"""The files that have the daemon started at login: what they say, and what `samovar service` does with them."""

from __future__ import annotations

import configparser
import json
import os
import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from samovar.cli.program import run
from samovar.install.service import KINDS, LAUNCHD, SYSTEMD, agent, describe, startup, unit

COMMAND = ["/opt/a b/100%/$HOME/python", "-m", "samovar"]
"""A space, a specifier of systemd, a variable: none of it may mean anything."""
VARIABLES = {"SAMOVAR_HOME": '/home/ann/a "b" %h', "SAMOVAR_RUNTIME": "torch f32"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All three managers look below it, no daemon runs, and no real manager hears of anything."""
    for name in ("SAMOVAR_RUNTIME", "SAMOVAR_LOG"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in {
        "HOME": "",
        "XDG_CONFIG_HOME": ".config",
        "APPDATA": "Roaming",
        "SAMOVAR_HOME": "data",
    }.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def manager(home: Path, code: int = 0, words: str = "") -> Path:
    """A systemctl that writes down what it was asked; the file in which it does."""
    (home / "bin").mkdir()
    program = home / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {home}/asked\n{f"echo {words} >&2" if words else ""}\nexit {code}\n')
    program.chmod(0o755)
    return home / "asked"


def section(text: str, name: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return dict(parser[name])


def test_the_unit_runs_the_daemon_and_starts_it_again_after_a_crash() -> None:
    text = unit(COMMAND, VARIABLES)
    service = section(text, "Service")
    assert service["ExecStart"] == '"/opt/a b/100%%/$$HOME/python" "-m" "samovar" "serve"'
    assert (service["Type"], service["Restart"]) == ("notify", "on-failure")
    assert (
        r'Environment="SAMOVAR_HOME=/home/ann/a \"b\" %%h"' in text
        and 'Environment="SAMOVAR_RUNTIME=torch f32"' in text
    )
    assert section(text, "Install")["WantedBy"] == "default.target"
    assert not {"MemoryDenyWriteExecute", "PrivateDevices", "DevicePolicy"} & set(service), "a graphics card is needed"


@pytest.mark.slow
def test_systemd_itself_finds_nothing_wrong_with_the_unit(home: Path) -> None:
    analyze = shutil.which("systemd-analyze", path=os.defpath)
    if analyze is None:
        pytest.skip("no systemd-analyze here: apt install systemd")
    program = home / "a b" / "100%" / "python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    path = home / "samovar.service"
    path.write_text(unit([str(program), "-m", "samovar"], VARIABLES))
    verified = subprocess.run(
        [analyze, "verify", "--user", str(path)], capture_output=True, text=True,
        env={"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PATH": os.defpath},
    )  # fmt: skip
    assert [line for line in verified.stderr.splitlines() if "samovar" in line] == [], verified.stderr
    path.write_text(path.read_text().replace("Restart=on-failure", "Restart=now and then"))
    verified = subprocess.run(
        [analyze, "verify", "--user", str(path)], capture_output=True, text=True,
        env={"HOME": str(home), "XDG_RUNTIME_DIR": str(home), "PATH": os.defpath},
    )  # fmt: skip
    assert "samovar.service" in verified.stderr, "it sees what is wrong"


def test_the_agent_is_a_property_list_with_the_same_command() -> None:
    found = plistlib.loads(agent(COMMAND, VARIABLES).encode())
    assert found["ProgramArguments"] == [*COMMAND, "serve"] and found["EnvironmentVariables"] == VARIABLES
    assert found["RunAtLoad"] is True and found["KeepAlive"] == {"SuccessfulExit": False}


def test_the_command_file_starts_it_and_ends() -> None:
    lines = startup(COMMAND, {"SAMOVAR_HOME": "C:\\100%"}).split("\r\n")
    assert lines[2] == 'set "SAMOVAR_HOME=C:\\100%%"'
    assert lines[3] == 'start "" /min "/opt/a b/100%%/$HOME/python" "-m" "samovar" "serve" "--detach"'


@pytest.mark.parametrize("kind", KINDS)
def test_print_shows_the_file_and_writes_none(home: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["service", "install", "--print", "--kind", kind]) == 0
    assert capsys.readouterr().out == describe(kind).text
    assert list(home.iterdir()) == []


def test_install_status_and_remove_with_systemd(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = manager(home)
    path = home / ".config" / "systemd" / "user" / "samovar.service"
    assert run(["service", "status", "--kind", SYSTEMD]) == 1
    assert run(["service", "install", "--kind", SYSTEMD]) == 0
    assert path.read_text() == describe(SYSTEMD).text and str(sys.executable) in path.read_text()
    assert f"SAMOVAR_HOME={home / 'data'}" in path.read_text()
    assert "--user daemon-reload\n--user enable --now samovar.service\n" in asked.read_text()
    capsys.readouterr()
    assert run(["service", "status", "--kind", SYSTEMD, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == "current"
    path.write_text("[Service]\n")
    assert run(["service", "status", "--kind", SYSTEMD, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == "other"
    assert run(["service", "remove", "--kind", SYSTEMD]) == 0
    assert not path.exists() and asked.read_text().endswith("--user disable --now samovar.service\n")
    assert run(["service", "remove", "--kind", SYSTEMD]) == 0
    assert "No service was installed" in capsys.readouterr().out


def test_a_daemon_that_runs_is_left_alone(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = manager(home)
    monkeypatch.setattr("samovar.lock.is_held", lambda path: True)
    assert run(["service", "install", "--kind", SYSTEMD]) == 0
    assert "--user enable samovar.service\n" in asked.read_text()
    assert "runs already" in capsys.readouterr().out


def test_a_manager_that_cannot_be_told_is_one_sentence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["service", "install", "--kind", SYSTEMD]) == 1
    assert "there is no systemctl here" in capsys.readouterr().err
    manager(home, 1, "Failed to connect to bus")
    assert run(["service", "install", "--kind", SYSTEMD]) == 1
    assert "not now: Failed to connect to bus" in capsys.readouterr().err
    assert run(["service", "install", "--kind", LAUNCHD]) == 1
    assert "there is no launchctl here" in capsys.readouterr().err
