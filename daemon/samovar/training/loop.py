"""The training itself: steps, a mean of the weights over them, checkpoints, and going on where it was.

Nothing here knows what is trained: a `Task` has the network, makes a loss of a step's number, and says how good it is.
"""

from __future__ import annotations

import abc
import copy
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
LOOKS, FEW = 20, 8
"""Looks at what is held out, in a whole training; and how many pictures are looked at then."""


def some(held: Sequence[Any], few: bool) -> Sequence[Any]:
    """All that is held out, or a few of it, evenly."""
    return held[:: max(1, len(held) // FEW)][:FEW] if few else held


class TrainingError(Exception):
    """It cannot begin or go on. One sentence: why, and what to do."""


@dataclass(frozen=True)
class Settings:
    """All that decides a training, beside the pictures.

    rate : the highest learning rate; falls to 0 like a cosine, if `falls`
    decay : of weights, per step, in units of the rate
    patience : looks without getting better after which it ends, and the best of them is kept; 0 for never
    """

    steps: int
    batch: int
    rate: float
    seed: int = 0
    decay: float = 1e-4
    falls: bool = True
    patience: int = 0


@dataclass(frozen=True)
class Turn:
    """What a step does to one network.

    network : its name in the checkpoint, and itself
    loss : of the step with that number and a batch of that size, from pictures that the number decides
    """

    name: str
    network: nn.Module
    loss: Callable[[int, int], Tensor]


class Task(abc.ABC):
    """architecture : module of `samovar.networks`; options : of its `build`; about : what else decides it, to tell one
    training from another"""

    architecture: str
    options: Mapping[str, object] = {}
    about: dict[str, object]
    network: nn.Module
    averaged = True
    """Whether the mean of its weights over the steps is what comes of it, or the last ones."""
    wavers = False
    """Whether it gets worse again on its way, so that the best of all looks is kept, as with patience."""
    clip = CLIP
    betas = (0.9, 0.999)
    """Of Adam: how long it remembers gradients, and their squares."""
    device = torch.device("cpu")
    """Where networks are; a loss brings its pictures there."""

    @property
    def turns(self) -> Sequence[Turn]:
        """Of a step, in order; those of one network have one name."""
        return (Turn("network", self.network, self.loss),)

    @abc.abstractmethod
    def loss(self, step: int, batch: int) -> Tensor:
        """Of one step, from pictures that the step's number decides."""

    def ready(self, network: Any) -> None:  # noqa: B027 - most are what they were trained to be
        """Make the mean of the weights what is to be written, in place."""

    @abc.abstractmethod
    def look(self, network: Any, few: bool = False) -> dict[str, float]:
        """How good a network is on what was held out, by name; on a few of them, if it is to be quick."""

    @abc.abstractmethod
    def merit(self, found: dict[str, float]) -> float:
        """Of what `look` found the one to go by: larger is better."""

    @abc.abstractmethod
    def show(self, network: Any, path: Path) -> None:
        """Write a sheet of pictures to look at."""


class Training:
    """One training.

    out : the file of weights it makes; beside it lie its checkpoint and its sheet
    found, at : what the last look at what is held out found, and after how many steps
    kept : after how many steps the weights were as they are written
    trouble : a sentence about a checkpoint that could not be written; it goes on, and tries again
    """

    def __init__(self, task: Task, settings: Settings, out: Path, device: str = "cpu") -> None:
        self.task, self.settings, self.out = task, settings, out
        self.step = self.at = self.kept = 0
        self.seconds = 0.0
        self.loss = math.nan
        self.found: dict[str, float] = {}
        self.trouble = ""
        self._best = _Best()
        task.device = torch.device(device)
        self._networks = {turn.name: turn.network for turn in task.turns}
        for network in self._networks.values():
            network.to(device=task.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = copy.deepcopy(task.network).eval().requires_grad_(False)
        self._adams = {
            name: torch.optim.AdamW(
                network.parameters(), settings.rate, task.betas, weight_decay=settings.decay, fused=True
            )
            for name, network in self._networks.items()
        }
        self._low = task.device.type == "cuda" or has_bfloat16_units()

    @property
    def checkpoint(self) -> Path:
        return self.out.with_suffix(".checkpoint.safetensors")

    @property
    def sheet(self) -> Path:
        return self.out.with_suffix(".png")

    @property
    def ended_early(self) -> bool:
        """Whether it has not become better for too long."""
        return 0 < self.settings.patience <= self._best.looks_since

    def run(self, seconds: float, told: Callable[[Training], None] = lambda _: None) -> bool:
        """Go on until all steps are made, or it becomes no better, or for so long. told : called after each step.
        Returns whether it is done. Raises TrainingError if it cannot go on."""
        began = put_aside = time.monotonic()
        for network in self._networks.values():
            network.train()
        try:
            while self.step < self.settings.steps and not self.ended_early and time.monotonic() - began < seconds:
                before = time.monotonic()
                self._make()
                if self.step % max(1, self.settings.steps // LOOKS) == 0 and self.step < self.settings.steps:
                    self._look()
                self.seconds += time.monotonic() - before
                told(self)
                if time.monotonic() - put_aside > ASIDE_SECONDS:
                    self._put_aside()
                    put_aside = time.monotonic()
        finally:
            self.save()
        return self.step >= self.settings.steps or self.ended_early

    def _make(self) -> None:
        torch.manual_seed(self.settings.seed * SEEDS_APART + self.step)  # decides what dropout leaves out
        for turn in self.task.turns:
            adam = self._adams[turn.name]
            for group in adam.param_groups:
                group["lr"] = self._rate()
            for network in self._networks.values():
                network.requires_grad_(network is turn.network)
            with torch.autocast(self.task.device.type, torch.bfloat16, enabled=self._low):
                loss = turn.loss(self.step, self.settings.batch)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(turn.network.parameters(), self.task.clip)
            adam.step()
            if turn.network is self.task.network:
                self.loss = float(loss.detach())
        self.step += 1
        if not math.isfinite(self.loss):
            raise TrainingError(
                f"the loss is no number after {self.step} steps; lower --rate, and delete {self.checkpoint}"
            )
        old = min(MEMORY, self.step / (self.step + 10)) if self.task.averaged else 0.0
        with torch.no_grad():
            for mean, now in zip(self.mean.state_dict().values(), self.task.network.state_dict().values(), strict=True):
                mean.lerp_(now, 1 - old) if mean.is_floating_point() else mean.copy_(now)

    def _rate(self) -> float:
        settings = self.settings
        warm = min(WARM_UP, max(1, settings.steps // 10))
        rate = settings.rate * min(1.0, (self.step + 1) / warm)
        return rate * (0.5 + 0.5 * math.cos(math.pi * self.step / settings.steps)) if settings.falls else rate

    # --- how good it is ---------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """At what is held out, and remember the weights if they were never better."""
        network = self._ready()
        self.found, self.at = self.task.look(network, few=True), self.step
        if self.settings.patience or self.task.wavers:
            self._best.seen(self.task.merit(self.found), self.mean, self.step)

    def _ready(self) -> nn.Module:
        network = copy.deepcopy(self.mean)
        self.task.ready(network)
        return network

    def finish(self) -> dict[str, float]:
        """Write the weights, a sheet, and what is known of them; how good they are. Raises TrainingError if they cannot
        be written."""
        network, self.kept = self._ready(), self.step
        if self._best.weights and self._best.merit > self.task.merit(self.task.look(network, few=True)):
            self.mean.load_state_dict(self._best.weights)
            network, self.kept = self._ready(), self._best.step
        found = self.task.look(network)
        about = {
            "architecture": self.task.architecture,
            "options": json.dumps(self.task.options),
            "training": json.dumps(
                {
                    **json.loads(self._facts()),
                    "made": self.step,
                    "kept": self.kept,
                    "hours": round(self.seconds / 3600, 2),
                }
            ),
            "held_out": json.dumps({name: round(value, 4) for name, value in found.items()}),
        }
        _write({name: _short(each) for name, each in network.state_dict().items()}, self.out, about)
        self.task.show(network, self.sheet)
        return found

    # --- aside and back ---------------------------------------------------------------------------------------------

    def _facts(self) -> str:
        return json.dumps(
            {"architecture": self.task.architecture, **self.task.about, **dataclasses.asdict(self.settings)}
        )

    def _put_aside(self) -> None:
        try:
            self.save()
            self.trouble = ""
        except TrainingError as error:
            self.trouble = str(error)

    def save(self) -> None:
        """Put aside all that decides how it goes on. Raises TrainingError if that cannot be written; what was put aside
        before is still there then."""
        parts = {f"mean.{name}": each for name, each in self.mean.state_dict().items()}
        parts |= {f"best.{name}": each for name, each in self._best.weights.items()}
        for name, network in self._networks.items():
            parts |= {f"{name}.{key}": each for key, each in network.state_dict().items()}
            for index, state in self._adams[name].state_dict()["state"].items():
                parts |= {f"adam.{name}.{index}.{key}": each for key, each in state.items()}
        parts["made"] = torch.tensor(
            [self.step, self.seconds, self.loss, self._best.merit, self._best.looks_since, self._best.step],
            dtype=torch.float64,
        )
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
        self.mean.load_state_dict(_under(parts, "mean."))
        for name, network in self._networks.items():
            network.load_state_dict(_under(parts, f"{name}."))
            self._remember(name, _under(parts, f"adam.{name}."))
        step, self.seconds, self.loss, self._best.merit, looks, *best = parts["made"].tolist()
        self.step, self._best.looks_since = int(step), int(looks)
        self._best.step = int(best[0]) if best else self.step  # once it was not put aside
        self._best.weights = _under(parts, "best.")
        return True

    def _remember(self, name: str, parts: dict[str, Tensor]) -> None:
        """What the optimizer of a network knew."""
        state: dict[int, dict[str, Tensor]] = {}
        trained = list(self._networks[name].parameters())
        for key, each in parts.items():
            index, _, what = key.partition(".")
            if each.dim():  # laid out in memory as its weights are: the fused step goes by memory alone
                each = torch.empty_like(trained[int(index)]).copy_(each)
            state.setdefault(int(index), {})[what] = each
        adam = self._adams[name]
        adam.load_state_dict({**adam.state_dict(), "state": state})


@dataclass
class _Best:
    """The best of all looks so far."""

    merit: float = -math.inf
    step: int = 0
    looks_since: int = 0
    weights: dict[str, Tensor] = dataclasses.field(default_factory=dict)

    def seen(self, merit: float, mean: nn.Module, step: int) -> None:
        if merit > self.merit:
            self.merit, self.step, self.looks_since = merit, step, 0
            self.weights = {name: each.clone() for name, each in mean.state_dict().items()}
        else:
            self.looks_since += 1


def _under(parts: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in parts.items() if name.startswith(prefix)}


def _short(value: Tensor) -> Tensor:
    """Weights of convolutions in half of their bytes; what normalises, whole."""
    return (value.half() if value.is_floating_point() and value.dim() > 1 else value).contiguous()


def _write(parts: dict[str, Tensor], path: Path, about: dict[str, str]) -> None:
    """Whole or not at all. Raises TrainingError."""
    temporary = path.with_name(f"{path.name}.part")
    try:
        safetensors.torch.save_file(parts, temporary, about)
        os.replace(temporary, path)
    except (OSError, safetensors.SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"{path} cannot be written ({error}); make room, and give the same command again"
        ) from error
