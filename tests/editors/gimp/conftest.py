"""GIMPs for the tests. The daemon runs outside of their root, as it would beside a packaged GIMP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from desk import Desk
from remote_gimp import RemoteGimp, prepare
from screen import Screen


@pytest.fixture(scope="session")
def make_gimp(newer_debian: Path) -> Iterator[Callable[..., RemoteGimp]]:
    """Starts GIMPs and ends them."""
    started: list[RemoteGimp] = []

    def make(program: list[str], display: str = "", folder: Path | None = None) -> RemoteGimp:
        """folder : from `prepare`, which may have been changed; None makes one"""
        started.append(RemoteGimp(folder or prepare(), newer_debian, program, display))
        return started[-1]

    yield make
    for gimp in started:
        gimp.close()


@pytest.fixture(scope="session")
def shared_console(make_gimp: Callable[..., RemoteGimp]) -> RemoteGimp:
    """One GIMP without windows for all tests, as starting takes seconds."""
    return make_gimp(["gimp-console", "-n", "-i"])


@pytest.fixture
def gimp(shared_console: RemoteGimp) -> RemoteGimp:
    """A GIMP without windows that knows of no daemon so far."""
    shared_console.settle()
    shared_console.connection_file.unlink(missing_ok=True)
    return shared_console


@pytest.fixture
def linked(gimp: RemoteGimp, shared_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> RemoteGimp:
    """A GIMP whose plug-in finds the daemon, as does this process."""
    gimp.show_daemon(shared_daemon.connection_file.read_bytes())
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(shared_daemon.connection_file))
    return gimp


@pytest.fixture(scope="session")
def shared_desk(make_gimp: Callable[..., RemoteGimp], display: str) -> Desk:
    """One GIMP with a window for all tests."""
    return Desk(make_gimp(["gimp", "-n", "--no-splash", "-f"], display), Screen(display))


@pytest.fixture
def desk(shared_desk: Desk, shared_daemon: Any, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A GIMP with a window whose plug-in finds the daemon, as does this process."""
    shared_desk.settle()
    shared_desk.gimp.show_daemon(shared_daemon.connection_file.read_bytes())
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(shared_daemon.connection_file))
    return shared_desk
