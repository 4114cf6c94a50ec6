"""No daemon, a daemon that dies, a daemon that has to be started first: one sentence, soon, and nothing changed."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import Krita

from live_daemon import running_daemon

pytestmark = [pytest.mark.editor, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(600)]

SOON_SECONDS = 2.0


@pytest.fixture(scope="module")
def facts(
    krita: Krita, tmp_path_factory: pytest.TempPathFactory, reach: Callable[..., dict[str, str]], artifacts: Path
) -> dict[str, Any]:
    """The scenario kills the daemon, so each Krita has its own."""
    with running_daemon(tmp_path_factory.mktemp("killed") / "home") as daemon:
        play = krita.play("trouble", reach(krita, daemon), DAEMON_PID=str(daemon.pid), SAMOVAR_COMMAND="sh -c false")
    shutil.copy(play.folder / "trouble.png", artifacts / f"krita-{play.facts['krita']}-no-daemon.png")
    return play.facts


def is_one_sentence(text: str) -> bool:
    return bool(text) and "\n" not in text and "Traceback" not in text and len(text) < 200


def test_a_daemon_killed_in_mid_job_gives_one_sentence_soon(facts: dict[str, Any]) -> None:
    assert facts["killed_seconds"] <= SOON_SECONDS
    assert facts["killed_says"].startswith("Samovar went away") and is_one_sentence(facts["killed_says"])


def test_a_daemon_killed_in_mid_job_leaves_the_document_as_it_was(facts: dict[str, Any]) -> None:
    assert facts["shown_when_killed"], "a part of the result was there"
    assert facts["killed_same"]


def test_no_daemon_and_none_to_be_started_gives_one_sentence_soon(facts: dict[str, Any]) -> None:
    assert facts["none_seconds"] <= SOON_SECONDS
    assert facts["none_says"].startswith("Samovar did not start") and is_one_sentence(facts["none_says"])
    assert facts["none_same"]


def test_the_docker_shows_the_sentence_and_can_run_again(facts: dict[str, Any]) -> None:
    assert facts["docker_says"] == facts["none_says"]
    assert facts["run_again_possible"]


def test_the_first_job_starts_a_daemon(krita: Krita, tmp_path: Path) -> None:
    if krita.root is not None:
        pytest.skip("the Debian root holds an editor and no Samovar to start")
    home = tmp_path / "home"
    environment = {"SAMOVAR_HOME": str(home), "SAMOVAR_COMMAND": f"{sys.executable} -m samovar"}
    try:
        facts = krita.play("start", environment).facts
        assert facts["before"] == ["off", "Samovar is not running; it starts with the first run."]
        assert facts["says"].startswith("Done in ")
        assert facts["canvas"] == [128, 96]
    finally:
        end_daemon(home)


def end_daemon(home: Path) -> None:
    try:
        process = psutil.Process(json.loads((home / "connection.json").read_text())["pid"])
    except (FileNotFoundError, psutil.NoSuchProcess):
        return
    process.send_signal(signal.SIGTERM)
    process.wait(10)
