"""The dialog, drawn by GIMP from the procedure's arguments. Import this only where there is a screen."""

from __future__ import annotations

from collections.abc import Callable

import gi

gi.require_version("GimpUi", "3.0")
from gi.repository import Gimp, GimpUi, GObject  # noqa: E402

from samovar_link import request  # noqa: E402
from samovar_link.messages import OperationInfo  # noqa: E402

from .arguments import SCOPE, has_scope, values  # noqa: E402
from .offer import canonical  # noqa: E402
from .window import handle_events  # noqa: E402


def ask(
    procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, operation: OperationInfo, foretell: Callable[[], str]
) -> bool:
    """Let the user set the arguments; False if they thought better of it.

    foretell : what will come of the arguments as they stand, in one line
    """
    GimpUi.init("samovar")
    dialog = GimpUi.ProcedureDialog.new(procedure, config, f"Samovar: {operation.title}")
    parameters = request.parameters(operation)
    for info in parameters:
        if info.kind in ("int", "float") and None not in (info.minimum, info.maximum) and not request.is_seed(info):
            dialog.get_widget(canonical(info.name), GimpUi.SpinScale.__gtype__)
    size = dialog.get_label("outcome", foretell(), False, False)
    scope = [SCOPE] if has_scope(operation) else []
    guides = [canonical(role) for role in request.guides(operation)]
    dialog.fill([*(canonical(info.name) for info in parameters), *guides, *scope, "outcome"])

    def fit(*_: object) -> None:
        """To what is set."""
        size.set_text(foretell())
        idle = request.idle(operation, values(config, operation))
        for info in parameters:
            dialog.get_widget(canonical(info.name), GObject.TYPE_NONE).set_sensitive(info.name not in idle)

    config.connect("notify", fit)
    fit()
    confirmed = bool(dialog.run())
    dialog.destroy()
    handle_events()  # let the window go
    return confirmed
