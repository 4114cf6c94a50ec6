"""Models that can be fetched: `samovar models pull`. Each with its size and sha256, so that nothing else gets its name.

Those that enlarge or clean are run as the user's own files are (see `networks.foreign`); those that take whole pictures
have a network each.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from samovar.card import ModelCard, WeightFile

GRIDS = {
    "Compact": (1, 32), "ESRGAN": (4, 32), "SPAN": (1, 32), "SwinIR": (16, 32), "SCUNet": (64, 64), "MoSR": (64, 64),
    "PLKSR": (64, 64),
}  # fmt: skip
"""Architecture, by spandrel's id -> (pitch of the grid that the network sees, context around a tile), in pixels; the
context is a multiple of the pitch."""
WHOLE = {
    "DDColor": ("ddcolor", 1),
    "LaMa": ("lama", 8),
    "MI-GAN": ("onnx_pipeline", 1),
    "siggraph17": ("siggraph17", 8),
    "VGG-19": ("vgg19", 1),
}
"""Architecture that takes whole pictures -> (its network, what their sides must be multiples of)."""


@dataclass(frozen=True)
class _Entry:
    """One line of the catalogue. sha256 : of the file at `url`, or how it begins; size_bytes : 0 where nobody told"""

    id: str
    title: str
    help: str
    operation: str
    architecture: str
    scale: int
    speed: str
    licence: str
    source: str
    url: str
    size_bytes: int
    sha256: str
    commercial: bool = True

    def card(self) -> ModelCard:
        whole = self.architecture not in GRIDS
        if whole:
            network, multiple = WHOLE.get(self.architecture, ("", 1))
            context = 0
        else:
            network, (multiple, context) = "foreign", GRIDS[self.architecture]
        name = PurePosixPath(self.url).name
        return ModelCard(
            id=self.id,
            title=self.title,
            help=self.help,
            operations=(self.operation,),
            network=network,
            weights={"": WeightFile("", f"{self.id}/{name}", self.sha256, self.url, self.size_bytes)},
            scale=self.scale,
            receptive_field=context,
            multiple=multiple,
            licence=self.licence,
            source=self.source,
            speed=self.speed,
            architecture=self.architecture,
            whole=whole,
            commercial=self.commercial,
        )


_REALESRGAN = "https://github.com/xinntao/Real-ESRGAN"
_PHHOFM = "https://github.com/Phhofm/models"

_ENTRIES = (
    _Entry(
        "realesrgan/photo-x2", "Photos, by 2 (Real-ESRGAN)", "Damaged photographs made twice as large: invents.",
        "upscale", "ESRGAN", 2, "very slow", "BSD-3-Clause", _REALESRGAN,
        f"{_REALESRGAN}/releases/download/v0.2.1/RealESRGAN_x2plus.pth",
        67061725, "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
    ),
    _Entry(
        "realesr/general-x4", "Photos, quick (Real-ESRGAN general)", "Photographs with a little noise: crisp.",
        "upscale", "Compact", 4, "medium", "BSD-3-Clause", _REALESRGAN,
        f"{_REALESRGAN}/releases/download/v0.2.5.0/realesr-general-x4v3.pth",
        4885111, "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
    ),
    _Entry(
        "realesr/general-clean-x4", "Noisy photos, quick (Real-ESRGAN general)",
        "Photographs with much noise, which goes; fine texture goes with it.",
        "upscale", "Compact", 4, "medium", "BSD-3-Clause", _REALESRGAN,
        f"{_REALESRGAN}/releases/download/v0.2.5.0/realesr-general-wdn-x4v3.pth",
        4885111, "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
    ),
    _Entry(
        "swinir/photo-x4", "Photos, natural (SwinIR)", "Photographs of any history: invents less.",
        "upscale", "SwinIR", 4, "very slow", "Apache-2.0", "https://github.com/JingyunLiang/SwinIR",
        "https://github.com/JingyunLiang/SwinIR/releases/download/v0.0/003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_GAN.pth",
        67129861, "b9afb61e65e04eb7f8aba5095d070bbe9af28df76acd0c9405aeb33b814bcfc6",
    ),
    _Entry(
        "span/anime-x2", "Anime, modern and quick (SPAN)", "Modern drawings and frames: quick, keeps soft lines soft.",
        "upscale", "SPAN", 2, "medium", "MIT", "https://github.com/TNTwise/Models",
        "https://github.com/TNTwise/Models/releases/download/2x_ModernSpanimationV1/2x_ModernSpanimationV1.pth",
        15830922, "bc6ca08ab1eeb9884a5c43c025eda97a5aa9ccfaa567734f426aedf55cf78327",
    ),
    _Entry(
        "compact/anime-x2", "Anime, quick (Compact Futsuu)", "Drawings and frames: the quickest that redraws lines.",
        "upscale", "Compact", 2, "fast", "WTFPL", "https://openmodeldb.info/models/2x-Futsuu-Anime",
        "https://objectstorage.us-phoenix-1.oraclecloud.com/n/ax6ygfvpvzka/b/open-modeldb-files/o/2x-Futsuu-Anime.pth",
        4838409, "5ed232c71599b01911e045c0246530fcfe5b2e0791242ff7d3964f97d74f8df0",
    ),
    _Entry(
        "esrgan/manga-x4", "Manga (ESRGAN Manga109)", "Screentone and ink. Look up the terms of its data set.",
        "upscale", "ESRGAN", 4, "very slow", "CC-BY-4.0", "https://openmodeldb.info/models/4x-Manga109Attempt",
        "https://objectstorage.us-phoenix-1.oraclecloud.com/n/ax6ygfvpvzka/b/open-modeldb-files/o/4x-Manga109Attempt.pth",
        66946549, "fa4ef999435d9dda0e68c855bbddf1fa54dcc8fe207b05c5867193446f59ac4c",
    ),
    _Entry(
        "mosr/photo-x4", "Photos, good sources (MoSR Nomos2)", "Photographs that are small but not damaged.",
        "upscale", "MoSR", 4, "slow", "CC-BY-4.0", _PHHOFM,
        f"{_PHHOFM}/releases/download/4xNomos2_hq_mosr/4xNomos2_hq_mosr.pth",
        17213494, "c60dbfc7e6f7d27e03517d1bec3f3cbd16e8cd4288eefd1358952f73f8497ddc",
    ),
    _Entry(
        "plksr/photo-x4", "Photos, detailed (RealPLKSR Nomos2)", "Photographs with slight damage: much detail.",
        "upscale", "PLKSR", 4, "slow", "CC-BY-4.0", _PHHOFM,
        f"{_PHHOFM}/releases/download/4xNomos2_realplksr_dysample/4xNomos2_realplksr_dysample.pth",
        29715988, "96c8476ed2c42107628d10562b32ae89e7be3c2f7a53d29504823e9bafe8121d",
    ),
    _Entry(
        "plksr/video-clean", "Video stills (RealPLKSR DeH264)", "Blocks and smear of H.264 video.",
        "denoise", "PLKSR", 1, "slow", "CC-BY-4.0", _PHHOFM,
        f"{_PHHOFM}/releases/download/1xDeH264_realplksr/1xDeH264_realplksr.safetensors",
        29486580, "91f054af6308e37b81c261ecf775a58be5fa1d37a816709db5d0fea6fceb24b8",
    ),
    _Entry(
        "scunet/photo-clean", "Photos with grain (SCUNet)", "Sensor noise of photographs, which waifu2x leaves alone.",
        "denoise", "SCUNet", 1, "very slow", "Apache-2.0", "https://github.com/cszn/SCUNet",
        "https://github.com/cszn/KAIR/releases/download/v1.0/scunet_color_real_psnr.pth",
        71982841, "fa78899ba2caec9d235a900e91d96c689da71c42029230c2028b00f09f809c2e",
    ),
)  # fmt: skip

_SANSTER = "https://github.com/Sanster/models/releases/download"

_FILLING = (
    _Entry(
        "lama/photo-fill", "Photos, large holes (big LaMa)", "Fills what was selected from what is around it.",
        "inpaint", "LaMa", 1, "slow", "Apache-2.0", "https://github.com/advimman/lama",
        f"{_SANSTER}/add_big_lama/big-lama.pt",
        205669692, "344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9",
    ),
    _Entry(
        "lama/manga-fill", "Manga and anime (LaMa)", "Fills what was selected in drawings: ink, tone, flat colour.",
        "inpaint", "LaMa", 1, "slow", "not stated", "https://github.com/Sanster/models",
        f"{_SANSTER}/AnimeMangaInpainting/anime-manga-big-lama.pt",
        205717870, "479d3afdcb7ed2fd944ed4ebcc39ca45b33491f0f2e43eb1000bd623cfb41823",
        commercial=False,
    ),
    _Entry(
        "migan/photo-fill", "Photos, quick (MI-GAN)", "Fills what was selected: small and quick.",
        "inpaint", "MI-GAN", 1, "fast", "MIT", "https://github.com/Picsart-AI-Research/MI-GAN",
        "https://huggingface.co/andraniksargsyan/migan/resolve/main/migan_pipeline_v2.onnx",
        28079181, "6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b",
    ),
)  # fmt: skip

_COLOURING = (
    _Entry(
        "ddcolor/photo-colour", "Photos, vivid (DDColor tiny)", "Colours gray photographs.",
        "colorize", "DDColor", 1, "slow", "Apache-2.0", "https://github.com/piddnad/DDColor",
        "https://huggingface.co/piddnad/ddcolor_paper_tiny/resolve/main/pytorch_model.bin",
        0, "8a1277bc90a1bfbb6d2d83933a9a6bc821931879ca93e26e4fcec12165d41fce",
    ),
    _Entry(
        "siggraph17/photo-colour", "Photos, led by strokes (siggraph17)", "Colours gray photographs, as strokes say.",
        "colorize", "siggraph17", 1, "medium", "BSD-2-Clause", "https://github.com/richzhang/colorization",
        "https://colorizers.s3.us-east-2.amazonaws.com/siggraph17-df00044c.pth",
        136787426, "df00044c0a4d7c3edcecf6f75437ce346a66e7a42612d9b968e1a7e17dbc6f66",
    ),
)  # fmt: skip

_TEXTURE = (
    _Entry(
        "vgg19/features", "Features of photographs (VGG-19)",
        "Knows a texture by what a network trained on photographs sees, as Gatys published it: for a graphics card.",
        "texture", "VGG-19", 1, "slow", "BSD-3-Clause", "https://github.com/pytorch/vision",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        0, "dcbb9e9d",
    ),
)  # fmt: skip

CARDS = tuple(each.card() for each in (*_ENTRIES, *_FILLING, *_COLOURING, *_TEXTURE))
