"""Does a model do here what it did where its card was written? Shown on one known picture, on the plain runtime.

The picture is that of the trial; what must come of it is kept in `models/answers.json` as an *answer*: means and
standard deviations of 4x4 parts, in levels of 255. That is enough to notice other weights, a library that computes
something else, or a broken processor, and little enough to be kept for every file of weights. A model without an
answer, a file of the user's own, passes with any picture that is one.

As a program: `python -m samovar.worker.selftest [--write] [MODEL...]` prints a JSON object for each set of weights.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from samovar import card, models, networks, runtimes
from samovar.card import ModelCard
from samovar.checkup import Outcome
from samovar.worker.image import Image
from samovar_link.errors import ModelUnavailable, RemoteError

GRID = 4
TOLERANCE = 2
"""Levels of 255 by which a part may differ: all processors round, and add in an order of their own."""
ANSWERS = Path(models.__file__).with_name("answers.json")


def answer(result: Image) -> list[int]:
    """(1, C, h, w) -> means of the parts, then their standard deviations, 0..255, channel by channel."""
    parts = [part for band in result.clamp(0, 1).tensor_split(GRID, 2) for part in band.tensor_split(GRID, 3)]
    numbers = torch.stack([torch.stack([part.mean((0, 2, 3)), part.std((0, 2, 3))]) for part in parts], -1)
    return [round(float(number) * 255) for number in numbers.flatten()]


def check(its: ModelCard, variant: str, result: Image) -> int | None:
    """Compare what the plain runtime made of the known picture with the answer; the difference in levels.

    Raises ModelUnavailable if it is larger than TOLERANCE.
    """
    expected = answers().get(its.id, {}).get(variant)
    if expected is None:
        return None
    levels = max(abs(here - there) for here, there in zip(answer(result), expected, strict=True))
    if levels > TOLERANCE:
        raise ModelUnavailable(
            f"{its.id} {variant}".strip() + f" fails its self-test here: {levels} of 255 levels from what it should "
            f"make of a known picture, at most {TOLERANCE} allowed",
            "see: samovar models verify; if the files are sound, torch computes wrongly here: samovar doctor",
        )
    return levels


@functools.cache
def answers() -> dict[str, dict[str, list[int]]]:
    """Model -> variant -> answer."""
    found: dict[str, dict[str, list[int]]] = json.loads(ANSWERS.read_text(encoding="utf-8"))
    return found


def result_of(its: ModelCard, variant: str) -> Tensor:
    """What the plain runtime makes of the known picture. Raises RemoteError."""
    from samovar.worker.trial import KnownPicture

    network = networks.load(its, variant)
    plain = next(each for each in runtimes.discover() if each.id == runtimes.PLAIN)
    return KnownPicture.of(network).through(plain.prepare(network), its)


def run(models: Sequence[str] = ()) -> Iterator[Outcome]:
    """Test the models asked for, all that are here if none; nothing can be said of those that are not tiled.

    Raises BadRequest for an unknown one.
    """
    catalogue = card.discover()
    for each in [catalogue.get(model) for model in models] or [each for each in catalogue if not each.missing()]:
        if not each.tiled:
            continue
        for variant in each.weights:
            began = time.perf_counter()
            try:
                with torch.inference_mode():
                    levels = check(each, variant, result_of(each, variant))
            except RemoteError as error:
                yield Outcome(each.id, variant, time.perf_counter() - began, fault=str(error))
            except Exception as error:  # whatever a foreign network raises is a finding
                yield Outcome(each.id, variant, time.perf_counter() - began, fault=f"{type(error).__name__}: {error}")
            else:
                yield Outcome(each.id, variant, time.perf_counter() - began, levels)


def write() -> None:
    """Make the answers anew, of all models that came with the installation, with what they do here."""
    found: dict[str, dict[str, list[int]]] = {}
    with torch.inference_mode():
        for each in card.discover():
            if each.embedded and each.tiled:
                found[each.id] = {variant: answer(result_of(each, variant)) for variant in each.weights}
    lines = ",\n".join(
        f" {json.dumps(model)}: {{\n"
        + ",\n".join(f"  {json.dumps(variant)}: {json.dumps(numbers)}" for variant, numbers in variants.items())
        + "\n }"
        for model, variants in found.items()
    )
    ANSWERS.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        for outcome in run(sys.argv[1:]):
            print(json.dumps(asdict(outcome)), flush=True)
