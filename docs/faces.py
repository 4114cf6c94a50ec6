"""The figures and the picture of docs/faces.md: `python docs/faces.py FACES.tar`, with what the models were trained on.

Both models draw with the same numbers, untruncated, and are seen at 64 pixels, so that they compare.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from samovar import card, networks
from samovar.networks import GeneratorNetwork
from samovar.training import adversary, likeness, pictures, sheet

MODELS = ("samovar/faces", "seed/dcgan")
LEFT_OUT = "drawn"
SIDE, MADE, KNOWN = 64, 1024, 2048
COLUMNS, CELL = 12, 96
OUT = Path(__file__).parent / "images" / "faces.jpg"


def drawn(network: GeneratorNetwork, seeds: Sequence[int], truncation: float) -> Tensor:
    """(N, 3, side, side), 0..1"""
    made = []
    for seed in seeds:
        z = network.drawn(torch.Generator().manual_seed(seed))
        made.append(network.pictures(network.placed(z, seed % len(network.styles), truncation)))
    return torch.cat(made)


def told(network: GeneratorNetwork, held: Tensor, known: Tensor) -> dict[str, float]:
    made = likeness.small(drawn(network, range(MADE), 1.0), SIDE)
    return likeness.figures(made, held, known)


def main(tar: Path) -> None:
    ours, held = pictures.parted([each for each in pictures.read([tar], 128) if LEFT_OUT not in each.folders])
    known = likeness.stacked([adversary.square(each, SIDE) for each in ours])
    unseen = likeness.stacked([adversary.square(each, SIDE) for each in held])
    few = known[:: max(1, len(known) // KNOWN)]
    rows: list[Sequence[Tensor]] = []
    for model, count in zip(MODELS, (4, 2), strict=True):
        network = networks.load(card.discover().get(model), "")
        assert isinstance(network, GeneratorNetwork)
        for name, value in told(network, unseen, few).items():
            print(f"{model} {name.replace('_', ' ')}: {value:.3f}")
        made = drawn(network, range(1, 1 + count * COLUMNS), 0.8)
        rows += torch.split(likeness.small(made, CELL), 1), ()
        if model == MODELS[0]:
            seeds = range(1, 1 + COLUMNS)
            some = drawn(network, seeds, 0.8)
            _, index = likeness.nearest(likeness.small(some, SIDE), known)
            true = likeness.stacked([adversary.square(ours[each], 128) for each in index.tolist()])
            pairs = torch.split(likeness.small(some, CELL), 1), torch.split(likeness.small(true, CELL), 1)
    cut = [row[at : at + COLUMNS] for row in rows for at in range(0, len(row), COLUMNS)] + [*pairs]
    sheet.save(cut, OUT)
    print(f"{OUT}: {MODELS[0]}, {MODELS[1]}, then {MODELS[0]} above what is nearest to each in the training")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
