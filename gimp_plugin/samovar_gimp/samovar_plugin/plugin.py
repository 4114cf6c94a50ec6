"""The procedures that GIMP sees: one for each operation, in the menu of what it is akin to; the jobs and the doctor."""

from __future__ import annotations

import sys

from gi.repository import Gimp

from samovar_link import DaemonUnavailable
from samovar_link.messages import OperationInfo, Welcome

from . import arguments, doctor, jobs, offer
from .call import Call

_MENUS = {"enhance": "<Image>/Filters/Enhance", "colors": "<Image>/Colors", "render": "<Image>/Filters/Render"}


class Samovar(Gimp.PlugIn):
    """GIMP makes one, asks it or runs one procedure, and ends the process."""

    def do_set_i18n(self, name: str) -> bool:
        """False: no catalogue of translations."""
        return False

    def do_query_procedures(self) -> list[str]:
        """Asked once after installation; GIMP remembers."""
        try:
            names = [offer.procedure_name(each) for each in offer.operations(offer.read())]
        except DaemonUnavailable as error:
            print(f"Samovar offers nothing yet: {error}", file=sys.stderr)
            names = []
        return [*names, *([jobs.NAME] if names else []), doctor.NAME]

    def do_create_procedure(self, name: str) -> Gimp.Procedure | None:
        """Asked after installation and before every call."""
        if name == doctor.NAME:
            return doctor.procedure(self)
        welcome = offer.read()
        if name == jobs.NAME:
            return jobs.procedure(self, welcome)
        for operation in offer.operations(welcome):
            if offer.procedure_name(operation) == name:
                return self._procedure(name, operation, welcome)
        return None

    def _procedure(self, name: str, operation: OperationInfo, welcome: Welcome) -> Gimp.Procedure:
        call = Call(operation, welcome.version)
        procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, call.run, None)
        procedure.set_image_types("*")  # indexed too: a sentence says more than a grey menu entry
        when = Gimp.ProcedureSensitivityMask
        mask = when.DRAWABLE | when.DRAWABLES
        if operation.creates:
            mask |= when.NO_DRAWABLES  # GIMP 3.0 runs it then, but its menu wants a layer all the same
        procedure.set_sensitivity_mask(mask)
        procedure.set_menu_label(f"Samovar: {operation.title}…")
        procedure.add_menu_path(_MENUS.get(operation.menu, _MENUS["enhance"]))
        procedure.set_documentation(operation.help or operation.title, operation.help, name)
        procedure.set_attribution("The Samovar developers", "The Samovar developers, MIT licence", "2026")
        arguments.add(procedure, operation, welcome.models)
        return procedure
