"""The GIMP 3 plug-in: a folder whose script has the folder's name and may be executed, or GIMP passes it by."""

from __future__ import annotations

from pathlib import Path

from . import bundle, places

NAME = "samovar_gimp"


def install_gimp(target: Path | None = None) -> Path:
    """Install the plug-in and return its folder.

    target : the plug-ins folder; None is that of every GIMP 3 version the user has, and the newest is returned
    """
    source = bundle.plugin_source("gimp") / NAME
    for plugins in places.gimp_plugins() if target is None else [target]:
        folder = plugins / NAME
        bundle.replace(source, folder, script=f"{NAME}.py")
        # GIMP asks a plug-in what it offers only when the script is newer than the answer it remembers.
        (folder / f"{NAME}.py").touch()
    return folder


def uninstall_gimp(target: Path | None = None) -> bool:
    """Remove what `install_gimp` made; False if it was not there."""
    folders = places.gimp_plugins() if target is None else [target]
    return any([bundle.remove(plugins / NAME) for plugins in folders])
