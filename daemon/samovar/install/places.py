"""Where Krita and GIMP 3 keep a user's plug-ins and settings: by platform, and by how the editor was installed.

An AppImage keeps them where a package of the distribution does. Flatpak, Snap and the Microsoft Store give a program a
home of its own, which is there as soon as it ran once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GIMP_3 = re.compile(r"3\.\d+")
USUAL = ""
"""The kind of an editor that was installed without a home of its own."""


@dataclass(frozen=True)
class KritaPlace:
    """plugins : the folder for the user's Python plug-ins; settings : kritarc. Both may not exist yet.

    kind : "flatpak", "snap", "store", or USUAL
    """

    plugins: Path
    settings: Path
    kind: str = USUAL


def kritas() -> list[KritaPlace]:
    """Of every Krita that the user has run; the usual one if none."""
    usual = _usual_krita()
    found = [usual] if usual.plugins.parent.is_dir() or usual.settings.is_file() else []
    return [*found, *_other_kritas()] or [usual]


def _usual_krita() -> KritaPlace:
    if sys.platform == "win32":
        roaming, local = _folder("APPDATA", "AppData/Roaming"), _folder("LOCALAPPDATA", "AppData/Local")
        return KritaPlace(roaming / "krita" / "pykrita", local / "kritarc")
    if sys.platform == "darwin":
        library = Path.home() / "Library"
        return KritaPlace(library / "Application Support" / "Krita" / "pykrita", library / "Preferences" / "kritarc")
    data, config = _folder("XDG_DATA_HOME", ".local/share"), _folder("XDG_CONFIG_HOME", ".config")
    return KritaPlace(data / "krita" / "pykrita", config / "kritarc")


def _other_kritas() -> Iterator[KritaPlace]:
    for kind, data, config in _homes("org.kde.krita", "krita", "Krita"):
        yield KritaPlace(data / "krita" / "pykrita", config / "kritarc", kind)


def gimp_plugins() -> list[Path]:
    """The plug-ins folder of every GIMP 3 version that has a profile, oldest first; that of 3.0 if none has."""
    if override := os.environ.get("GIMP3_DIRECTORY"):
        return [Path(override) / "plug-ins"]
    usual = _usual_gimp()
    roots = [usual, *(config / "GIMP" for _, _, config in _homes("org.gimp.GIMP", "gimp", "GIMP", roaming=True))]
    found = [path for root in roots for path in root.glob("3.*") if _GIMP_3.fullmatch(path.name) and path.is_dir()]
    found.sort(key=lambda path: int(path.name.split(".")[1]))
    return [path / "plug-ins" for path in found or [usual / "3.0"]]


def _usual_gimp() -> Path:
    if sys.platform == "win32":
        return _folder("APPDATA", "AppData/Roaming") / "GIMP"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "GIMP"
    return _folder("XDG_CONFIG_HOME", ".config") / "GIMP"


def _homes(flatpak: str, snap: str, store: str, roaming: bool = False) -> Iterator[tuple[str, Path, Path]]:
    """(kind, data, settings) of an editor's homes of its own that are there.

    roaming : whether it keeps its settings on Windows where its data are
    """
    home = Path.home()
    if sys.platform == "win32":
        for package in sorted((_folder("LOCALAPPDATA", "AppData/Local") / "Packages").glob(f"*{store}*")):
            cache = package / "LocalCache"
            if (cache / "Roaming").is_dir():
                yield "store", cache / "Roaming", cache / ("Roaming" if roaming else "Local")
        return
    own = home / ".var" / "app" / flatpak
    if own.is_dir():
        yield "flatpak", own / "data", own / "config"
    own = home / "snap" / snap / "current"
    if own.is_dir():
        yield "snap", own / ".local" / "share", own / ".config"


def _folder(variable: str, below_home: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / below_home)
