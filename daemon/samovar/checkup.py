"""The models' self-tests, in a process of their own: torch may be what is broken, and then only that process ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from samovar import surroundings

PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Outcome:
    """Of one set of weights, as `worker.selftest` tells it.

    model : "" where the tests themselves broke off
    levels : the largest difference from what the model should give, of 255; None where none is kept
    fault : what is wrong, "" for nothing
    """

    model: str
    variant: str = ""
    seconds: float = 0.0
    levels: int | None = None
    fault: str = ""


def selftests(models: Sequence[str] = ()) -> Iterator[Outcome]:
    """Run the self-tests of models, of all that are here if none; one outcome after the other, as they come."""
    command = [sys.executable, "-m", "samovar.worker.selftest", *models]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=surroundings.FOLDER, env=surroundings.environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        try:
            for line in process.stdout:
                yield Outcome(**json.loads(line))
            words = process.stderr.read().strip().splitlines()
            status = process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
    if status:
        why = words[-1] if words else f"exit status {status}"
        yield Outcome("", fault=f"the self-tests broke off: {why}")
