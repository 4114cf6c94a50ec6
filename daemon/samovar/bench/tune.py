"""`samovar bench tune`: try the runtimes for each model anew, in the user's own folder, which remembers the outcome."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from samovar import card, networks, runtimes
from samovar.worker.trial import Finding, Trials
from samovar_link import discovery
from samovar_link.errors import BadRequest


@dataclass(frozen=True)
class Outcome:
    """What became of one runtime with one model; `chosen` says that it runs 8-bit layers from now on."""

    model: str
    variant: str
    finding: Finding
    chosen: bool

    def words(self) -> tuple[str, str, str, str]:
        """Model, runtime, milliseconds, and what there is to say."""
        found = self.finding
        time = "" if math.isinf(found.seconds) else f"{found.seconds * 1e3:.0f} ms"
        said = found.refused or ("chosen" if self.chosen else "")
        return f"{self.model} {self.variant}".strip(), found.runtime, time, said


def tune(models: Sequence[str] = ()) -> Iterator[Outcome]:
    """Measure the models asked for, all if none, in all their variants.

    Raises BadRequest for one that is unknown, or takes whole pictures and so has no choice of runtimes.

    A worker that runs keeps to what it has found; the next one does as is found here.
    """
    import torch

    catalogue = card.discover()
    trials = Trials(runtimes.discover(), discovery.home() / runtimes.TRIALS_FILE)
    chosen = [catalogue.get(model) for model in models] or [
        each for each in catalogue if each.tiled and not each.missing()
    ]
    for its in chosen:
        if not its.tiled:
            raise BadRequest.field("model", its.id, "models that work in tiles")
    for its in chosen:
        for variant in its.weights:
            with torch.inference_mode():
                findings = trials.measure(its, variant, lambda its=its, variant=variant: networks.load(its, variant))  # type: ignore[misc]
            able = [each for each in findings if not each.refused]
            fastest = min(able, key=lambda each: each.seconds)
            for finding in findings:
                yield Outcome(its.id, variant, finding, finding is fastest)
