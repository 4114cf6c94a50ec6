"""Installing the plug-ins: complete, free of compiled files, whole or not at all, and kritarc otherwise untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import samovar_link
from samovar import card
from samovar.install import (
    archive,
    bundle,
    gimp,
    install_gimp,
    install_krita,
    krita,
    places,
    refresh,
    uninstall_gimp,
    uninstall_krita,
)
from samovar.weights import store


@pytest.fixture(autouse=True)
def plugin_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small plug-ins, so that these tests do not depend on the real ones, and a home without editors."""
    sources = tmp_path / "sources"
    for name in ("samovar_krita", "samovar_gimp"):
        (sources / name / "__pycache__").mkdir(parents=True)
        (sources / name / "__pycache__" / "x.pyc").write_bytes(b"compiled")
        (sources / name / "__init__.py").write_text("from .samovar_link import codec\n")
        (sources / name / f"{name}.py").write_text("#!/usr/bin/env python3\n")
    (sources / "samovar_krita.desktop").write_text("[Desktop Entry]\n")
    (sources / "samovar_krita" / "samovar_krita.action").write_text("<ActionCollection/>")
    monkeypatch.setattr(bundle, "plugin_source", lambda editor: sources)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "GIMP3_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    return sources


def test_an_installed_plug_in_holds_all_it_needs_and_nothing_compiled(tmp_path: Path) -> None:
    (folder,) = install_krita(tmp_path / "pykrita")
    assert folder == tmp_path / "pykrita" / "samovar_krita"
    assert (tmp_path / "pykrita" / "samovar_krita.desktop").is_file()
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"__init__.py", "daemon.json", "operations.json", "samovar_link/codec.py"} <= names
    assert {"samovar_link/_msgpack/fallback.py", "samovar_link/_msgpack/LICENSE"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc"))]
    assert "Apache" in (folder / "samovar_link" / "_msgpack" / "LICENSE").read_text()
    assert set(os.listdir(tmp_path / "pykrita")) == {"samovar_krita", "samovar_krita.desktop"}


@pytest.mark.slow
def test_the_installed_link_speaks_with_its_own_msgpack_alone(tmp_path: Path) -> None:
    install_krita(tmp_path)
    program = (
        "import sys; sys.modules['msgpack'] = None; from samovar_krita.samovar_link import codec, messages;"
        "print(codec.decode(codec.encode(messages.Ping(7))).nonce, codec.msgpack.__name__)"
    )
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {program}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["7", "samovar_krita.samovar_link._msgpack"]


def test_daemon_json_starts_this_samovar(tmp_path: Path) -> None:
    command = json.loads((install_gimp(tmp_path)[0] / "daemon.json").read_text())["command"]
    assert command == [sys.executable, "-m", "samovar"]


def test_operations_json_has_the_fields_of_a_welcome(tmp_path: Path) -> None:
    declared = json.loads((install_gimp(tmp_path)[0] / "operations.json").read_text())
    assert set(declared) == {"protocol", "version", "operations", "models"}
    identity = next(each for each in declared["operations"] if each["id"] == "identity")
    assert identity["parameters"][0]["unit"] == "s"


def test_the_gimp_script_may_be_executed(tmp_path: Path) -> None:
    (folder,) = install_gimp(tmp_path)
    assert os.access(folder / "samovar_gimp.py", os.X_OK)


def test_an_older_copy_is_replaced_whole(tmp_path: Path) -> None:
    stale = install_gimp(tmp_path)[0] / "stale.py"
    stale.write_text("")
    install_gimp(tmp_path)
    assert not stale.exists()
    assert os.listdir(tmp_path).count("samovar_gimp") == 1 and not list(tmp_path.glob(".samovar-*"))


def test_shortcuts_are_in_the_plugin_and_nowhere_else(tmp_path: Path) -> None:
    install_krita(tmp_path / "krita" / "pykrita")
    found = [path.relative_to(tmp_path / "krita") for path in tmp_path.rglob("*.action") if "krita" in path.parts]
    assert found == [Path("pykrita/samovar_krita/samovar_krita.action")], "Krita complains about what it reads twice"


def test_a_failed_install_leaves_the_older_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = install_gimp(tmp_path / "plug-ins")[0] / "daemon.json"
    monkeypatch.setattr(bundle.declarations, "as_json", lambda here: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        install_gimp(tmp_path / "plug-ins")
    assert kept.is_file() and os.listdir(tmp_path / "plug-ins") == ["samovar_gimp"]


def test_a_developers_link_is_replaced_without_touching_what_it_points_to(tmp_path: Path, plugin_files: Path) -> None:
    plugins = tmp_path / "plug-ins"
    plugins.mkdir()
    (plugins / "samovar_gimp").symlink_to(plugin_files / "samovar_gimp")
    install_gimp(plugins)
    assert not (plugins / "samovar_gimp").is_symlink()
    assert (plugin_files / "samovar_gimp" / "samovar_gimp.py").is_file()


def test_uninstall_removes_what_install_made_and_nothing_else(tmp_path: Path) -> None:
    plugins = tmp_path / "pykrita"
    install_krita(plugins)
    (plugins / "other.desktop").write_text("")
    assert uninstall_krita(plugins)
    assert os.listdir(plugins) == ["other.desktop"]
    assert not uninstall_krita(plugins)


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_gimp_installs_into_every_version_found(tmp_path: Path) -> None:
    root = tmp_path / "home" / ".config" / "GIMP"
    for version in ("2.10", "3.0", "3.2", "3.10"):
        (root / version).mkdir(parents=True)
    assert install_gimp()[-1] == root / "3.10" / "plug-ins" / gimp.NAME
    assert [path.parent.name for path in places.gimp_plugins()] == ["3.0", "3.2", "3.10"]
    assert all((path / gimp.NAME).is_dir() for path in places.gimp_plugins())
    assert not (root / "2.10" / "plug-ins").exists()
    assert uninstall_gimp() and not uninstall_gimp()


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_without_a_gimp_profile_that_of_3_0_is_made(tmp_path: Path) -> None:
    assert install_gimp() == [tmp_path / "home" / ".config" / "GIMP" / "3.0" / "plug-ins" / gimp.NAME]


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_krita_is_told_to_load_the_plug_in(tmp_path: Path) -> None:
    install_krita()
    settings = tmp_path / "home" / ".config" / "kritarc"
    assert settings.read_text() == "[python]\nenable_samovar_krita=true\n"
    assert krita.is_enabled(settings)
    uninstall_krita()
    assert not krita.is_enabled(settings)


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_every_krita_there_is_gets_the_plug_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for own in (".var/app/org.kde.krita", "snap/krita/current"):
        (home / own).mkdir(parents=True)
    flatpak, snap = install_krita()
    assert flatpak == home / ".var/app/org.kde.krita/data/krita/pykrita/samovar_krita"
    assert snap == home / "snap/krita/current/.local/share/krita/pykrita/samovar_krita"
    assert krita.is_enabled(home / ".var/app/org.kde.krita/config/kritarc")
    assert not (home / ".config").exists(), "a Krita that was never run"
    (home / ".config").mkdir()
    (home / ".config" / "kritarc").write_text("[a]\n")
    assert [each.kind for each in places.kritas()] == ["", "flatpak", "snap"]
    assert len(install_krita()) == 3
    assert uninstall_krita() and not uninstall_krita()
    assert not [path for path in home.rglob("*") if "samovar" in path.name and "backup" not in path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="paths of Linux")
def test_every_gimp_there_is_gets_the_plug_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    roots = [".config/GIMP/3.2", ".var/app/org.gimp.GIMP/config/GIMP/3.0", "snap/gimp/current/.config/GIMP/3.0"]
    for root in roots:
        (home / root).mkdir(parents=True)
    assert {str(each.relative_to(home)) for each in install_gimp()} == {
        f"{root}/plug-ins/{gimp.NAME}" for root in roots
    }
    assert uninstall_gimp() and not list(home.rglob("samovar_gimp*"))


def test_the_places_of_windows_and_of_macos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    for variable in ("APPDATA", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(places.sys, "platform", "darwin")
    library = home / "Library"
    assert places.kritas() == [
        places.KritaPlace(library / "Application Support/Krita/pykrita", library / "Preferences/kritarc")
    ]
    assert places.gimp_plugins() == [library / "Application Support/GIMP/3.0/plug-ins"]
    monkeypatch.setattr(places.sys, "platform", "win32")
    data = home / "AppData"
    usual = places.KritaPlace(data / "Roaming/krita/pykrita", data / "Local/kritarc")
    assert places.kritas() == [usual]
    assert places.gimp_plugins() == [data / "Roaming/GIMP/3.0/plug-ins"]
    cache = data / "Local/Packages/49800Krita_x/LocalCache"
    (cache / "Roaming").mkdir(parents=True)
    (data / "Roaming/krita").mkdir(parents=True)
    store = places.KritaPlace(cache / "Roaming/krita/pykrita", cache / "Local/kritarc", "store")
    assert places.kritas() == [usual, store]


def test_models_that_come_and_go_are_told_to_the_plug_ins_that_start_this_samovar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (ours,), (theirs,) = install_gimp(), install_krita()
    (theirs / "daemon.json").write_text('{"command": ["/other/python", "-m", "samovar"]}')
    script = ours / "samovar_gimp.py"
    os.utime(script, (1, 1))
    refresh()
    assert script.stat().st_mtime == 1, "nothing is new"
    monkeypatch.setattr(bundle.declarations, "as_json", lambda: '{"new": true}')
    refresh()
    assert (ours / "operations.json").read_text() == '{"new": true}' and script.stat().st_mtime > 1
    assert "new" not in json.loads((theirs / "operations.json").read_text())
    assert not list(ours.glob(".operations*"))


def test_the_zips_know_nothing_of_the_models_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "samovar"))
    fetched = next(each for each in card.discover() if each.to_fetch())
    for weight in fetched.to_fetch():
        path = store.folder() / weight.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    assert fetched.info().available
    with zipfile.ZipFile(archive.make(tmp_path / "dist")[0]) as file:
        models = json.loads(file.read("samovar_krita/operations.json"))["models"]
    assert not next(each for each in models if each["id"] == fetched.id)["available"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[a]\nx=1\n", "[a]\nx=1\n\n[python]\nenable_samovar_krita=true\n"),
        ("[python]\nenable_b=true\n\n[z]\ny=2", "[python]\nenable_samovar_krita=true\nenable_b=true\n\n[z]\ny=2"),
        ("[python]\nenable_samovar_krita=false\n[z]\n", "[python]\nenable_samovar_krita=true\n[z]\n"),
        ("[z]\nenable_samovar_krita=1", "[z]\nenable_samovar_krita=1\n\n[python]\nenable_samovar_krita=true\n"),
        ("[a]\r\nx=\xff\r\n", "[a]\r\nx=\xff\r\n\r\n[python]\r\nenable_samovar_krita=true\r\n"),
        ("[python]", "[python]\nenable_samovar_krita=true\n"),
    ],
)
def test_kritarc_changes_by_one_line(tmp_path: Path, before: str, after: str) -> None:
    settings = tmp_path / "kritarc"
    settings.write_bytes(before.encode("latin-1"))
    krita.set_enabled(settings, True)
    assert settings.read_bytes() == after.encode("latin-1")
    assert (tmp_path / "kritarc.samovar-backup").read_bytes() == before.encode("latin-1")
    krita.set_enabled(settings, True)
    assert settings.read_bytes() == after.encode("latin-1")
    assert krita.is_enabled(settings)


def test_a_linked_kritarc_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").write_text("[a]\n")
    (tmp_path / "kritarc").symlink_to(tmp_path / "dotfiles")
    krita.set_enabled(tmp_path / "kritarc", True)
    assert (tmp_path / "kritarc").is_symlink() and krita.is_enabled(tmp_path / "dotfiles")


def test_the_plug_ins_of_a_checkout_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for editor in ("krita", "gimp"):
        assert (bundle.plugin_source(editor) / f"samovar_{editor}").is_dir()
    assert Path(samovar_link.__file__).is_file()


def test_the_zips_hold_whole_plug_ins_and_nothing_compiled_or_of_this_machine(tmp_path: Path) -> None:
    krita_zip, gimp_zip = archive.make(tmp_path / "dist")
    for path, folder, script in ((krita_zip, "samovar_krita", ""), (gimp_zip, "samovar_gimp", "samovar_gimp.py")):
        with zipfile.ZipFile(path) as file:
            entries = {each.filename: each for each in file.infolist()}
            content = {name: file.read(name) for name in entries}
        beside = {name for name in entries if "/" not in name}
        assert beside == ({"samovar_krita.desktop", "samovar_krita.action"} if folder == "samovar_krita" else set())
        assert {name.split("/")[0] for name in entries} - beside == {folder} and f"{folder}/" in entries
        assert f"{folder}/samovar_link/_msgpack/fallback.py" in entries and f"{folder}/operations.json" in entries
        assert not [name for name in entries if name.endswith((".so", ".pyd", ".pyc")) or "daemon.json" in name]
        assert not [name for name, data in content.items() if str(Path.home()).encode() in data]
        executable = [name for name, each in entries.items() if each.external_attr >> 16 & 0o111]
        assert executable == ([f"{folder}/{script}"] if script else [])


def test_the_same_files_give_the_same_zips(tmp_path: Path) -> None:
    first, second = (archive.make(tmp_path / name) for name in ("one", "two"))
    assert [each.read_bytes() for each in first] == [each.read_bytes() for each in second]
