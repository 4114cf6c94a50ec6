"""Small networks of random weights, of architectures that spandrel knows, as files like those that users have."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

needs_spandrel = pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is None, reason="pip install 'samovar[models]'"
)


def architecture(module: str, name: str, **options: Any) -> nn.Module:
    from samovar.networks import foreign

    foreign._spandrel()
    torch.manual_seed(1)
    made: nn.Module = getattr(importlib.import_module(f"spandrel.architectures.{module}"), name)(**options)
    return made


def compact(scale: int = 2, channels: int = 3) -> nn.Module:
    options = {"num_in_ch": channels, "num_out_ch": channels, "num_feat": 16, "num_conv": 4, "upscale": scale}
    return architecture("Compact.__arch.SRVGG", "SRVGGNetCompact", **options)


def esrgan() -> nn.Module:
    return architecture("ESRGAN.__arch.RRDB", "RRDBNet", in_nc=3, out_nc=3, num_filters=16, num_blocks=2, scale=4)


def swinir() -> nn.Module:
    options = {"upscale": 2, "img_size": 64, "window_size": 8, "depths": [2, 2], "embed_dim": 24, "num_heads": [2, 2]}
    return architecture("SwinIR.__arch.SwinIR", "SwinIR", mlp_ratio=2, upsampler="pixelshuffledirect", **options)


def span() -> nn.Module:
    return architecture("SPAN.__arch.span", "SPAN", num_in_ch=3, num_out_ch=3, feature_channels=48, upscale=2)


def scunet() -> nn.Module:
    return architecture("SCUNet.__arch.SCUNet", "SCUNet", in_nc=3, config=[1] * 7, dim=64)


def mosr() -> nn.Module:
    return architecture("MoSR.__arch.mosr_arch", "MoSR", upscale=2, n_block=4, dim=32, upsampler="gps")


def plksr() -> nn.Module:
    return architecture("PLKSR.__arch.RealPLKSR", "RealPLKSR", dim=32, n_blocks=3, upscaling_factor=2, kernel_size=9)


def save(network: nn.Module, path: Path) -> Path:
    torch.save({"params_ema": network.state_dict()}, path)
    return path


MADE: dict[str, tuple[Callable[[], nn.Module], str, int]] = {
    "compact": (compact, "RealESRGAN Compact", 2), "esrgan": (esrgan, "ESRGAN", 4), "swinir": (swinir, "SwinIR", 2),
    "span": (span, "SPAN", 2), "scunet": (scunet, "SCUNet", 1), "mosr": (mosr, "MoSR", 2),
    "plksr": (plksr, "PLKSR", 2),
}  # fmt: skip
"""Name -> how it is made, what it is recognised as, its scale."""
