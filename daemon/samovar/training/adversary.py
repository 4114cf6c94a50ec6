"""Training of generators of faces against a critic: what is in common for both networks of `samovar train faces`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from samovar.networks import GeneratorNetwork
from samovar.picture import PictureError
from samovar.training import likeness, pictures, sheet
from samovar.training.loop import Task, Turn
from samovar.training.pictures import Photo

LEAST = 16
"""Pictures to train on."""
MADE, KNOWN = 512, 2048
"""Pictures that are made, and that are compared with, at a look."""
_AT_ONCE = 32
ROWS, COLUMNS = 6, 12


class Adversary(Task):
    """photos : squares, all of them; styles are the folders they lie in"""

    network: GeneratorNetwork
    critic: nn.Module

    def __init__(self, photos: Sequence[Photo], side: int, seed: int) -> None:
        self._seed, self.side = seed, side
        ours, held = pictures.parted(photos)
        if len(ours) < LEAST:
            raise PictureError(
                f"{len(photos)} pictures of faces are too few to train on; give {2 * LEAST}, or thousands"
            )
        self.styles = tuple(sorted({style(photo) for photo in photos}))
        self._pixels = torch.stack([square(photo, side) for photo in ours])
        self._labels = torch.tensor([self.styles.index(style(photo)) for photo in ours])
        self._held = torch.stack([square(photo, side) for photo in held])
        self.about: dict[str, object] = {
            "size": side, "styles": list(self.styles), "pictures": len(ours), "held_out": len(held)
        }  # fmt: skip

    def true(self, step: int, batch: int) -> tuple[Tensor, Tensor]:
        """Pictures, -1..1, and their styles."""
        chance = pictures.generator(self._seed, step)
        chosen = torch.randint(len(self._pixels), (batch,), generator=chance)
        images = self._pixels[chosen].to(self.device).float() / 127.5 - 1
        return images, self._labels[chosen].to(self.device)

    def numbers(self, step: int, batch: int, turn: int) -> tuple[Tensor, Tensor]:
        """z (batch, latent) and styles, as often as they are among the pictures."""
        chance = pictures.generator(self._seed, step, turn)
        z = torch.cat([self.network.drawn(chance) for _ in range(batch)])
        styles = self._labels[torch.randint(len(self._labels), (batch,), generator=chance)]
        return z.to(self.device), styles.to(self.device)

    @property
    def turns(self) -> Sequence[Turn]:
        return (Turn("critic", self.critic, self.critic_loss), Turn("network", self.network, self.loss))

    def critic_loss(self, step: int, batch: int) -> Tensor:
        raise NotImplementedError

    @torch.no_grad()
    def look(self, network: Any, few: bool = False) -> dict[str, float]:
        """See `likeness`; of pictures as chance has them, untruncated."""
        made = self._made(network, range(MADE // 4 if few else MADE))
        known = likeness.stacked(list(self._pixels[:: max(1, len(self._pixels) // KNOWN)]))
        return likeness.figures(made, likeness.stacked(list(self._held)), known)

    def _made(self, network: GeneratorNetwork, seeds: Sequence[int], truncation: float = 1.0) -> Tensor:
        """Of the styles in turn, (N, 3, side, side), 0..1"""
        made = []
        for first in range(0, len(seeds), _AT_ONCE):
            places = [
                network.placed(
                    network.drawn(pictures.generator(seed)).to(self.device), seed % len(self.styles), truncation
                )
                for seed in seeds[first : first + _AT_ONCE]
            ]
            made.append(network.pictures(torch.cat(places)).float().cpu())
        return torch.cat(made)

    def merit(self, found: dict[str, float]) -> float:
        return -found["frechet"]

    @torch.no_grad()
    def show(self, network: Any, path: Path) -> None:
        """Rows of faces, a column for each style in turn."""
        made = torch.split(self._made(network, range(ROWS * COLUMNS)), 1)
        sheet.save([made[row * COLUMNS : (row + 1) * COLUMNS] for row in range(ROWS)], path)


def style(photo: Photo) -> str:
    """Of a picture, by the folder it lies in."""
    return photo.folders[-1] if photo.folders else ""


def square(photo: Photo, side: int) -> Tensor:
    """The middle of a picture, (3, side, side) uint8"""
    return pictures.centre(photo, side)[0].mul(255).add(0.5).to(torch.uint8)
