"""*Samovar: Doctor…*: a window with what `samovar doctor` finds, to be read or copied into a bug report."""

from __future__ import annotations

import contextlib

from gi.repository import Gimp, GLib, GObject

from samovar_link import daemon_command
from samovar_link.doctor import Doctor

from . import offer

NAME = f"{offer.PREFIX}doctor"
TITLE = "Samovar: Doctor…"


def procedure(plugin: Gimp.PlugIn) -> Gimp.Procedure:
    """For the menu, where it needs no image."""
    made = Gimp.Procedure.new(plugin, NAME, Gimp.PDBProcType.PLUGIN, _run, None)
    mode = Gimp.RunMode.INTERACTIVE
    made.add_enum_argument("run-mode", "Run mode", "", Gimp.RunMode, mode, GObject.ParamFlags.READWRITE)  # or no menu
    made.set_menu_label(TITLE)
    made.add_menu_path("<Image>/Filters/Enhance")
    words = "Look at everything that Samovar needs and say what is wrong with it"
    made.set_documentation(words, words, NAME)
    made.set_attribution("The Samovar developers", "The Samovar developers, MIT licence", "2026")
    return made


def _run(procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, _data: object) -> Gimp.ValueArray:
    with contextlib.closing(Doctor(daemon_command(offer.FOLDER))) as doctor:
        from .window import show_text  # needs a screen

        show_text("Samovar: Doctor", "Looking at everything; this takes some ten seconds…", doctor.poll)
    return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, GLib.Error())
