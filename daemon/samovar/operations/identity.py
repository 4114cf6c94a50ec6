"""`identity`: the pixels come back as they went. For measuring and testing the way to the worker and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from samovar.operation import operation, param

if TYPE_CHECKING:
    from samovar.worker.job import Job


@dataclass(frozen=True)
class Params:
    seconds: float = param(
        0.0, title="Seconds", help="How long to pretend to work", unit="s", minimum=0.0, maximum=600.0
    )


@operation("identity", title="Identity", params=Params, raw=True, hidden=True)
def identity(rasters: dict[str, Any], params: Params, job: Job) -> dict[str, Any]:
    """Give the pixels back as they came."""
    import time

    began = time.monotonic()
    while (passed := time.monotonic() - began - job.paused_seconds) < params.seconds:
        job.progress(passed / params.seconds, "waiting")
        time.sleep(min(0.02, params.seconds - passed))
    return rasters
