"""Both Kritas, each with a home that lasts for the whole run (a first start in an empty home is slow)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Krita


@pytest.fixture(scope="session", params=["own", "newer"])
def krita(
    request: pytest.FixtureRequest, require: Callable[..., None], display: str, tmp_path_factory: pytest.TempPathFactory
) -> Krita:
    """A Krita with the plug-in installed: this system's own, and the newer one in the Debian 13 root."""
    root: Path | None = None
    if request.param == "newer":
        root = request.getfixturevalue("newer_debian")
    else:
        require("krita", "kritarunner")
    krita = Krita(tmp_path_factory.mktemp("krita"), display, root)
    krita.install()
    return krita
