"""The filling that needs no weights: patches of the picture itself."""

from __future__ import annotations

from samovar.card import ModelCard

CARDS = (
    ModelCard(
        id="patchmatch",
        title="From the picture itself (PatchMatch)",
        help="Copies what fits from elsewhere in the picture: textures, walls, sky, drawings. Invents nothing.",
        operations=("inpaint",),
        network="",
        weights={},
        scale=1,
        receptive_field=0,
        licence="MIT",
        source="https://gfx.cs.princeton.edu/pubs/Barnes_2009_PAR/",
        speed="fast",
        architecture="PatchMatch",
    ),
)
