"""The folder that the daemon was started in: nothing comes of what lies there, nor of its going away."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peer import SMALL, SMALL_PIXELS, Peer

from live_daemon import Daemon, environment_for
from samovar import surroundings
from samovar_link.discovery import FILE_NAME, ConnectionFile
from samovar_link.messages import Done, Run

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).with_name("samovar")
WITH_TORCH = Run("a", "denoise", {}, {"image": SMALL})


def test_a_daemon_whose_folder_is_gone_goes_on_starting_workers(
    start_daemon: Callable[..., Daemon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    monkeypatch.chdir(there)
    daemon = start_daemon()
    monkeypatch.chdir(tmp_path)
    there.rmdir()
    with Peer(daemon.connection) as peer:
        done, _, _ = peer.run(WITH_TORCH, SMALL_PIXELS)
    assert isinstance(done, Done), done


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with modules of names that we import. Which of them were run is written to `run` beside it."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in ("torch", "numpy", "msgpack", "zmq", "safetensors", "json", "samovar"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'a').write('{name} ')\n")
    return folder


@pytest.fixture
def samovar(trap: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """The program that users have, called in that folder."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *words], cwd=trap, env=environment_for(tmp_path / "home"), capture_output=True, text=True,
            timeout=100,
        )  # fmt: skip

    yield call
    call("stop")


@pytest.mark.skipif(not PROGRAM.exists(), reason="the program is not beside Python")
def test_modules_that_lie_where_it_was_started_are_not_run(
    samovar: Callable[..., subprocess.CompletedProcess[str]], trap: Path, tmp_path: Path
) -> None:
    ran = tmp_path / "run"
    subprocess.run([sys.executable, "-c", "import torch"], cwd=trap, check=True)
    assert ran.read_text() == "torch "  # so they would be
    ran.unlink()

    (trap / "weights.pth").write_bytes(b"no weights")
    assert samovar("models", "add", "weights.pth").returncode == 1
    assert samovar("serve", "--detach").returncode == 0
    with Peer(ConnectionFile.read(tmp_path / "home" / FILE_NAME)) as peer:
        done, _, _ = peer.run(WITH_TORCH, SMALL_PIXELS)
    assert isinstance(done, Done), done

    models = tmp_path / "home" / "models"
    models.mkdir()
    (models / "weights.pth").write_bytes(b"no weights")
    deadline = time.monotonic() + 60
    while not (models / ".weights.pth.json").exists():  # the daemon has it looked at
        assert time.monotonic() < deadline
        time.sleep(0.1)
    samovar("doctor")
    assert not ran.exists(), ran.read_text()


def test_a_home_that_is_given_from_where_we_are_is_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAMOVAR_HOME", "home")
    assert surroundings.environment(MORE="x") == {**os.environ, "SAMOVAR_HOME": str(tmp_path / "home"), "MORE": "x"}
