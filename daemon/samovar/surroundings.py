"""What a program that Samovar starts finds around it: a folder that stays, and that nobody puts anything into.

Python looks for modules in the folder it was started in, so a `torch.py` that came with a download would be run. And
where that folder is gone, torch ends the process: its MKL loads itself again by a path, and asks for the folder.
"""

from __future__ import annotations

import os

FOLDER = os.path.abspath(os.sep)


def environment(**more: str) -> dict[str, str]:
    """This process's own for a program that works in FOLDER, and `more`."""
    found = {**os.environ, **more}
    if home := found.get("SAMOVAR_HOME"):
        found["SAMOVAR_HOME"] = os.path.abspath(home)
    return found
