"""Training of a network that takes grain and paper out of pictures, of any strength up to a most.

A picture is its own teacher: chance lays Gaussian noise over it, or the roughness of paper, and the network finds that.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from samovar.networks import dncnn
from samovar.training import degradation, detail, huber, pictures, sheet
from samovar.training.loop import Task, some
from samovar.training.pictures import Photo
from samovar.training.upscale import HELD_SIDE, SHOWN, built, middle

MOST_SIGMA = 55.0
"""Of Gaussian noise, in 255ths; the least is none at all."""
SIGMAS = (10, 25, 50)
"""That it is measured at."""
PAPER_STRENGTH = 0.5
"""That it is measured at, of 0..1."""
PAPER = 1_000
"""In place of a sigma, for what chance draws."""
PAPER_SHARE = 0.25
"""Of pictures that get the roughness of paper instead."""


class Denoise(Task):
    architecture = "dncnn"

    def __init__(self, photos: Sequence[Photo], side: int, seed: int, start: Path | None = None) -> None:
        self._seed = seed
        self._seen = side + 2 * dncnn.CONTEXT
        self._photos, held = detail.parted(photos, self._seen)
        self._held = [middle(photo, HELD_SIDE) for photo in held]
        torch.manual_seed(seed)
        self.network = built(self.architecture, start)
        self.about: dict[str, object] = {
            "size": side, "pictures": len(self._photos), "held_out": len(held),
            "begun_with": "" if start is None else start.name,
        }  # fmt: skip

    def loss(self, step: int, batch: int) -> Tensor:
        seen, wanted = [], []
        cut = slice(dncnn.CONTEXT, -dncnn.CONTEXT)
        for index in range(batch):
            chance = pictures.generator(self._seed, step, index)
            clean = detail.drawn(self._photos, self._seen, chance)
            strength = float(torch.rand((), generator=chance))
            if torch.rand((), generator=chance) < PAPER_SHARE:
                seen.append(degradation.on_paper(clean, strength, chance).clamp(0, 1))
            else:
                seen.append(degradation.grained(clean, strength * MOST_SIGMA, chance).clamp(0, 1))
            wanted.append(clean[:, :, cut, cut])
        together = torch.cat(seen).to(self.device).contiguous(memory_format=torch.channels_last)
        return huber.loss(self.network(together).float(), torch.cat(wanted).to(self.device))

    @torch.no_grad()
    def look(self, network: Any, few: bool = False) -> dict[str, float]:
        """What it gains, in dB of all three colours, over the picture as it would be in a file: by sigma of its noise,
        and on rough paper."""
        told: dict[str, float] = {}
        for kind in (*SIGMAS, None):
            gains = []
            for index, each in some(list(enumerate(self._held)), few):
                noisy = self._paper(each, index) if kind is None else self._noisy(each, kind, index)
                gains.append(gain(cleaned(network, noisy, self.device), noisy, each))
            told["gain_on_paper" if kind is None else f"gain_at_{kind}"] = sum(gains) / len(gains)
        return told

    def _paper(self, clean: Tensor, index: int) -> Tensor:
        rough = degradation.on_paper(clean, PAPER_STRENGTH, pictures.generator(index, PAPER))
        return rough.clamp(0, 1).mul(255).round().div(255)

    def _noisy(self, clean: Tensor, sigma: float, index: int) -> Tensor:
        """To 8 bits, as in a file."""
        noisy = degradation.grained(clean, sigma, pictures.generator(index, int(sigma)))
        return noisy.clamp(0, 1).mul(255).round().div(255)

    def merit(self, found: dict[str, float]) -> float:
        return sum(found.values())

    @torch.no_grad()
    def show(self, network: Any, path: Path) -> None:
        """Rows of noisy, cleaned, truth."""
        chosen = list(enumerate(self._held))[:: max(1, len(self._held) // SHOWN)][:SHOWN]
        rows = []
        for index, each in chosen:
            noisy = self._noisy(each, 25, index)
            rows.append([noisy, cleaned(network, noisy, self.device), each])
        sheet.save(rows, path)


def gain(made: Tensor, noisy: Tensor, clean: Tensor) -> float:
    """By how many dB a picture is nearer to the clean one."""
    before, after = ((each - clean).square().mean().clamp(min=1e-10) for each in (noisy, made))
    return float(10 * torch.log10(before / after))


def cleaned(network: Any, noisy: Tensor, device: torch.device) -> Tensor:
    """A whole picture through the network. (1, 3, h, w), 0..1, both"""
    around: Tensor = functional.pad(noisy, [dncnn.CONTEXT] * 4, mode="replicate")
    made: Tensor = network(around.to(device).contiguous(memory_format=torch.channels_last))
    return made.clamp(0, 1).cpu()
