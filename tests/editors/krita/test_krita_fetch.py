"""A model that is not here yet is fetched from inside Krita, after a question; and the doctor has a window."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Krita

from distant_model import DistantModel

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(600)]


def test_asked_declined_cancelled_fetched_and_run(
    krita: Krita, start_daemon: Callable[..., Any], distant: DistantModel, reach: Callable[..., dict[str, str]],
    artifacts: Path,
) -> None:  # fmt: skip
    daemon = start_daemon(**distant.environment)
    distant.pause_seconds = 0.15
    play = krita.play("fetch", reach(krita, daemon))
    facts = play.facts
    for name in ("question", "fetching", "doctor"):
        shutil.copy(play.folder / f"{name}.png", artifacts / f"krita-{name}-{facts['krita']}.png")
    assert facts["listed"] == "Tiny, needs 0.1 MB download" and facts["button"] == "Fetch and run..."
    question = facts["question"]
    assert question.startswith("Tiny is not here yet: 0.1 MB have to be fetched once.")
    assert "CC-BY-NC-4.0. What it makes must not be sold." in question and "http://127.0.0.1" in question
    assert facts["declined"] == [True, True]
    assert facts["began"] and facts["stage"].endswith(" of 0.1 MB")
    assert facts["cancelled"] == ["Cancelled; what came so far is kept.", True, True, "Fetch and run..."]
    assert facts["says"].startswith("Done in ") and facts["layers"][-1] == "Upscale (test/tiny-x2)"
    assert facts["after"] == ["Tiny", "Run"]
    assert distant.starts[0] == 0 and distant.starts[-1] > 0, "it went on where it was"
    assert facts["copied"]
    if krita.root is None:
        assert "self-tests" in facts["doctor"] and daemon.connection.token not in facts["doctor"]
    else:  # this Samovar cannot be started from in there
        assert "could not be started" in facts["doctor"]
