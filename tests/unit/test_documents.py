"""What the documents say is there, is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from samovar import card

ROOT = Path(__file__).resolve().parents[2]
TOPS = ("daemon/", "shared/", "krita_plugin/", "gimp_plugin/", "tests/", "docs/")


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_every_path_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = [each for each in re.findall(r"[`(]([\w./-]+)[`)]", text) if each.startswith(TOPS)]
    missing = [each for each in named if not (ROOT / each).exists()]
    made_by_the_reader = ["daemon/samovar/operations/NAME.py", "daemon/samovar/networks/ARCHITECTURE.py"]
    assert named
    assert [each for each in missing if each not in made_by_the_reader] == []


def test_every_file_that_the_architecture_names_exists() -> None:
    """Bare names too, in whatever folder their row speaks of."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    there = {path.name for top in TOPS for path in (ROOT / top).rglob("*.py")}
    named = {Path(each).name for each in re.findall(r"`([\w./-]+\.py)`", text)}
    assert len(named) > 30
    assert named <= there


def test_every_test_that_shows_a_promise_exists() -> None:
    """SECURITY.md names them as `file::test`; none of its lines of promises goes without."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    assert len(named) > 40
    for file, test in named:
        path = ROOT / file
        assert path.exists() and re.search(rf"^def {test}\(", path.read_text(encoding="utf-8"), re.M), f"{file}::{test}"
    promises = text.partition("## Doors")[2].partition("## Limits")[0].split("\n- ")[1:]
    assert [each for each in promises if "::" not in each] == []
    rows = [line for line in text.partition("## Limits")[2].partition("## Fuzzing")[0].splitlines() if line[:2] == "| "]
    assert len(rows) > 10 and [row for row in rows[1:] if "::" not in row] == []


def test_the_readme_lists_every_model() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [each.id for each in card.discover() if f"`{each.id}`" not in text] == []
