"""`operations.json`: what this Samovar can do, for a plug-in that draws its dialog before any daemon answers.

The same fields as `Welcome`, so a plug-in builds both with one function. The running daemon has the last word.
"""

from __future__ import annotations

import dataclasses
import json

import samovar
from samovar import card, operation
from samovar.weights import store
from samovar_link.messages import PROTOCOL, Welcome


def as_json(here: bool = True) -> str:
    """A `Welcome` without process and limits, as JSON.

    here : with the models of this machine; otherwise with what a new installation has
    """
    cards = [each for each in card.discover() if here or not store.is_own(each.id)]
    welcome = Welcome(
        protocol=PROTOCOL,
        version=samovar.__version__,
        operations=tuple(each.info() for each in operation.discover()),
        models=tuple(each.info() if here else each.info(each.to_fetch()) for each in cards),
    )
    fields = dataclasses.asdict(welcome)
    kept = {name: fields[name] for name in ("protocol", "version", "operations", "models")}
    return json.dumps(kept, indent=1) + "\n"
