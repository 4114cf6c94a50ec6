"""Model cards: everything the product knows about a model, as data.

A fact about a model is a field here, never an `if name ==` elsewhere. Importing this file imports no torch; `network`
names a module of `samovar.networks` that the worker imports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from samovar import submodules
from samovar_link.errors import BadRequest
from samovar_link.messages import ModelInfo

OURS = "samovar"


@dataclass(frozen=True)
class WeightFile:
    """One weight file: of an installed data package, or in Samovar's folder of models.

    distribution : name of the package as pip knows it; "" for the folder of models, OURS for what we trained ourselves
    path : inside the package's site-packages folder, inside the folder of models, or inside the package `samovar`, with
        "/"; for ncnn the `.bin`, beside which the `.param` lies
    sha256 : of the file at `path`, or its first digits, of a file that is fetched
    url : where it can be fetched; "" where nowhere
    size_bytes : of what is fetched; 0 where nobody told
    """

    distribution: str
    path: str
    sha256: str
    url: str = ""
    size_bytes: int = 0


def own(name: str, sha256: str) -> dict[str, WeightFile]:
    """The weights of a model that we trained ourselves, of which there is one file."""
    return {"": WeightFile(OURS, f"weights/ours/{name}.safetensors", sha256)}


@dataclass(frozen=True)
class ModelCard:
    """One model.

    network : module in `samovar.networks`, "" for a model that waits for its operation
    options, settings : keyword arguments of its `build`; those of a variant
    weights : variant -> file. Variant "" is the plain model, "noise0".."noise3" clean up as well
    scale : pixels out per pixel in, per axis
    receptive_field : input pixels of context that an output pixel needs on each side; a tile gets this much more; 0 for
        a whole one
    multiple : sides of the padded input must be a multiple of this
    whole : its network takes pictures uncut and in a way of its own, which only its operation knows; so there are no
        tiles of it, no trial of runtimes, no self-test
    speed : one of SPEEDS, on a processor
    commercial : whether what it makes may be sold, by its licence
    architecture : as its authors call it
    memory_mb : for each megapixel that a tile sees, at the peak, in float32; 0 where nobody measured
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
    speed: str = "fast"
    commercial: bool = True
    architecture: str = ""
    memory_mb: int = 0
    whole: bool = False
    settings: dict[str, dict[str, object]] = field(default_factory=dict)

    def info(self, missing: Sequence[WeightFile] | None = None) -> ModelInfo:
        """The card as it travels in `Welcome`.

        missing : files that would have to be fetched; None looks which they are
        """
        missing = self.missing() if missing is None else missing
        return ModelInfo(
            self.id, self.title, self.operations, self.help, self.scale, self.noise_levels, self.licence,
            available=not missing, download_bytes=sum(each.size_bytes for each in missing), speed=self.speed,
            commercial=self.commercial, source=self.source,
        )  # fmt: skip

    @property
    def tiled(self) -> bool:
        """Whether anybody can send a picture through it, tile by tile."""
        return bool(self.network) and not self.whole

    @property
    def embedded(self) -> bool:
        """Whether it came with the installation."""
        return all(each.distribution for each in self.weights.values())

    def missing(self) -> list[WeightFile]:
        """Files that would have to be fetched first. Those of packages came with the installation."""
        from samovar.weights import store

        return [each for each in self.to_fetch() if not store.has(each)]

    def to_fetch(self) -> list[WeightFile]:
        """Files that do not come with an installation."""
        return [each for each in self.weights.values() if not each.distribution]


SPEEDS = ("fast", "medium", "slow", "very slow")


class Catalogue:
    """Cards by id. A value: tests make their own.

    more : gives cards that come and go, those of the user's own files; asked each time
    """

    def __init__(self, cards: Iterable[ModelCard], more: Callable[[], Iterable[ModelCard]] = tuple) -> None:
        self._fixed = {card.id: card for card in cards}
        self._more = more

    @property
    def _cards(self) -> dict[str, ModelCard]:
        return {**self._fixed, **{card.id: card for card in self._more()}}

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(self._cards.values())

    def get(self, id: str) -> ModelCard:
        """Raises BadRequest for an unknown id."""
        cards = self._cards
        if id not in cards:
            raise BadRequest.field("model", id, ", ".join(sorted(cards)))
        return cards[id]

    def ids(self, operation: str) -> list[str]:
        """Models that an operation may use."""
        return [card.id for card in self if operation in card.operations]


def discover() -> Catalogue:
    """Every `ModelCard` listed as `CARDS` in the modules of `samovar.models`, and those of the user's own files."""
    from samovar.weights import store

    modules = submodules.load("samovar.models")
    return Catalogue((card for module in modules for card in module.CARDS), store.own_cards)
