"""The networks this program began with, trained anew with `samovar train` on CC0 pictures.

docs/colorize.md says on which, with which command, and how good it became.
"""

from __future__ import annotations

from samovar.card import ModelCard, own

CARDS = (
    ModelCard(
        id="seed/sizedecoder",
        title="By 2, soft (SizeDecoder)",
        help="The U-Net this program began with. Soft: for comparison.",
        operations=("upscale",),
        network="sizedecoder",
        weights=own("sizedecoder", "90ed473c1ad0dc2fe879249b89c317d8ad354e03e40189eae32b848a2b7e6bff"),
        scale=2,
        receptive_field=64,
        multiple=16,
        memory_mb=750,
        licence="MIT",
        source="docs/colorize.md",
        architecture="SizeDecoder",
        speed="medium",
    ),
)
