"""How a procedure ended, as GIMP wants to hear it."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from gi.repository import Gimp, GLib

from samovar_link import DaemonUnavailable, RemoteError

from .meter import Stopped
from .source import Unsuitable


def told(procedure: Gimp.Procedure, work: Callable[[], Gimp.PDBStatusType]) -> Gimp.ValueArray:
    """Do the work; whatever goes wrong becomes one sentence that GIMP shows."""
    try:
        status, sentence = work(), ""
    except Stopped:
        status, sentence = Gimp.PDBStatusType.CANCEL, ""
    except (Unsuitable, RemoteError, DaemonUnavailable) as error:
        status, sentence = Gimp.PDBStatusType.EXECUTION_ERROR, str(error)
    except Exception as error:
        traceback.print_exc()  # ends up where GIMP was started from
        status = Gimp.PDBStatusType.EXECUTION_ERROR
        sentence = f"Samovar's plug-in failed ({type(error).__name__}: {error}); the image is as it was."
    return procedure.new_return_values(status, GLib.Error(sentence) if sentence else GLib.Error())
