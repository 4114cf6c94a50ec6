"""The wheel holds all of it: what a plain `pip install` gives must be able to install both plug-ins."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without isolation (nothing is downloaded) and unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps"]
    subprocess.run([*command, "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)], check=True, timeout=100)
    (wheel,) = folder.glob("samovar-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_holds_daemon_link_and_plug_ins_and_no_tests(unpacked: Path) -> None:
    tops = {path.name for path in unpacked.iterdir() if not path.name.endswith(".dist-info")}
    assert tops == {"samovar", "samovar_link"}
    assert (unpacked / "samovar/plugins/krita/samovar_krita.desktop").is_file()
    assert (unpacked / "samovar/plugins/gimp/samovar_gimp/samovar_gimp.py").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("editor", "entry"), [("krita", "samovar_krita/__init__.py"), ("gimp", "samovar_gimp/samovar_gimp.py")]
)
def test_the_wheel_alone_installs_the_plug_in(unpacked: Path, tmp_path: Path, editor: str, entry: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, "-m", "samovar", "install", editor, "--target", str(tmp_path)]
    subprocess.run(command, check=True, env=environment, cwd=tmp_path, timeout=60, stdout=subprocess.DEVNULL)
    installed = tmp_path / entry
    assert installed.is_file()
    assert (installed.parent / "samovar_link" / "_msgpack" / "fallback.py").is_file()
    compiled = [path for path in tmp_path.rglob("*") if path.suffix in {".so", ".pyd", ".dylib", ".pyc"}]
    assert not compiled
