"""The loop of a training: when it ends early, which weights it keeps, and a disk that is full under it."""

from __future__ import annotations

import json
import math
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from samovar.training import loop
from samovar.training.loop import Settings, Task, Training, TrainingError


class Slope(Task):
    """One number that goes up by itself; how good it is is told by a list."""

    architecture = "slope"

    def __init__(self, merits: list[float]) -> None:
        self.network = nn.Linear(1, 1)
        self.about: dict[str, object] = {}
        self.merits, self.looks = merits, 0

    def loss(self, step: int, batch: int) -> Tensor:
        return -self.network.bias.sum()

    def look(self, network: Any, few: bool = False) -> dict[str, float]:
        self.looks += few
        return {"merit": self.merits[min(self.looks, len(self.merits)) - 1]}

    def merit(self, found: dict[str, float]) -> float:
        return found["merit"]

    def show(self, network: Any, path: Path) -> None:
        path.write_bytes(b"sheet")


def training(out: Path, merits: list[float], steps: int = 200, patience: int = 3) -> Training:
    torch.manual_seed(0)
    return Training(Slope(merits), Settings(steps, 1, 0.1, decay=0, falls=False, patience=patience), out)


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """No file can become larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, heard)


def test_it_ends_when_it_became_no_better_for_long_enough_and_keeps_the_best(tmp_path: Path) -> None:
    made = training(tmp_path / "x.safetensors", [1, 5, 3, 4, 2])
    kept: list[float] = []

    def told(each: Training) -> None:
        if each.at == each.step == 20:
            kept.append(float(each.mean.bias))

    assert made.run(60, told) and made.ended_early
    assert made.step == 50, "looks after each tenth step, the second was the best, and three after it were not"
    assert made.finish() and made.kept == 20
    assert float(safetensors.torch.load_file(made.out)["bias"]) == pytest.approx(kept[0], abs=1e-3)
    facts = json.loads(safetensors.safe_open(made.out, "pt").metadata()["training"])
    assert (facts["made"], facts["kept"]) == (50, 20)


def test_without_patience_it_goes_on(tmp_path: Path) -> None:
    made = training(tmp_path / "x.safetensors", [5, 1], patience=0)
    assert made.run(60) and made.step == 200 and not made.ended_early


def test_without_patience_the_best_is_kept_of_what_gets_worse_again_on_its_way(tmp_path: Path) -> None:
    last = {}
    for wavers in (True, False):
        made = training(tmp_path / f"{wavers}.safetensors", [1, 5, 3, 4, 2], patience=0)
        made.task.wavers = wavers
        assert made.run(60) and made.step == 200
        last[wavers] = float(made.mean.bias)
        made.finish()
    kept = {each: float(safetensors.torch.load_file(tmp_path / f"{each}.safetensors")["bias"]) for each in last}
    assert kept[False] == pytest.approx(last[False], abs=1e-2) and kept[True] < 0.2 * last[True]


def test_the_last_weights_are_kept_if_they_are_the_best(tmp_path: Path) -> None:
    made = training(tmp_path / "x.safetensors", [1, 2, 3, 4, 5], steps=60, patience=30)
    assert made.run(60)
    last = float(made.mean.bias)
    made.finish()
    assert float(safetensors.torch.load_file(made.out)["bias"]) == pytest.approx(last, abs=1e-3)


def test_patience_and_the_best_survive_an_interruption(tmp_path: Path) -> None:
    first = training(tmp_path / "x.safetensors", [1, 5, 3])

    def stop(each: Training) -> None:
        if each.step == 35:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(60, stop)
    again = training(tmp_path / "x.safetensors", [4, 2])
    assert again.resume() and again.run(60) and again.ended_early and again.step == 50
    assert again._best.merit == 5 and again.finish() and again.kept == 20


def test_a_checkpoint_from_before_it_told_the_step_of_the_best_is_gone_on_from(tmp_path: Path) -> None:
    made = training(tmp_path / "x.safetensors", [1], steps=5, patience=0)
    assert made.run(60)
    with safetensors.safe_open(made.checkpoint, "pt") as file:
        facts = file.metadata()
    parts = safetensors.torch.load_file(made.checkpoint)
    safetensors.torch.save_file({**parts, "made": parts["made"][:5].clone()}, made.checkpoint, facts)
    again = training(tmp_path / "x.safetensors", [1], steps=5, patience=0)
    assert again.resume() and again.step == 5 and again.finish() and again.kept == 5


def test_a_full_disk_at_a_checkpoint_is_told_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "ASIDE_SECONDS", 0.0)
    made = training(tmp_path / "x.safetensors", [1], patience=0)
    troubles: list[str] = []

    def told(each: Training) -> None:
        troubles.append(each.trouble)
        if each.step == 5:
            raise KeyboardInterrupt

    made.settings = Settings(200, 1, 0.1, decay=0, falls=False)
    with pytest.raises(KeyboardInterrupt):
        made.run(60, told)
    whole = made.checkpoint.read_bytes()
    with full_disk(100), pytest.raises(TrainingError, match="make room"):
        made.run(0.5, lambda each: troubles.append(each.trouble))
    assert made.step > 6, "it went on, and tried again"
    assert not troubles[0] and "x.checkpoint.safetensors cannot be written" in troubles[-1]
    assert made.checkpoint.read_bytes() == whole and [each.name for each in tmp_path.iterdir()] == [
        made.checkpoint.name
    ]
    again = training(tmp_path / "x.safetensors", [1], patience=0)
    assert again.resume() and again.step == 5
    made.run(0.01, lambda each: troubles.append(each.trouble))
    assert again.resume() and again.step > 6, "with room again it is put aside again"


def test_weights_that_cannot_be_written_are_told(tmp_path: Path) -> None:
    made = training(tmp_path / "x.safetensors", [1], steps=2, patience=0)
    assert made.run(60)
    with full_disk(100), pytest.raises(TrainingError, match="x.safetensors cannot be written"):
        made.finish()
    assert made.finish() and json.loads(safetensors.safe_open(made.out, "pt").metadata()["training"])["made"] == 2


def test_what_is_no_number_is_not_the_best(tmp_path: Path) -> None:
    made = training(tmp_path / "x.safetensors", [math.nan, 1, 0, 0, 0], patience=3)
    assert made.run(60) and made.step == 50 and made._best.merit == 1
