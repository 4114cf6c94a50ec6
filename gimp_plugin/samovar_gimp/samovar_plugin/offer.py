"""What Samovar can do, known before any daemon runs.

GIMP asks a plug-in for its procedures once, after it was installed, and keeps the answer. So the answer comes from
`operations.json`, which `samovar install gimp` wrote beside the script. A folder copied without it asks the daemon.
"""

from __future__ import annotations

import json
from pathlib import Path

from samovar_link import Welcome, codec, connect
from samovar_link.messages import OperationInfo

FOLDER = Path(__file__).resolve().parents[1]
"""The plug-in's folder."""

PREFIX = "plug-in-samovar-"


def read() -> Welcome:
    """Operations and models. Raises DaemonUnavailable if there is neither the file nor a daemon."""
    try:
        fields = json.loads((FOLDER / "operations.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        with connect("gimp", "") as client:
            assert client.welcome is not None
            return client.welcome
    packed = codec.msgpack.packb(["Welcome", fields])  # type: ignore[attr-defined]
    message = codec.decode(packed)  # the same checks as for one from a daemon
    assert isinstance(message, Welcome)
    return message


def operations(welcome: Welcome) -> list[OperationInfo]:
    """Those that this plug-in can run: their only picture is the layer."""
    return [each for each in welcome.operations if not each.hidden and each.roles == ("image",)]


def procedure_name(operation: OperationInfo) -> str:
    """The procedure's name in GIMP's procedure browser."""
    return PREFIX + canonical(operation.id)


def canonical(name: str) -> str:
    """A name as GIMP wants it: letters, digits and "-"."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
