"""Fixtures for every folder of tests: a real daemon in a home of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from distant_model import DistantModel, distant_model
from live_daemon import Daemon, running_daemon


@pytest.fixture
def start_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Start daemons with arguments of one's own: start_daemon("--port", "4711", home=path, NAME="value")."""
    with ExitStack() as stack:
        yield lambda *arguments, home=tmp_path / "home", **environment: stack.enter_context(
            running_daemon(home, *arguments, **environment)
        )


@pytest.fixture
def daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    """A running daemon."""
    return start_daemon()


@pytest.fixture
def distant(tmp_path: Path) -> Iterator[DistantModel]:
    """A model that has to be fetched; start a daemon with its environment."""
    with distant_model(tmp_path) as model:
        yield model


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A running daemon for tests that leave it as it was."""
    with running_daemon(tmp_path_factory.mktemp("shared") / "home") as daemon:
        yield daemon
