"""Colorizers of our own, trained with `samovar train` on CC0 pictures.

docs/colorize.md says on which, with which commands, how good they became, and where they fail.
"""

from __future__ import annotations

from samovar.card import ModelCard, own


def _colorizer(subject: str, title: str, help: str, sha256: str) -> ModelCard:
    return ModelCard(
        id=f"samovar/{subject}-colour",
        title=title,
        help=help,
        operations=("colorize",),
        network="chroma_unet",
        weights=own(f"{subject}-colour", sha256),
        scale=1,
        receptive_field=0,
        licence="MIT",
        source="docs/colorize.md",
        architecture="ChromaUNet",
        whole=True,
    )


CARDS = (
    _colorizer(
        "art",
        "Drawings and line art (own)",
        "Colours illustration, manga and line art; follows strokes. Small and quick.",
        "e9623d18708b4f2fd8b39d313da97079639ad6bfa221f4c2b754397f7989c38b",
    ),
    _colorizer(
        "photo",
        "Photos (own)",
        "Colours photographs of people, clothes and landscapes; follows strokes. Small and quick.",
        "52bbe3a232c847775f97d45dd5d4f23b96a4b6a34b736d986e89d4abd7bfb4ff",
    ),
)
