"""`operations.json`: what this Samovar can do, for a plug-in that draws its dialog before any daemon answers.

The same fields as `Welcome`, so a plug-in builds both with one function. The running daemon has the last word.
"""

from __future__ import annotations

import dataclasses
import json

import samovar
from samovar import card, operation
from samovar_link.messages import PROTOCOL, Welcome


def as_json() -> str:
    """A `Welcome` without process and limits, as JSON."""
    welcome = Welcome(
        protocol=PROTOCOL,
        version=samovar.__version__,
        operations=tuple(each.info() for each in operation.discover()),
        models=tuple(each.info() for each in card.discover()),
    )
    fields = dataclasses.asdict(welcome)
    kept = {name: fields[name] for name in ("protocol", "version", "operations", "models")}
    return json.dumps(kept, indent=1) + "\n"
