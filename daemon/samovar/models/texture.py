"""Ways to know a texture that need no weights. The published one, by what VGG-19 answers, has to be fetched."""

from __future__ import annotations

from samovar.card import ModelCard

PATCHES, FILTERS = "Texture optimization", "Random filters"
"""Architectures: by patches alone, and by filters that chance draws."""


def _card(id: str, title: str, help: str, source: str, architecture: str, speed: str) -> ModelCard:
    return ModelCard(
        id=id, title=title, help=help, operations=("texture",), network="", weights={}, scale=1, receptive_field=0,
        licence="MIT", source=source, architecture=architecture, speed=speed,
    )  # fmt: skip


CARDS = (
    _card(
        "texture/random",
        "Patches, then random filters",
        "Woven from the sample, then what filters answer to it is made to agree: crisp, seams mended.",
        "https://arxiv.org/abs/1606.00021",
        FILTERS,
        "medium",
    ),
    _card(
        "texture/patches",
        "Patches of the sample",
        "Woven from patches of the sample: at once, and best for bricks and the like.",
        "https://faculty.cc.gatech.edu/~turk/my_papers/texture_opt.pdf",
        PATCHES,
        "fast",
    ),
)
