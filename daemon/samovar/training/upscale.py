"""Training of networks that make a picture twice as large, and clean it of JPEG on the way if that is wanted.

A picture is its own teacher: it is made half as large by a filter that chance draws, packed as JPEG if noise is to go,
and the network makes it large again. With a share of clean pictures among those, so that detail stays.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import Network, srcnn
from samovar.training import degradation, detail, huber, pictures, sheet
from samovar.training.loop import Task, some
from samovar.training.pictures import Photo

CONTEXTS = {"upconv7": 7, "srcnn": srcnn.CONTEXT, "srvgg": 18}
"""Pixels around a part that each network sees, by architecture: of the small picture."""
OPTIONS: dict[str, dict[str, object]] = {"srvgg": {"features": 48, "depth": 16, "scale": 2}}
"""Of how a network is built: of Compact's a width that two cores train in an hour."""
MARGIN = 8
"""Pixels at the border of a large part that are thrown away after it was made smaller."""
NOISY_SHARE = {0: 0.65, 1: 0.65, 2: 0.65, 3: 1.0}
"""Of parts that are packed at all, by level of noise."""
HELD_SIDE = 192
"""Of the middles of what is held out."""
SHOWN = 6


class Upscale(Task):
    """architecture : one of CONTEXTS; level : of noise, -1 for none; side : of what the network makes in a step"""

    def __init__(
        self, photos: Sequence[Photo], architecture: str, level: int, side: int, seed: int, start: Path | None = None
    ) -> None:
        self.architecture, self._level, self._seed = architecture, level, seed
        self._context = CONTEXTS[architecture]
        self._seen = side // 2 + 2 * self._context
        self._side = 2 * self._seen + 2 * MARGIN
        self._photos, held = detail.parted(photos, self._side)
        self._held = [middle(photo, HELD_SIDE) for photo in held]
        torch.manual_seed(seed)
        self.options = OPTIONS.get(architecture, {})
        self.network = built(architecture, start, self.options)
        self.about: dict[str, object] = {
            "noise": level, "size": side,
            "pictures": len(self._photos), "held_out": len(held), "begun_with": "" if start is None else start.name,
        }  # fmt: skip

    def loss(self, step: int, batch: int) -> Tensor:
        seen, wanted = [], []
        for index in range(batch):
            chance = pictures.generator(self._seed, step, index)
            large = detail.drawn(self._photos, self._side, chance)
            small = degradation.drawn_smaller(large, self.architecture, chance)[:, :, MARGIN // 2 : -MARGIN // 2,
                                                                                MARGIN // 2 : -MARGIN // 2]  # fmt: skip
            seen.append(self._noisy(small, chance))
            cut = slice(MARGIN + 2 * self._context, -MARGIN - 2 * self._context)
            wanted.append(large[:, :, cut, cut])
        together = torch.cat(seen).to(self.device).contiguous(memory_format=torch.channels_last)
        return huber.loss(self.network(together).float(), torch.cat(wanted).to(self.device))

    def _noisy(self, small: Tensor, chance: torch.Generator) -> Tensor:
        if self._level < 0 or torch.rand((), generator=chance) >= NOISY_SHARE[self._level]:
            return small
        return degradation.drawn_packed(small[0], min(self._level, 2), chance).unsqueeze(0)

    @torch.no_grad()
    def look(self, network: Any, few: bool = False) -> dict[str, float]:
        """PSNR of what is held out, made smaller by the filter that others are measured with, beside bicubic."""
        told: dict[str, float] = {}
        held = some(list(enumerate(self._held)), few)
        for name, way in (("psnr", lambda small: self._enlarged(network, small)), ("bicubic_psnr", bicubic)):
            found = [huber.psnr(way(self._small(each, index)), each) for index, each in held]
            told[name] = sum(found) / len(found)
        return told

    def _small(self, large: Tensor, index: int) -> Tensor:
        small = degradation.smaller(large, "catrom")
        if self._level < 0:
            return small
        return degradation.drawn_packed(small[0], min(self._level, 2), pictures.generator(index)).unsqueeze(0)

    def _enlarged(self, network: Any, small: Tensor) -> Tensor:
        around: Tensor = functional.pad(small, [self._context] * 4, mode="replicate")
        made: Tensor = network(around.to(self.device).contiguous(memory_format=torch.channels_last))
        return made.clamp(0, 1).cpu()

    def merit(self, found: dict[str, float]) -> float:
        return found["psnr"]

    @torch.no_grad()
    def show(self, network: Any, path: Path) -> None:
        """Rows of bicubic, ours, truth."""
        chosen = list(enumerate(self._held))[:: max(1, len(self._held) // SHOWN)][:SHOWN]
        rows = []
        for index, each in chosen:
            small = self._small(each, index)
            rows.append([bicubic(small), self._enlarged(network, small), each])
        sheet.save(rows, path)


def built(architecture: str, start: Path | None, options: Mapping[str, object] = MappingProxyType({})) -> Network:
    """A new network, or one that goes on from weights. Raises TrainingError for those of another."""
    from samovar.training.loop import TrainingError
    from samovar.weights import tensors

    module = importlib.import_module(f"samovar.networks.{architecture}")
    network: Network = module.build(**options)
    if start is None:
        begin(network)
        return network
    try:
        network.load_state_dict({name: each.float() for name, each in tensors.read(start).items()})
    except RuntimeError as error:
        raise TrainingError(f"{start} holds no weights of {architecture}") from error
    return network


def begin(network: nn.Module) -> None:
    """Weights by chance, so that pictures keep their strength from layer to layer; of the last layer, whose answer is
    added to the picture or is it, a tenth of that.

    Source: nagadomi, waifu2x, lib/srcnn.lua: normal, of a variance of 4 over 1.01 times the sum of inputs and outputs.
    """
    layers = [each for each in network.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))]
    for each in layers:
        inputs, outputs = (each.weight.shape[axis] * each.weight[0, 0].numel() for axis in (1, 0))
        nn.init.normal_(each.weight, std=math.sqrt(4 / (1.01 * (inputs + outputs))))
        assert each.bias is not None
        nn.init.zeros_(each.bias)
    with torch.no_grad():
        layers[-1].weight.mul_(0.1)


def bicubic(small: Tensor) -> Tensor:
    return functional.interpolate(small, scale_factor=2.0, mode="bicubic").clamp(0, 1)


def middle(photo: Photo, side: int) -> Tensor:
    """The middle of a picture, of even sides, not scaled: (1, 3, h, w), 0..1"""
    height, width = (min(side, each) // 2 * 2 for each in photo.pixels.shape[-2:])
    top, left = ((length - part) // 2 for length, part in zip(photo.pixels.shape[-2:], (height, width), strict=True))
    return photo.pixels[None, :, top : top + height, left : left + width].float() / 255
