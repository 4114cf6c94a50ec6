"""The Krita plug-in: a folder and a .desktop file beside it, and one line in kritarc to switch it on.

Krita finds what can get a shortcut, the `.action` file, inside the plug-in's folder. A second copy in the folder
`actions` would be one too many: Krita complains about each name it reads twice.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from . import bundle, places
from .places import KritaPlace

NAME = "samovar_krita"
_ENABLE = f"enable_{NAME}"


def install_krita(target: Path | None = None) -> list[Path]:
    """Install the plug-in and return its folders.

    target : the pykrita folder; None is the user's own, of every Krita there is, where the plug-in is switched on too
    """
    wanted = places.kritas() if target is None else [KritaPlace(target, Path())]
    source = bundle.plugin_source("krita")
    for each in wanted:
        bundle.replace(source / NAME, each.plugins / NAME)
        _write_whole(each.plugins / f"{NAME}.desktop", (source / f"{NAME}.desktop").read_bytes())
        if target is None:
            set_enabled(each.settings, True)
    return [each.plugins / NAME for each in wanted]


def refresh_krita() -> None:
    """Bring what the installed plug-ins know of models up to date."""
    for each in places.kritas():
        bundle.refresh(each.plugins / NAME)


def uninstall_krita(target: Path | None = None) -> bool:
    """Remove what `install_krita` made; False if it was not there. The line in kritarc goes as well."""
    wanted = places.kritas() if target is None else [KritaPlace(target, Path())]
    found = [bundle.remove(each.plugins / name) for each in wanted for name in (NAME, f"{NAME}.desktop")]
    if target is None:
        for each in wanted:
            set_enabled(each.settings, None)
    return any(found)


def is_enabled(kritarc: Path) -> bool:
    """Whether Krita will load the plug-in."""
    if not kritarc.is_file():
        return False
    lines = _read(kritarc).splitlines()
    start, end = _section(lines)
    return any(_key(line) == _ENABLE and line.split("=", 1)[1].strip() == "true" for line in lines[start:end])


def set_enabled(kritarc: Path, enabled: bool | None) -> None:
    """Set the plug-in's line in the `[python]` group, or take it out (None), and touch nothing else.

    The file as it was stays beside it as `kritarc.samovar-backup`.
    """
    old = _read(kritarc) if kritarc.is_file() else ""
    new = _with_line(old, None if enabled is None else f"{_ENABLE}={'true' if enabled else 'false'}")
    if new == old:
        return
    if kritarc.is_file():
        shutil.copy2(kritarc, kritarc.with_name(kritarc.name + ".samovar-backup"))
    kritarc.parent.mkdir(parents=True, exist_ok=True)
    _write_whole(kritarc, new.encode("utf-8", "surrogateescape"))


def _with_line(text: str, wanted: str | None) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    start, end = _section(lines)
    present = [index for index in range(start, end) if _key(lines[index]) == _ENABLE]
    for index in reversed(present[1:] if wanted else present):
        del lines[index]
    if wanted is None:
        return "".join(lines)
    if present:
        lines[present[0]] = wanted + newline
    elif start:
        if not lines[start - 1].endswith("\n"):
            lines[start - 1] += newline
        lines.insert(start, wanted + newline)
    else:
        if lines and not lines[-1].endswith("\n"):
            lines[-1] += newline
        lines += [newline] * bool(lines) + ["[python]" + newline, wanted + newline]
    return "".join(lines)


def _section(lines: list[str]) -> tuple[int, int]:
    """First line in and first line after the `[python]` group; (0, 0) if there is none."""
    headers = [index for index, line in enumerate(lines) if line.startswith("[")]
    for index in headers:
        if lines[index].strip() == "[python]":
            return index + 1, next((other for other in headers if other > index), len(lines))
    return 0, 0


def _key(line: str) -> str:
    return line.split("=", 1)[0].strip() if "=" in line else ""


def _read(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")  # not read_text: line ends stay as they are


def _write_whole(path: Path, content: bytes) -> None:
    path = path.resolve()  # a settings file kept elsewhere and linked stays a link
    temporary = path.with_name(f".{path.name}.samovar-new")
    temporary.write_bytes(content)
    if path.exists():
        shutil.copymode(path, temporary)
    os.replace(temporary, path)
