"""Where Krita and GIMP 3 keep a user's plug-ins and settings, by platform."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_GIMP_3 = re.compile(r"3\.\d+")


def krita_plugins() -> Path:
    """Krita's folder for the user's Python plug-ins, whether it exists or not."""
    if sys.platform == "win32":
        return _folder("APPDATA", "AppData/Roaming") / "krita" / "pykrita"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Krita" / "pykrita"
    return _folder("XDG_DATA_HOME", ".local/share") / "krita" / "pykrita"


def kritarc() -> Path:
    """Krita's settings file, whether it exists or not."""
    if sys.platform == "win32":
        return _folder("LOCALAPPDATA", "AppData/Local") / "kritarc"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Preferences" / "kritarc"
    return _folder("XDG_CONFIG_HOME", ".config") / "kritarc"


def gimp_plugins() -> list[Path]:
    """The plug-ins folder of every GIMP 3 version that has a profile, oldest first; that of 3.0 if none has."""
    if override := os.environ.get("GIMP3_DIRECTORY"):
        return [Path(override) / "plug-ins"]
    root = _gimp_root()
    found = [path for path in root.glob("3.*") if _GIMP_3.fullmatch(path.name) and path.is_dir()]
    found.sort(key=lambda path: int(path.name.split(".")[1]))
    return [path / "plug-ins" for path in found or [root / "3.0"]]


def _gimp_root() -> Path:
    if sys.platform == "win32":
        return _folder("APPDATA", "AppData/Roaming") / "GIMP"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "GIMP"
    return _folder("XDG_CONFIG_HOME", ".config") / "GIMP"


def _folder(variable: str, below_home: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / below_home)
