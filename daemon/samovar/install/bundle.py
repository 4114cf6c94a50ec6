"""Assembles a plug-in folder and swaps it in for an older one.

Only Python and data files are copied: a plug-in must work in an editor whose Python is another than ours, so anything
compiled is left out. The new folder is complete before the old one is moved aside.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import samovar
import samovar_link

from . import declarations

_COMMAND, _OFFER = "daemon.json", "operations.json"
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[co]", "*.so", "*.pyd", "*.dylib", ".*", "typings")


def plugin_source(editor: str) -> Path:
    """The folder that holds a plug-in's files: inside the installed package, or in a source checkout.

    editor : "krita" or "gimp"

    Raises FileNotFoundError if this installation came without the plug-ins.
    """
    package = Path(samovar.__file__).resolve().parent
    for folder in (package / "plugins" / editor, package.parents[1] / f"{editor}_plugin"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"this installation of Samovar has no {editor} plug-in; reinstall the samovar package")


def assemble(source: Path, folder: Path, script: str = "", *, here: bool = True) -> None:
    """Make `folder`, which must not exist, a complete plug-in from the files in `source`.

    script : name of a file that the editor executes; a wheel does not keep that bit
    here : for this machine, so that the plug-in knows how to start this Samovar; otherwise it looks in PATH
    """
    shutil.copytree(source, folder, ignore=_LEFT_OUT)
    if script:
        (folder / script).chmod(0o755)
    link = folder / "samovar_link"
    shutil.rmtree(link, ignore_errors=True)
    shutil.copytree(Path(samovar_link.__file__).parent, link, ignore=_LEFT_OUT)
    _vendor_msgpack(link / "_msgpack")
    if here:
        (folder / _COMMAND).write_text(json.dumps({"command": _command()}) + "\n", encoding="utf-8")
    (folder / _OFFER).write_text(declarations.as_json(here), encoding="utf-8")


def replace(source: Path, target: Path, script: str = "") -> None:
    """`assemble` a folder and put it at `target`, in place of what is there.

    The old folder is renamed, not emptied, so an editor that has files open in it keeps them until it ends.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".samovar-", ignore_cleanup_errors=True) as work:
        fresh = Path(work) / "new"
        assemble(source, fresh, script)
        if os.path.lexists(target):
            os.rename(target, Path(work) / "old")
        try:
            os.rename(fresh, target)
        except OSError:
            if os.path.lexists(Path(work) / "old"):
                os.rename(Path(work) / "old", target)
            raise


def refresh(folder: Path) -> bool:
    """Tell an installed plug-in, if it starts this Samovar, what there is now; whether that was news."""
    try:
        command = json.loads((folder / _COMMAND).read_text(encoding="utf-8"))["command"]
        old = (folder / _OFFER).read_text(encoding="utf-8")
    except (OSError, ValueError, KeyError, TypeError):  # none is there, or a developer's link to the sources
        return False
    new = declarations.as_json()
    if command != _command() or new == old:
        return False
    temporary = folder / f".{_OFFER}.{os.getpid()}"
    try:
        temporary.write_text(new, encoding="utf-8")
        os.replace(temporary, folder / _OFFER)
    except OSError:  # a folder of the system's: the next installation brings it
        return False
    return True


def _command() -> list[str]:
    """How this Samovar is started."""
    return [sys.executable, "-m", "samovar"]


def remove(target: Path) -> bool:
    """Delete a plug-in's folder, or the link that a developer made in its place; False if there is none."""
    if target.is_symlink() or target.is_file():
        target.unlink()
        return True
    if target.is_dir():
        shutil.rmtree(target)
        return True
    return False


def _vendor_msgpack(folder: Path) -> None:
    spec = importlib.util.find_spec("msgpack")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the msgpack package is missing; reinstall the samovar package")
    folder.mkdir()
    for path in Path(spec.origin).parent.glob("*.py"):
        shutil.copyfile(path, folder / path.name)
    (folder / "LICENSE").write_text(_msgpack_licence(), encoding="utf-8")


def _msgpack_licence() -> str:
    """msgpack's licence text as its package carries it; its name and home where a distributor left the text out."""
    distribution = importlib.metadata.distribution("msgpack")
    for path in distribution.files or ():
        if path.name.upper().startswith(("COPYING", "LICENSE", "LICENCE")):
            return path.read_text(encoding="utf-8")
    home = "https://github.com/msgpack/msgpack-python"
    return f"msgpack {distribution.version}, Copyright Inada Naoki, Apache License 2.0, {home}\n"
