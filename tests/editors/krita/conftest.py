"""Both Kritas, each with a home that lasts for the whole run (a first start in an empty home is slow)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Krita


@pytest.fixture(scope="session", params=["system", "trixie"])
def krita(
    request: pytest.FixtureRequest, require: Callable[..., None], display: str, tmp_path_factory: pytest.TempPathFactory
) -> Krita:
    """A Krita with the plug-in installed: this system's own, and the newer one in the Debian 13 root."""
    root: Path | None = None
    if request.param == "trixie":
        root = request.getfixturevalue("newer_debian")
    else:
        require("krita", "kritarunner")
    krita = Krita(tmp_path_factory.mktemp("krita"), display, root)
    krita.install()
    return krita


@pytest.fixture(scope="session")
def reach() -> Callable[[Krita, Any], dict[str, str]]:
    """The environment in which a Krita finds a test's daemon: over tcp from inside a root, as there is no other way."""

    def reach(krita: Krita, daemon: Any) -> dict[str, str]:
        fields = json.loads(daemon.connection_file.read_text())
        if krita.root is not None:
            fields["endpoints"] = [each for each in fields["endpoints"] if each.startswith("tcp://")]
        file = krita.folder / "connection.json"
        file.touch(mode=0o600)  # one that others may read is not used
        file.write_text(json.dumps(fields))
        return {"SAMOVAR_HOME": str(krita.folder / "samovar"), "SAMOVAR_CONNECTION_FILE": str(file)}

    return reach
