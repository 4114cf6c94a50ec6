"""The training itself: steps, a mean of the weights over them, checkpoints, and going on where it was.

Nothing here knows what is trained: a `Task` has the network, makes a loss of a step's number, and says how good it is.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from samovar.runtimes.eager import has_bfloat16_units

WARM_UP = 200
"""Steps in which the rate rises, at most a tenth of all."""
MEMORY = 0.999
"""Of the mean of the weights, from step to step."""
ASIDE_SECONDS = 120.0
SEEDS_APART = 1_000_003
"""Times the seed, plus a step's number, is the step's own seed: where a training was broken off does not matter."""
CLIP = 1.0
"""Largest norm of a gradient."""


class TrainingError(Exception):
    """It cannot begin or go on. One sentence: why, and what to do."""


@dataclass(frozen=True)
class Settings:
    """All that decides a training, beside the pictures.

    rate : the highest learning rate; falls to 0 like a cosine, if `falls`
    decay : of weights, per step, in units of the rate
    """

    steps: int
    batch: int
    rate: float
    seed: int = 0
    decay: float = 1e-4
    falls: bool = True


class Task(Protocol):
    """architecture : module of `samovar.networks`; about : what else decides it, to tell one training from another"""

    architecture: str
    about: dict[str, object]

    @property
    def network(self) -> nn.Module: ...

    def loss(self, step: int, batch: int) -> Tensor:
        """Of one step, from pictures that the step's number decides."""

    def ready(self, network: Any) -> None:
        """Make the mean of the weights what is to be written, in place."""

    def look(self, network: Any) -> dict[str, float]:
        """How good a network is on what was held out, by name."""

    def show(self, network: Any, path: Path) -> None:
        """Write a sheet of pictures to look at."""


class Training:
    """One training. out : the file of weights it makes; beside it lie its checkpoint and its sheet"""

    def __init__(self, task: Task, settings: Settings, out: Path) -> None:
        self.task, self.settings, self.out = task, settings, out
        self.step = 0
        self.seconds = 0.0
        self.loss = math.nan
        task.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(task.network).eval().requires_grad_(False)
        self._adam = torch.optim.AdamW(
            task.network.parameters(), settings.rate, weight_decay=settings.decay, fused=True
        )  # fmt: skip
        self._low = has_bfloat16_units()

    @property
    def checkpoint(self) -> Path:
        return self.out.with_suffix(".checkpoint.safetensors")

    @property
    def sheet(self) -> Path:
        return self.out.with_suffix(".png")

    def run(self, seconds: float, told: Callable[[Training], None] = lambda _: None) -> bool:
        """Go on until all steps are made, or for so long. told : called after each step. Returns whether it is done."""
        began = put_aside = time.monotonic()
        self.task.network.train()
        try:
            while self.step < self.settings.steps and time.monotonic() - began < seconds:
                before = time.monotonic()
                self._make()
                self.seconds += time.monotonic() - before
                told(self)
                if time.monotonic() - put_aside > ASIDE_SECONDS:
                    self.save()
                    put_aside = time.monotonic()
        finally:
            self.save()
        return self.step >= self.settings.steps

    def _make(self) -> None:
        for group in self._adam.param_groups:
            group["lr"] = self._rate()
        torch.manual_seed(self.settings.seed * SEEDS_APART + self.step)  # decides what dropout leaves out
        with torch.autocast("cpu", torch.bfloat16, enabled=self._low):
            loss = self.task.loss(self.step, self.settings.batch)
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.task.network.parameters(), CLIP)
        self._adam.step()
        self.step += 1
        self.loss = float(loss.detach())
        if not math.isfinite(self.loss):
            raise TrainingError(
                f"the loss is no number after {self.step} steps; lower --rate, and delete {self.checkpoint}"
            )
        old = min(MEMORY, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, now in zip(self.mean.state_dict().values(), self.task.network.state_dict().values(), strict=True):
                mean.lerp_(now, 1 - old) if mean.is_floating_point() else mean.copy_(now)

    def _rate(self) -> float:
        settings = self.settings
        warm = min(WARM_UP, max(1, settings.steps // 10))
        rate = settings.rate * min(1.0, (self.step + 1) / warm)
        return rate * (0.5 + 0.5 * math.cos(math.pi * self.step / settings.steps)) if settings.falls else rate

    # --- aside and back ---------------------------------------------------------------------------------------------

    def _facts(self) -> str:
        return json.dumps(
            {"architecture": self.task.architecture, **self.task.about, **dataclasses.asdict(self.settings)}
        )

    def save(self) -> None:
        """Put aside all that decides how it goes on."""
        parts = {f"network.{name}": each for name, each in self.task.network.state_dict().items()}
        parts |= {f"mean.{name}": each for name, each in self.mean.state_dict().items()}
        for index, state in self._adam.state_dict()["state"].items():
            parts |= {f"adam.{index}.{name}": each for name, each in state.items()}
        parts["made"] = torch.tensor([self.step, self.seconds, self.loss], dtype=torch.float64)
        _write({name: each.contiguous() for name, each in parts.items()}, self.checkpoint, {"facts": self._facts()})

    def resume(self) -> bool:
        """Go on from the checkpoint; False if there is none. Raises TrainingError for one of another training."""
        if not self.checkpoint.is_file():
            return False
        try:
            with safetensors.safe_open(self.checkpoint, "pt") as file:
                facts = (file.metadata() or {}).get("facts")
                parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError) as error:
            raise TrainingError(f"{self.checkpoint} cannot be read ({error}); delete it to begin anew") from error
        if facts != self._facts():
            raise TrainingError(
                f"{self.checkpoint} is of a training with other settings; give those, or delete it to begin anew"
            )
        self.task.network.load_state_dict(_under(parts, "network."))
        self.mean.load_state_dict(_under(parts, "mean."))
        state: dict[int, dict[str, Tensor]] = {}
        trained = list(self.task.network.parameters())
        for name, each in _under(parts, "adam.").items():
            index, _, what = name.partition(".")
            if each.dim():  # laid out in memory as its weights are: the fused step goes by memory alone
                each = torch.empty_like(trained[int(index)]).copy_(each)
            state.setdefault(int(index), {})[what] = each
        self._adam.load_state_dict({**self._adam.state_dict(), "state": state})
        step, self.seconds, self.loss = (float(each) for each in parts["made"])
        self.step = int(step)
        return True

    def finish(self) -> dict[str, float]:
        """Write the weights, a sheet, and what is known of them; how good they are."""
        network = copy.deepcopy(self.mean)
        self.task.ready(network)
        found = self.task.look(network)
        self.task.show(network, self.sheet)
        about = {
            "architecture": self.task.architecture,
            "training": json.dumps(
                {**json.loads(self._facts()), "made": self.step, "hours": round(self.seconds / 3600, 2)}
            ),
            "held_out": json.dumps({name: round(value, 4) for name, value in found.items()}),
        }
        _write({name: _short(each) for name, each in network.state_dict().items()}, self.out, about)
        return found


def _under(parts: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in parts.items() if name.startswith(prefix)}


def _short(value: Tensor) -> Tensor:
    """Weights of convolutions in half of their bytes; what normalises, whole."""
    return (value.half() if value.is_floating_point() and value.dim() > 1 else value).contiguous()


def _write(parts: dict[str, Tensor], path: Path, about: dict[str, str]) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f"{path.name}.part")
    safetensors.torch.save_file(parts, temporary, about)
    os.replace(temporary, path)
