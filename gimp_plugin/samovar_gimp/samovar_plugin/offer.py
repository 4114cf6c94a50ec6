"""What Samovar can do, known before any daemon runs.

GIMP asks a plug-in for its procedures once, after it was installed, and keeps the answer. So the answer comes from
`operations.json`, which `samovar install gimp` wrote beside the script, and which learns of models from every daemon
that is met. A folder copied without it asks the daemon.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path

from samovar_link import Welcome, codec, connect, request
from samovar_link.messages import ModelInfo, OperationInfo, Value

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
    """Those that this plug-in can run: their only pictures are the layer and what is selected."""
    return [each for each in welcome.operations if not each.hidden and set(each.roles) <= {"image", request.MASK}]


def missing(welcome: Welcome, operation: OperationInfo, parameters: dict[str, Value]) -> ModelInfo | None:
    """The model that these parameters name, if it has to be fetched first."""
    names = [str(parameters.get(info.name, "")) for info in operation.parameters if info.kind == "model"]
    return next((each for each in welcome.models if each.id in names and not each.available), None)


def learn(welcome: Welcome) -> None:
    """Keep what a daemon says of models, for the next dialog; and have GIMP ask again at its next start."""
    path = FOLDER / "operations.json"
    models = json.loads(json.dumps([dataclasses.asdict(each) for each in welcome.models]))
    with contextlib.suppress(OSError, ValueError, KeyError):  # not ours to write, or damaged: it is as good as it was
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["models"] != models:
            beside = path.with_name(f".{path.name}.{os.getpid()}")
            beside.write_text(json.dumps({**fields, "models": models}, indent=1), encoding="utf-8")
            os.replace(beside, path)
            (FOLDER / f"{FOLDER.name}.py").touch()


def procedure_name(operation: OperationInfo) -> str:
    """The procedure's name in GIMP's procedure browser."""
    return PREFIX + canonical(operation.id)


def canonical(name: str) -> str:
    """A name as GIMP wants it: letters, digits and "-"."""
    return "".join(letter if letter.isalnum() else "-" for letter in name)
