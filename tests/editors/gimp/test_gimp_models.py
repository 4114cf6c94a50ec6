"""Models in GIMP: one that has to be fetched first, the user's own, and the doctor who knows them all."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from remote_gimp import PROFILE, RemoteGimp, noise, plain_client, prepare, wait_for
from screen import Screen

from architectures import MADE, needs_spandrel, save
from distant_model import ID, DistantModel
from samovar.install import archive
from samovar_link import Raster

pytestmark = [
    pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(300), needs_spandrel,
    pytest.mark.filterwarnings("ignore:torch.meshgrid"),
]  # fmt: skip


@pytest.fixture
def fetching_desk(
    make_gimp: Callable[..., RemoteGimp], display: str, start_daemon: Callable[..., Any], distant: DistantModel,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Desk]:  # fmt: skip
    """A GIMP whose daemon offers a model that is not here, as its plug-in knows."""
    daemon = start_daemon(**distant.environment)
    folder = prepare(expose=False)
    distant.declare(folder / "profile" / "plug-ins" / "samovar_gimp" / "operations.json")
    gimp = make_gimp(["gimp", "-n", "--no-splash", "-f"], display, folder)
    gimp.show_daemon(daemon.connection_file.read_bytes())
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(daemon.connection_file))
    yield Desk(gimp, Screen(display))
    gimp.close()


def test_a_model_that_is_not_here_is_fetched_after_a_question(
    fetching_desk: Desk, distant: DistantModel, artifacts: Path
) -> None:
    desk, distant.pause_seconds = fetching_desk, 0.15
    image, layer = desk.picture(60, 40)
    before = desk.everything(image)
    work: dict[str, Any] = {"model": ID, "scale": 2.0, "noise": -1, "scope": "layer"}

    def ask() -> str:
        desk.gimp.begin("samovar", "upscale", image, [layer], "INTERACTIVE", **work)
        dialog = desk.dialog("Samovar: Upscale")
        desk.screen.press(dialog, "alt+o")
        return desk.screen.wait_for("^Samovar$")

    question = ask()
    desk.screen.place(question, 500, 320)
    desk.screen.picture(artifacts / "gimp-question.png")
    desk.screen.press(question, "alt+c")
    assert desk.gimp.end()[0] == "CANCEL" and desk.everything(image) == before and not distant.starts

    desk.screen.press(ask(), "alt+f")
    window = desk.dialog("Samovar: Upscale")
    desk.screen.picture(artifacts / "gimp-fetching.png")
    desk.screen.press(window, "alt+c")
    assert desk.gimp.end()[0] == "CANCEL" and desk.everything(image) == before and distant.starts == [0]

    distant.pause_seconds = 0.0
    desk.screen.press(ask(), "alt+f")
    status, message, _ = desk.gimp.end()
    assert status == "SUCCESS", message
    assert len(distant.starts) == 2 and distant.starts[1] > 0, "it went on where it was"
    assert desk.gimp.state(image)["layers"][0]["name"] == f"Upscale ({ID})"

    status, message, _ = desk.gimp.samovar("upscale", image, [layer], **work)
    assert status == "SUCCESS", message


def test_without_anybody_to_ask_the_sentence_names_the_command(fetching_desk: Desk, distant: DistantModel) -> None:
    image, layer = fetching_desk.picture(20, 20)
    status, message, _ = fetching_desk.gimp.samovar("upscale", image, [layer], model=ID)
    assert status == "EXECUTION_ERROR" and message.endswith(f"fetch it with: samovar models pull {ID}")
    assert not distant.starts


def test_the_doctor_has_a_window(desk: Desk, artifacts: Path) -> None:
    desk.picture(20, 20)
    desk.choose_filter("doctor", artifacts / "gimp-doctor-menu.png")
    window = desk.dialog("Samovar: Doctor")
    time.sleep(1)
    desk.screen.picture(artifacts / "gimp-doctor.png")
    desk.screen.press(window, "Escape")
    wait_for(lambda: not desk.gimp.plugin_processes(), 10, "the end of the plug-in")


@pytest.mark.parametrize("name", ["compact", "esrgan", "swinir", "span", "scunet"])
def test_a_file_of_the_users_own_is_added_used_and_removed(
    name: str, daemon: Any, make_gimp: Callable[..., RemoteGimp], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, architecture, scale = MADE[name]
    operation = "upscale" if scale > 1 else "denoise"
    folder = prepare(expose=False)
    profile = folder / "profile"
    environment = {**daemon.environment, "GIMP3_DIRECTORY": str(profile)}

    def samovar(*words: str) -> str:
        command = [sys.executable, "-m", "samovar", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    file = save(make(), tmp_path / f"{name}.pth")
    assert architecture in samovar("models", "add", str(file))
    assert f"own/{name}" in samovar("models", "list", "--operation", operation)
    assert f"own/{name}" in (profile / "plug-ins/samovar_gimp/operations.json").read_text()

    gimp = make_gimp(["gimp-console", "-n", "-i"], "", folder)
    gimp.show_daemon(daemon.connection_file.read_bytes())
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(daemon.connection_file))
    pixels = noise(40 * 30 * 3)
    image = gimp.image(40, 30)
    layer = gimp.layer(image, "RGB_IMAGE", 40, 30, 0, 0, pixels.hex(), "R'G'B' u8")
    settings: dict[str, Any] = {"model": f"own/{name}"}
    if operation == "upscale":
        settings["scale"] = float(scale)
    status, message, _ = gimp.samovar(operation, image, [layer], scope="layer", **settings)
    assert status == "SUCCESS", message
    new = gimp.state(image)["layers"][0]
    assert new["size"] == [40 * scale, 30 * scale]
    expected = plain_client(operation, Raster(30, 40, 3), pixels, **settings)
    assert bytes.fromhex(gimp.pixels(new["id"], "R'G'B' u8")) == expected

    samovar("models", "remove", f"own/{name}")
    assert f"own/{name}" not in (profile / "plug-ins/samovar_gimp/operations.json").read_text()
    status, message, _ = gimp.samovar(operation, image, [layer], scope="layer", **settings)
    assert status != "SUCCESS"
    gimp.close()


def test_the_zip_works_in_a_gimp_that_has_never_been_started(
    make_gimp: Callable[..., RemoteGimp], shared_daemon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare(expose=False)
    shutil.rmtree(folder / "profile")
    plugins = folder / "profile" / "plug-ins"
    plugins.mkdir(parents=True)
    (folder / "profile" / "gimprc").write_text(PROFILE)
    made = archive.make(tmp_path)[1]
    subprocess.run(["unzip", "-q", str(made), "-d", str(plugins)], check=True)  # keeps what may be executed
    assert zipfile.is_zipfile(made) and {each.name for each in plugins.iterdir()} == {"samovar_gimp"}
    gimp = make_gimp(["gimp-console", "-n", "-i"], "", folder)
    gimp.show_daemon(shared_daemon.connection_file.read_bytes())
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(shared_daemon.connection_file))
    image = gimp.image(20, 10)
    layer = gimp.layer(image, "RGB_IMAGE", 20, 10, 0, 0, noise(600).hex(), "R'G'B' u8")
    status, message, _ = gimp.samovar("upscale", image, [layer], scope="layer")
    assert status == "SUCCESS", message
    assert gimp.state(image)["layers"][0]["size"] == [40, 20]
    gimp.close()
