"""Colorizers of our own, and the seed's SizeDecoder, trained with `samovar train` on CC0 pictures.

docs/colorize.md says on which, with which commands, how good they became, and where they fail.
"""

from __future__ import annotations

from pathlib import Path

import samovar
from samovar.card import OURS, ModelCard, WeightFile

_FOLDER = "weights/ours"

_CARDS = (
    ModelCard(
        id="samovar/art-colour",
        title="Drawings and line art (own)",
        help="Colours illustration, manga and line art; follows strokes. Small and quick.",
        operations=("colorize",),
        network="chroma_unet",
        weights={"": WeightFile(OURS, f"{_FOLDER}/art-colour.safetensors", "")},
        scale=1,
        receptive_field=0,
        licence="MIT",
        source="docs/colorize.md",
        architecture="ChromaUNet",
        whole=True,
    ),
    ModelCard(
        id="samovar/photo-colour",
        title="Photos (own)",
        help="Colours photographs of people, clothes and landscapes; follows strokes. Small and quick.",
        operations=("colorize",),
        network="chroma_unet",
        weights={"": WeightFile(OURS, f"{_FOLDER}/photo-colour.safetensors", "")},
        scale=1,
        receptive_field=0,
        licence="MIT",
        source="docs/colorize.md",
        architecture="ChromaUNet",
        whole=True,
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
