"""Models that come while the daemon runs: fetched for a client, dropped in by hand, removed from a shell."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from architectures import compact, needs_spandrel, save
from distant_model import ID, DistantModel
from samovar_link import Client
from samovar_link.messages import (
    Done,
    Message,
    Pull,
    Pulled,
    Pulling,
    Raster,
    Refused,
    Run,
    StopPull,
    Welcome,
)  # fmt: skip

pytestmark = [pytest.mark.slow, needs_spandrel]

PATIENCE_SECONDS = 60.0


def until(client: Client, wanted: Callable[[Message], bool]) -> list[Message]:
    """All that comes until then."""
    deadline, came = time.monotonic() + PATIENCE_SECONDS, []
    while not came or not wanted(came[-1]):
        came.append(client.receive(max(0.0, deadline - time.monotonic()))[0])
    return came


def offered(client: Client) -> dict[str, bool]:
    """Model -> whether it is here, as the client was told last."""
    assert client.welcome is not None
    return {each.id: each.available for each in client.welcome.models}


def connected(daemon: Any) -> Client:
    client = Client(daemon.connection, name="test", version="1")
    until(client, lambda message: isinstance(message, Welcome))
    return client


def upscaled(client: Client, model: str) -> Raster:
    run = Run(secrets.token_hex(16), "upscale", {"model": model, "scale": 2.0}, {"image": Raster(20, 30, 3)})
    done, _ = client.run(run, [bytes(range(200)) * 9])
    assert isinstance(done, Done)
    return done.images["image"]


def test_a_model_is_fetched_for_a_client_and_used_at_once(
    start_daemon: Callable[..., Any], distant: DistantModel
) -> None:
    daemon = start_daemon(**distant.environment)
    distant.pause_seconds = 0.02
    with connected(daemon) as client, connected(daemon) as other:
        assert offered(client)[ID] is False
        client.send(Pull(ID))
        came = until(client, lambda message: isinstance(message, (Pulled, Refused)))
        told = [each for each in came if isinstance(each, Pulling)]
        assert came[-1] == Pulled(ID), came
        assert told and all(each.total_bytes == len(distant.content) for each in told)
        assert [each.have_bytes for each in told] == sorted(each.have_bytes for each in told)
        assert offered(client)[ID] is True
        until(other, lambda message: isinstance(message, Welcome))
        assert offered(other)[ID] is True
        raster = upscaled(client, ID)
        assert (raster.height, raster.width) == (40, 60)


def test_a_fetch_that_is_stopped_goes_on_from_there(start_daemon: Callable[..., Any], distant: DistantModel) -> None:
    daemon = start_daemon(**distant.environment)
    distant.flow.clear()
    with connected(daemon) as client:
        client.send(Pull(ID))
        until(client, lambda message: isinstance(message, Pulling) and message.have_bytes > 0)
        client.send(StopPull(ID))
        assert until(client, lambda message: isinstance(message, Pulled))[-1] == Pulled(ID, stopped=True)
        distant.flow.set()
        client.send(Pull(ID))
        assert until(client, lambda message: isinstance(message, (Pulled, Refused)))[-1] == Pulled(ID)
    assert distant.starts[0] == 0 and distant.starts[-1] > 0


def test_a_server_that_is_gone_is_one_sentence(start_daemon: Callable[..., Any], distant: DistantModel) -> None:
    nobody = "http://127.0.0.1:9"  # a proxy that is not there
    nowhere = {"NO_PROXY": "", "no_proxy": "", "HTTP_PROXY": nobody, "http_proxy": nobody}
    daemon = start_daemon(**{**distant.environment, **nowhere})
    with connected(daemon) as client:
        client.send(Pull(ID))
        refused = until(client, lambda message: isinstance(message, (Pulled, Refused)))[-1]
        assert isinstance(refused, Refused) and refused.code == "model-unavailable"
        assert "cannot fetch tiny.pth from 127.0.0.1" in refused.message and refused.hint


def test_a_file_dropped_in_is_offered_and_one_removed_no_more(daemon: Any) -> None:
    with connected(daemon) as client:
        folder = daemon.home / "models"
        folder.mkdir(exist_ok=True)
        save(compact(), folder / "My model.pth")
        until(client, lambda message: isinstance(message, Welcome) and "own/My-model" in offered(client))
        assert upscaled(client, "own/My-model").width == 60
        command = [sys.executable, "-m", "samovar", "models", "remove", "own/My-model"]
        subprocess.run(command, env=daemon.environment, check=True, capture_output=True)
        until(client, lambda message: isinstance(message, Welcome) and "own/My-model" not in offered(client))
