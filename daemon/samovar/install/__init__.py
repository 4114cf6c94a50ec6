"""Puts the plug-ins into the editors.

A plug-in folder holds everything it needs and nothing compiled: its own files, `samovar_link`, msgpack's pure-Python
part inside that as `_msgpack`, `daemon.json` (how to start this Samovar) and `operations.json` (what it can do, for
dialogs drawn before a daemon answers). An older copy is replaced whole, so an interrupted install leaves the old one.
"""

from __future__ import annotations

from .gimp import install_gimp, refresh_gimp, uninstall_gimp
from .krita import install_krita, refresh_krita, uninstall_krita

__all__ = ["install_gimp", "install_krita", "refresh", "uninstall_gimp", "uninstall_krita"]


def refresh() -> None:
    """Models came or went: tell the plug-ins that are installed."""
    refresh_krita()
    refresh_gimp()
