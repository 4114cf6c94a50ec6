"""Training of the colorizer: lightness, and sometimes strokes, in; the classes of the true colours out.

Source: soft classes and their rebalancing as in Zhang, Isola, Efros, ECCV 2016, arXiv:1603.08511, section 2.2. Other
than there: a colour belongs to the four cells around it, by distance along both axes, so that the mean of the true
classes is the true colour; weights go with the square root, which is between their two.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.chroma import lab
from samovar.chroma.pyramid import doubled, halved
from samovar.chroma.strokes import Strokes
from samovar.networks import chroma_unet
from samovar.training import lines, pictures, score, sheet, strokes
from samovar.training.loop import Task, some
from samovar.training.pictures import Photo

LEAST_CHROMA = 4.0
"""Mean chroma of a picture from where on it can teach colour."""
LEAST_PART = 0.35
"""Of a picture's shorter side, in a crop."""
UNIFORM = 0.5
"""Of the distribution of colours that weights are reckoned by, what is alike for all."""
BALANCE = 0.5
"""1: every colour counts as much as any other; 0: each as often as it is."""
UNDONE = 0.3
"""Of what balancing does to how likely colours are: it is undone so far in what is written. Rare colours are learned by
it, but all of it would draw them too often."""
STROKES = 10
"""In what is looked at."""
SHOWN = 12
PRIOR_SIDE = 32


@dataclass(frozen=True)
class Known:
    """What was held out, ready to be looked at. lightness : (1, 1, s, s); chroma : (1, 2, s, s), the truth
    strokes : STROKES of them
    """

    lightness: Tensor
    chroma: Tensor
    strokes: Strokes


class Colorize(Task):
    """side : of what the network sees, a multiple of 16; line_art : share of pictures seen as lines alone"""

    architecture = "chroma_unet"

    def __init__(
        self, photos: Sequence[Photo], side: int, line_art: float, seed: int, start: Path | None = None
    ) -> None:
        self._photos, held = pictures.parted([photo for photo in photos if _colourful(photo)])
        self._side, self._line_art, self._seed = side, line_art, seed
        self._known = [_known(photo, side, pictures.generator(7, index)) for index, photo in enumerate(held)]
        torch.manual_seed(seed)
        self.network: nn.Module = chroma_unet.ChromaUNet()
        if start is not None:
            from samovar.weights import tensors

            found = tensors.read(start)
            self.network.load_state_dict(
                {name: each.float() if each.is_floating_point() else each for name, each in found.items()}
            )
        self._weights = _weights(self._photos)
        self.about: dict[str, object] = {
            "pictures": len(self._photos), "held_out": len(held), "side": side, "line_art": line_art,
            "start": "" if start is None else start.name,
        }  # fmt: skip

    def loss(self, step: int, batch: int) -> Tensor:
        lightness, hints, masks, true = [], [], [], []
        for index in range(batch):
            chance = pictures.generator(self._seed, step, index)
            photo = self._photos[int(torch.randint(len(self._photos), (), generator=chance))]
            level, chroma = lab.of(pictures.crop(photo, self._side, LEAST_PART, chance))
            hint, mask = strokes.drawn(chroma, strokes.number(chance), chance)
            lightness.append(self._varied(level, chance))
            hints.append(hint)
            masks.append(mask)
            true.append(halved(chroma))
        network = self.network
        assert isinstance(network, chroma_unet.ChromaUNet)
        logits = network.logits(*(torch.cat(each).to(self.device) for each in (lightness, hints, masks)))
        return cross_entropy(logits.float().cpu(), torch.cat(true), self._weights)

    def _varied(self, lightness: Tensor, chance: torch.Generator) -> Tensor:
        """As other scans, cameras and draughtsmen would have it."""
        draw = torch.rand(5, generator=chance)
        if draw[0] < self._line_art:
            return lines.art(lightness, chance)
        level = 100 * (lightness.clamp(0, 100) / 100) ** torch.exp((draw[1] - 0.5) * 0.8)
        level = level + (1 - level / 100) * 20 * (draw[2] - 0.7).clamp(min=0) / 0.3  # faded blacks
        if draw[3] < 0.3:
            level = level + torch.randn(level.shape, generator=chance) * 4 * draw[4]
        return level.clamp(0, 100)

    @torch.no_grad()
    def ready(self, network: Any) -> None:
        """See `Task`: takes a part of the balancing back, which is a constant for each colour."""
        network.head.bias -= UNDONE * self._weights.log().to(self.device)

    def look(self, network: Any, few: bool = False) -> dict[str, float]:
        """Of what is held out: error and PSNR of ab, with and without strokes, and those of no colour and of the mean
        colour of what is trained on; colourfulness, too."""
        known = some(self._known, few)
        true = [each.chroma for each in known]
        mean = torch.stack([_small(each)[1].mean((2, 3)) for each in self._photos]).mean(0)
        ways = {
            "": self._made(network, known, False),
            "strokes_": self._made(network, known, True),
            "gray_": [torch.zeros_like(each) for each in true],
            "mean_": [mean[..., None, None].expand_as(each) for each in true],
            "true_": true,
        }
        found: dict[str, float] = {}
        for name, made in ways.items():
            images = [self._image(each, chroma) for each, chroma in zip(known, made, strict=True)]
            result = score.score(made, true, images)
            if name != "true_":
                found |= {f"{name}error": result.error, f"{name}psnr": result.psnr}
            found[f"{name}colourfulness"] = result.colourfulness
        return found

    @torch.no_grad()
    def _made(self, network: nn.Module, known: Sequence[Known], led: bool) -> list[Tensor]:
        """What `colorize` makes of each."""
        made = []
        for each in known:
            small = halved(each.lightness)
            chroma = doubled(self._asked(network, each.lightness), small, each.lightness)
            if led:
                reach = each.strokes.reach(each.lightness, (False, False))
                coarse = self._asked(network, each.lightness, each.strokes.chroma, each.strokes.covered)
                chroma = torch.lerp(chroma, doubled(coarse, small, each.lightness), reach.heard)
                chroma = torch.lerp(chroma, reach.chroma, reach.share)
            made.append(chroma)
        return made

    def _asked(self, network: nn.Module, *planes: Tensor) -> Tensor:
        made: Tensor = network(*(each.to(self.device) for each in planes))
        return made.cpu()

    @staticmethod
    def _image(known: Known, chroma: Tensor) -> Tensor:
        return lab.image(lab.light_of(known.lightness), chroma)

    def merit(self, found: dict[str, float]) -> float:
        return found["psnr"]

    def show(self, network: Any, path: Path) -> None:
        """Rows of gray, ours, ours with strokes, truth."""
        chosen = self._known[:: max(1, len(self._known) // SHOWN)][:SHOWN]
        made = zip(chosen, *(self._made(network, chosen, led) for led in (False, True)), strict=True)
        rows = [
            [self._image(each, chroma) for chroma in (torch.zeros_like(alone), alone, led, each.chroma)]
            for each, alone, led in made
        ]
        sheet.save([a + b for a, b in zip(rows[::2], rows[1::2], strict=False)] or rows, path)


def _colourful(photo: Photo) -> bool:
    _, chroma = _small(photo)
    return float(chroma.square().sum(1).sqrt().mean()) > LEAST_CHROMA


def _small(photo: Photo) -> tuple[Tensor, Tensor]:
    """All of a picture, a few pixels of it: lightness and chroma."""
    return lab.of(pictures.sized(photo.pixels[None].float() / 255, PRIOR_SIDE))


def _known(photo: Photo, side: int, chance: torch.Generator) -> Known:
    lightness, chroma = lab.of(pictures.centre(photo, side))
    hint, mask = strokes.drawn(chroma, STROKES, chance)
    return Known(lightness, chroma, Strokes(lightness * mask, hint, mask))


def _weights(photos: Sequence[Photo]) -> Tensor:
    """Of each class, by how rare it is; 1 in the mean over all pixels. (K,)"""
    counts = torch.zeros(len(chroma_unet.colours()))
    for photo in photos:
        _, chroma = _small(photo)
        classes, shares = soft_classes(chroma)
        counts.index_add_(0, classes.flatten(), shares.flatten())
    often = counts / counts.sum()
    weights = ((1 - UNIFORM) * often + UNIFORM / len(often)) ** -BALANCE
    return weights / (weights * often).sum()


@functools.cache
def _lattice() -> tuple[Tensor, int]:
    """Class of each cell of a square of ab around 0, (n, n), cells without a colour that of the nearest with one; and
    how many cells there are on each side of 0."""
    colours = chroma_unet.colours() / chroma_unet.CELL
    reach = int(colours.abs().max()) + 1
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32)
    cells = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), -1)
    return torch.cdist(cells.reshape(-1, 2), colours).argmin(1).view(len(steps), len(steps)), reach


def soft_classes(chroma: Tensor) -> tuple[Tensor, Tensor]:
    """The four cells around each colour, and how much it belongs to each. (N, 2, h, w) -> (N, 4, h, w) twice"""
    lattice, reach = _lattice()
    at = (chroma / chroma_unet.CELL).clamp(-reach, reach - 1e-3)
    low = at.floor()
    part = at - low
    row, column = (low + reach).long().unbind(1)
    down, right = part.unbind(1)
    classes = torch.stack([lattice[row + i, column + j] for i in (0, 1) for j in (0, 1)], 1)
    shares = torch.stack([(down if i else 1 - down) * (right if j else 1 - right) for i in (0, 1) for j in (0, 1)], 1)
    return classes, shares


def cross_entropy(logits: Tensor, chroma: Tensor, weights: Tensor) -> Tensor:
    """logits : (N, K, h, w); chroma : (N, 2, h, w), the truth; weights : (K,)"""
    classes, shares = soft_classes(chroma)
    likely = functional.log_softmax(logits, 1).gather(1, classes)
    weight = (weights[classes] * shares).sum(1)
    return -((likely * shares).sum(1) * weight).mean()
