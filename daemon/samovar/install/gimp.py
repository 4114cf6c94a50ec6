"""The GIMP 3 plug-in: a folder whose script has the folder's name and may be executed, or GIMP passes it by."""

from __future__ import annotations

from pathlib import Path

from . import bundle, places

NAME = "samovar_gimp"


def install_gimp(target: Path | None = None) -> list[Path]:
    """Install the plug-in and return its folders.

    target : the plug-ins folder; None is that of every GIMP 3 version the user has
    """
    source = bundle.plugin_source("gimp") / NAME
    folders = [plugins / NAME for plugins in (places.gimp_plugins() if target is None else [target])]
    for folder in folders:
        bundle.replace(source, folder, script=f"{NAME}.py")
        # GIMP asks a plug-in what it offers only when the script is newer than the answer it remembers.
        (folder / f"{NAME}.py").touch()
    return folders


def refresh_gimp() -> None:
    """Bring what the installed plug-ins know of models up to date; GIMP asks them at its next start."""
    for plugins in places.gimp_plugins():
        if bundle.refresh(plugins / NAME):
            (plugins / NAME / f"{NAME}.py").touch()


def uninstall_gimp(target: Path | None = None) -> bool:
    """Remove what `install_gimp` made; False if it was not there."""
    folders = places.gimp_plugins() if target is None else [target]
    return any([bundle.remove(plugins / NAME) for plugins in folders])
