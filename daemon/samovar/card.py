"""Model cards: everything the product knows about a model, as data.

A fact about a model is a field here, never an `if name ==` elsewhere. Importing this file imports no torch; `network`
names a module of `samovar.networks` that the worker imports.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from samovar_link.errors import BadRequest
from samovar_link.messages import ModelInfo


@dataclass(frozen=True)
class WeightFile:
    """One weight file of an installed data package.

    distribution : name of the package as pip knows it
    path : inside its site-packages folder, with "/"; for ncnn the `.bin`, beside which the `.param` lies
    sha256 : of the file at `path`
    """

    distribution: str
    path: str
    sha256: str


@dataclass(frozen=True)
class ModelCard:
    """One model.

    network : module in `samovar.networks`; options : keyword arguments of its `build`
    weights : variant -> file. Variant "" is the plain model, "noise0".."noise3" clean up as well
    scale : pixels out per pixel in, per axis
    receptive_field : input pixels of context that an output pixel needs on each side; a tile gets this much more
    multiple : sides of the padded input must be a multiple of this
    """

    id: str
    title: str
    operations: tuple[str, ...]
    network: str
    weights: dict[str, WeightFile]
    scale: int
    receptive_field: int
    licence: str
    source: str
    help: str = ""
    multiple: int = 1
    noise_levels: tuple[int, ...] = ()
    options: dict[str, object] = field(default_factory=dict)

    def info(self) -> ModelInfo:
        """The card as it travels in `Welcome`."""
        return ModelInfo(self.id, self.title, self.operations, self.help, self.scale, self.noise_levels, self.licence)


class Catalogue:
    """Cards by id. A value: tests make their own."""

    def __init__(self, cards: Iterable[ModelCard]) -> None:
        self._cards = {card.id: card for card in cards}

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(self._cards.values())

    def get(self, id: str) -> ModelCard:
        """Raises BadRequest for an unknown id."""
        if id not in self._cards:
            raise BadRequest.field("model", id, ", ".join(sorted(self._cards)))
        return self._cards[id]

    def ids(self, operation: str) -> list[str]:
        """Models that an operation may use."""
        return [card.id for card in self if operation in card.operations]


def discover() -> Catalogue:
    """Every `ModelCard` listed as `CARDS` in the modules of `samovar.models`."""
    package = importlib.import_module("samovar.models")
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return Catalogue(card for module in modules for card in module.CARDS)
