"""samovar-krita.zip goes through the importer of a Krita that has never been started, and works after a restart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Krita

from samovar.install import archive

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.mark.parametrize("where", ["system", "trixie"])
def test_the_zip_is_imported_into_an_empty_profile_and_works(
    where: str, request: pytest.FixtureRequest, require: Callable[..., None], display: str, shared_daemon: Any,
    reach: Callable[..., dict[str, str]], tmp_path_factory: pytest.TempPathFactory, artifacts: Path,
) -> None:  # fmt: skip
    root = request.getfixturevalue("newer_debian") if where == "trixie" else None
    if root is None:
        require("krita")
    krita = Krita(tmp_path_factory.mktemp("empty-krita"), display, root)
    krita.install_driver()
    made = archive.make(krita.folder)[0]
    facts = krita.play("importing", reach(krita, shared_daemon), SAMOVAR_ZIP=str(made)).facts
    assert facts["errors"] == [] and facts["asked"] == [["samovar_krita"]]
    assert "enable_samovar_krita=true" in (krita.home / ".config/kritarc").read_text()
    play = krita.play("imported", reach(krita, shared_daemon))
    shutil.copy(play.folder / "imported.png", artifacts / f"krita-zip-{play.facts['krita']}.png")
    assert play.facts["actions"] == [True, True]
    assert play.facts["says"].startswith("Done in "), play.facts["says"]
    name, _, _, width, height = play.facts["layers"][-1]
    assert name.startswith("Upscale (") and (width, height) == (80, 60)
