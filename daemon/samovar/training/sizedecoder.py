"""Training of SizeDecoder as in its seed: a picture of 128x128 from its own 2x2 means, mean squared error, Adam.

Other than in the listing, which has one epoch and a data set that is private: as many steps as asked for, on any
pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from samovar.chroma.pyramid import halved
from samovar.networks import sizedecoder
from samovar.training import pictures, sheet
from samovar.training.loop import Task, some
from samovar.training.pictures import Photo

SIDE = 128
JITTER = 0.05
"""Of brightness, contrast, saturation and hue."""
LEAST_PART = 0.7
SHOWN = 12


class SizeDecoder(Task):
    architecture = "sizedecoder"
    network: sizedecoder.SizeDecoder

    def __init__(self, photos: Sequence[Photo], seed: int) -> None:
        self._photos, held = pictures.parted(photos)
        self._held = [pictures.centre(photo, SIDE) for photo in held]
        self._seed = seed
        torch.manual_seed(seed)
        self.network = sizedecoder.SizeDecoder()
        self.about: dict[str, object] = {"pictures": len(self._photos), "held_out": len(held)}

    def loss(self, step: int, batch: int) -> Tensor:
        images = []
        for index in range(batch):
            chance = pictures.generator(self._seed, step, index)
            photo = self._photos[int(torch.randint(len(self._photos), (), generator=chance))]
            images.append(jittered(pictures.crop(photo, SIDE, LEAST_PART, chance), chance))
        large = torch.cat(images).to(self.device)
        made: Tensor = self.network.enlarged(halved(large))
        return functional.mse_loss(2 * made.float() - 1, 2 * large - 1)

    @torch.no_grad()
    def look(self, network: Any, few: bool = False) -> dict[str, float]:
        """PSNR of what is held out, beside that of bilinear enlarging."""
        held = some(self._held, few)
        ours = [float(((self._made(network, each) - each) ** 2).mean()) for each in held]
        plain = [float(((_plain(each) - each) ** 2).mean()) for each in held]
        return {
            name: sum(-10 * torch.log10(torch.tensor(max(each, 1e-10))).item() for each in errors) / len(errors)
            for name, errors in (("psnr", ours), ("bilinear_psnr", plain))
        }

    def _made(self, network: Any, large: Tensor) -> Tensor:
        made: Tensor = network.enlarged(halved(large.to(self.device)))
        return made.cpu()

    def merit(self, found: dict[str, float]) -> float:
        return found["psnr"]

    @torch.no_grad()
    def show(self, network: Any, path: Path) -> None:
        """Rows of bilinear, ours, truth."""
        chosen = self._held[:: max(1, len(self._held) // SHOWN)][:SHOWN]
        rows = [[_plain(each), self._made(network, each), each] for each in chosen]
        sheet.save([a + b for a, b in zip(rows[::2], rows[1::2], strict=False)] or rows, path)


def _plain(large: Tensor) -> Tensor:
    return functional.interpolate(halved(large), scale_factor=2.0, mode="bilinear", align_corners=False)


def jittered(image: Tensor, chance: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and hue a little otherwise. (1, 3, h, w), 0..1, both"""
    bright, contrast, saturation, hue = (1 + JITTER * (2 * torch.rand(4, generator=chance) - 1)).tolist()
    image = image * bright
    image = (image - image.mean()) * contrast + image.mean()
    gray = image.mean(1, keepdim=True)
    turn = torch.tensor((hue - 1) * 2 * torch.pi)
    away = image - gray
    axis = torch.stack((away[:, 1] - away[:, 2], away[:, 2] - away[:, 0], away[:, 0] - away[:, 1]), 1) / 3**0.5
    turned: Tensor = (gray + saturation * (away * torch.cos(turn) + axis * torch.sin(turn))).clamp(0, 1)
    return turned
