"""What a run would use is loaded while the user still looks at the docker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from harness import Krita

from samovar_link import Status, StatusReport, connect

pytestmark = [pytest.mark.editor, pytest.mark.slow, pytest.mark.timeout(600)]


def test_opening_the_docker_warms_what_is_set_and_a_change_what_is_set_then(
    krita: Krita, daemon: Any, reach: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = krita.play("warm", reach(krita, daemon)).facts
    assert facts["before"] == 0, "nothing is loaded before anybody asks for the docker"
    first, second = facts["answers"]
    assert first and [name.split()[0] for name in second] == [facts["wanted"]]
    assert not facts["jobs"]
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(daemon.connection_file))
    with connect("test", "") as client:
        client.send(Status())
        report, _ = client.receive(5)
    assert isinstance(report, StatusReport)
    held = {each.model for each in report.models}
    assert held == {*first, *second}, "what was passed by was not loaded"
