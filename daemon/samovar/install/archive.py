"""The plug-ins as zip files, for whoever installs them by hand: `python -m samovar.install.archive FOLDER`.

`samovar-krita.zip` is for Krita's *Tools > Scripts > Import Python Plugin from File*; `samovar-gimp.zip` holds the
folder that belongs into GIMP's plug-ins folder. They know no Samovar of their own, so they start the one that PATH
finds. The same files give the same bytes.

Krita's importer looks for a folder's own entry in the file, and copies every `.action` to a place of its own; so that
file lies beside the folder here, lest Krita reads it twice.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from . import bundle, gimp, krita

_DATE = (1980, 1, 1, 0, 0, 0)
_PLAIN, _EXECUTABLE = 0o644, 0o755


def make(target: Path) -> list[Path]:
    """Write both files into a folder, and return them."""
    target.mkdir(parents=True, exist_ok=True)
    return [_krita(target / "samovar-krita.zip"), _gimp(target / "samovar-gimp.zip")]


def _krita(path: Path) -> Path:
    source, action = bundle.plugin_source("krita"), f"{krita.NAME}.action"
    beside = {each.name: each.read_bytes() for each in (source / f"{krita.NAME}.desktop", source / krita.NAME / action)}
    return _pack(path, source / krita.NAME, krita.NAME, "", beside)


def _gimp(path: Path) -> Path:
    return _pack(path, bundle.plugin_source("gimp") / gimp.NAME, gimp.NAME, f"{gimp.NAME}.py", {})


def _pack(path: Path, source: Path, name: str, script: str, beside: dict[str, bytes]) -> Path:
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / name
        bundle.assemble(source, folder, script, here=False)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, content in beside.items():
                _put(archive, each, content, _PLAIN)
                (folder / each).unlink(missing_ok=True)
            for file in (folder, *sorted(folder.rglob("*"))):
                inside = file.relative_to(work).as_posix()
                if file.is_dir():
                    archive.writestr(zipfile.ZipInfo(f"{inside}/", _DATE), b"")
                else:
                    _put(archive, inside, file.read_bytes(), _EXECUTABLE if file.name == script else _PLAIN)
    return path


def _put(archive: zipfile.ZipFile, name: str, content: bytes, mode: int) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = (0o100000 | mode) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


if __name__ == "__main__":
    for made in make(Path(sys.argv[1])):
        print(f"{made}, {made.stat().st_size} bytes")
