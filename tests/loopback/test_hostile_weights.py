"""A file of weights that is a program: whatever way it comes in, it is refused, and what it would do is not done."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peer import SMALL, SMALL_PIXELS, Peer

from live_daemon import Daemon, environment_for
from samovar.networks import foreign, lama
from samovar.weights import store
from samovar_link.errors import ModelUnavailable
from samovar_link.messages import Failed, Run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("spandrel") is None, reason="pip install 'samovar[models]'"),
]


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._path),)


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """What there is if the payload ran."""
    return tmp_path / "done"


@pytest.fixture(params=["zip", "legacy"])
def evil(request: pytest.FixtureRequest, tmp_path: Path, done: Path) -> Path:
    path = tmp_path / "evil.pth"
    weights = {"conv.weight": torch.zeros(4, 4), "params": Payload(done)}
    torch.save(weights, path, _use_new_zipfile_serialization=request.param == "zip")
    return path


def test_it_would_run(evil: Path, done: Path) -> None:
    torch.load(evil, weights_only=False)
    assert done.exists()


def test_it_is_not_added(evil: Path, done: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "samovar", "models", "add", str(evil)]
    added = subprocess.run(command, env=environment_for(tmp_path / "home"), capture_output=True, text=True, timeout=100)
    assert added.returncode == 1 and "opening that could run a program, so it was not opened" in added.stderr
    assert not done.exists() and not list((tmp_path / "home").rglob("evil*"))


@pytest.mark.parametrize(
    "opened", [foreign.open_file, foreign.describe, lama.open_file], ids=lambda each: each.__module__
)
def test_no_network_opens_it(evil: Path, done: Path, opened: Callable[[Path], object]) -> None:
    with pytest.raises(ModelUnavailable, match=r"evil\.pth holds more than weights"):
        opened(evil)
    assert not done.exists()


def test_dropped_into_the_folder_it_is_never_offered(evil: Path, done: Path, daemon: Daemon) -> None:
    models = daemon.home / "models"
    models.mkdir()
    (models / "evil.pth").write_bytes(evil.read_bytes())
    deadline = time.monotonic() + 60
    while not (models / ".evil.pth.json").exists():
        assert time.monotonic() < deadline, "nobody looked at it"
        time.sleep(0.1)
    assert "could run a program" in (models / ".evil.pth.json").read_text()
    with Peer(daemon.connection) as peer:
        assert "own/evil" not in [model.id for model in peer.welcome.models]
        for model in ("own/evil", "evil", str(models / "evil.pth"), "own/../evil"):
            answer, _, _ = peer.run(Run(model[:60], "upscale", {"model": model}, {"image": SMALL}), SMALL_PIXELS)
            assert isinstance(answer, Failed) and answer.code == "bad-request"
    assert not done.exists()


def test_a_link_in_the_folder_is_its_owners_choice_and_gets_the_same_look(
    evil: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many keep their models elsewhere and link to them. No request makes a link."""
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    store.folder().mkdir(parents=True)
    link = store.folder() / "linked.pth"
    link.symlink_to(evil)
    assert store.examine_new() == [link]
    found = store.finding(link)
    assert found is not None and "could run a program" in found.refused and store.own_cards() == ()
    assert not done.exists()
