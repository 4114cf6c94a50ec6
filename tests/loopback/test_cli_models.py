"""`samovar models` as somebody types it: a model that is fetched, used, checked and removed; and files of one's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pyvips

from architectures import MADE, compact, needs_spandrel, save
from distant_model import ID, DistantModel
from live_daemon import environment_for

pytestmark = [pytest.mark.slow, needs_spandrel, pytest.mark.filterwarnings("ignore:torch.meshgrid")]


class Shell:
    """A shell in which a home of its own counts."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self.home, self._environment = home, {**environment_for(home), **environment}

    def __call__(self, *words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "samovar", *map(str, words)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def json(self, *words: object) -> Any:
        return json.loads(self(*words, "--json").stdout)


@pytest.fixture
def shell(tmp_path: Path, distant: DistantModel) -> Any:
    shell = Shell(tmp_path / "home", distant.environment)
    yield shell
    shell("stop")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    pyvips.Image.black(24, 16, bands=3).linear(1, [40, 90, 200]).cast("uchar").write_to_file(str(path))
    return path


def test_pulled_used_verified_removed(shell: Shell, distant: DistantModel, picture: Path) -> None:
    listed = shell("models", "list", "--operation", "upscale").stdout
    line = next(each for each in listed.splitlines() if each.startswith(ID))
    assert "needs 0.1 MB" in line and "CC-BY-NC-4.0, not commercial" in line
    refused = shell("upscale", picture, "-o", picture.with_name("out.png"), "--model", ID)
    assert refused.returncode == 1 and f"samovar models pull {ID}" in refused.stderr

    pulled = shell("models", "pull", ID)
    assert pulled.returncode == 0 and "licence CC-BY-NC-4.0, not commercial, from http://127.0.0.1" in pulled.stdout
    assert "is here already" in shell("models", "pull", ID).stdout
    assert shell.json("models", "info", ID)["available"] is True
    done = shell("upscale", picture, "-o", picture.with_name("out.png"), "--model", ID)
    assert done.returncode == 0, done.stderr
    assert pyvips.Image.new_from_file(str(picture.with_name("out.png"))).width == 48

    assert shell("models", "verify", ID).stdout == f"{ID}: ok\n"
    (shell.home / "models" / ID / "tiny.pth").write_bytes(distant.content[:-1] + b"!")
    damaged = shell("models", "verify", ID)
    assert damaged.returncode == 1 and "tiny.pth" in damaged.stdout
    assert shell("models", "remove", ID).stdout == f"Removed {ID}.\n"
    assert shell("models", "remove", ID).returncode == 1
    assert not list((shell.home / "models").rglob("tiny*"))


def test_progress_for_a_program(shell: Shell, distant: DistantModel) -> None:
    distant.pause_seconds = 0.05
    lines = [json.loads(line) for line in shell("models", "pull", "--json", ID).stdout.splitlines()]
    assert len(lines) > 1 and {each["total_bytes"] for each in lines} == {len(distant.content)}
    assert [each["have_bytes"] for each in lines] == sorted(each["have_bytes"] for each in lines)


def test_names_that_nobody_knows(shell: Shell) -> None:
    for words in (("info", "no/such"), ("pull", "no/such"), ("remove", "no/such"), ("verify", "no/such")):
        done = shell("models", *words)
        assert done.returncode in (1, 2) and "no/such" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["compact", "esrgan", "swinir", "span", "scunet"])
def test_a_file_of_ones_own_is_added_listed_used_and_removed(
    name: str, shell: Shell, picture: Path, tmp_path: Path
) -> None:
    make, architecture, scale = MADE[name]
    operation = "upscale" if scale > 1 else "denoise"
    added = shell("models", "add", save(make(), tmp_path / f"{name}.pth"))
    assert added.returncode == 0 and f"Added own/{name}: {architecture}, {scale}x, for {operation}." in added.stdout
    assert f"own/{name}" in shell("models", "list", "--operation", operation).stdout
    result = tmp_path / "out.png"
    factor = ("--scale", scale) if scale > 1 else ()
    done = shell(operation, picture, "-o", result, "--model", f"own/{name}", *factor)
    assert done.returncode == 0, done.stderr
    assert pyvips.Image.new_from_file(str(result)).width == 24 * scale
    assert shell("models", "remove", f"own/{name}").returncode == 0
    assert f"own/{name}" not in shell("models", "list").stdout
    assert shell(operation, picture, "-o", result, "--model", f"own/{name}", *factor).returncode != 0


def test_files_that_cannot_be_used_say_why(shell: Shell, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pth"
    cut.write_bytes(save(compact(), tmp_path / "whole.pth").read_bytes()[:2000])
    hostile = tmp_path / "hostile.pth"
    hostile.write_bytes(b"cos\nsystem\n(S'touch %s'\ntR." % bytes(tmp_path / "touched"))
    for path in (cut, hostile):
        done = shell("models", "add", path)
        assert done.returncode == 1 and path.name in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "touched").exists()
    (shell.home / "models").mkdir(parents=True, exist_ok=True)
    (shell.home / "models" / "cut.pth").write_bytes(cut.read_bytes())
    listed = shell("models", "list")
    assert listed.returncode == 0 and "cut.pth" in listed.stderr
    assert any("cut.pth" in each for each in shell.json("models", "list")["refused"])
