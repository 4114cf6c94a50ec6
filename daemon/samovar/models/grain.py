"""Our own network against grain and the roughness of paper, trained with `samovar train denoise` on CC0 pictures.

docs/training.md says with which command, and how good it became.
"""

from __future__ import annotations

from samovar.card import ModelCard, own

CARDS = (
    ModelCard(
        id="samovar/grain-clean",
        title="Grain and paper, any strength (own)",
        help="Grain of any strength, and the roughness of paper, in photos and drawings. No noise level. Small.",
        operations=("denoise",),
        network="dncnn",
        weights=own("grain-clean", "240ee92295bfbe4b3390bcf365dc6ff83702037343e31ec264fe0b7ab19fba1d"),
        scale=1,
        receptive_field=12,
        licence="MIT",
        source="docs/training.md",
        architecture="DnCNN",
        speed="fast",
        memory_mb=900,
    ),
)
