"""Colorizers of our own, and the seed's SizeDecoder, trained with `samovar train` on CC0 pictures.

docs/colorize.md says on which, with which commands, how good they became, and where they fail.
"""

from __future__ import annotations

from pathlib import Path

import samovar
from samovar.card import OURS, ModelCard, WeightFile

_FOLDER = "weights/ours"


def _colorizer(subject: str, title: str, help: str) -> ModelCard:
    return ModelCard(
        id=f"samovar/{subject}-colour",
        title=title,
        help=help,
        operations=("colorize",),
        network="chroma_unet",
        weights={"": WeightFile(OURS, f"{_FOLDER}/{subject}-colour.safetensors", "")},
        scale=1,
        receptive_field=0,
        licence="MIT",
        source="docs/colorize.md",
        architecture="ChromaUNet",
        whole=True,
    )


_CARDS = (
    _colorizer(
        "art",
        "Drawings and line art (own)",
        "Colours illustration, manga and line art; follows strokes. Small and quick.",
    ),
    _colorizer(
        "photo",
        "Photos (own)",
        "Colours photographs of people, clothes and landscapes; follows strokes. Small and quick.",
    ),
    ModelCard(
        id="seed/sizedecoder",
        title="By 2, soft (SizeDecoder)",
        help="The U-Net this program began with. Soft: for comparison.",
        operations=("upscale",),
        network="sizedecoder",
        weights={"": WeightFile(OURS, f"{_FOLDER}/sizedecoder.safetensors", "")},
        scale=2,
        receptive_field=64,
        multiple=16,
        licence="MIT",
        source="docs/colorize.md",
        architecture="SizeDecoder",
        speed="medium",
    ),
)

CARDS = tuple(each for each in _CARDS if (Path(samovar.__file__).parent / each.weights[""].path).is_file())
"""Those that are trained by now."""
