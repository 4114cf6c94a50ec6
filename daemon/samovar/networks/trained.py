"""Networks that `samovar train` made: their files say what they are."""

from __future__ import annotations

import importlib
from pathlib import Path

import safetensors
import torch

from samovar.networks import Network
from samovar.networks.foreign import Description
from samovar.weights import tensors
from samovar_link.errors import ModelUnavailable

KINDS = {
    "chroma_unet": Description("ChromaUNet", "chroma_unet", 1, 3, 16, 0, 0),
    "sizedecoder": Description("SizeDecoder", "sizedecoder", 2, 3, 16, 64, 0),
    "upconv7": Description("UpConv7", "upconv7", 2, 3, 1, 7, 0),
    "srcnn": Description("SRCNN", "srcnn", 2, 3, 1, 8, 0),
    "dncnn": Description("DnCNN", "dncnn", 1, 3, 1, 12, 0),
}
"""What stands in a file as its architecture, the module in `samovar.networks` -> what it is; its purpose is that
name."""


def describe(path: Path) -> Description | None:
    """None for a file that says nothing of that kind. Raises ModelUnavailable for one that says it and is something
    else."""
    if path.suffix.lower() != ".safetensors":
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            name = (file.metadata() or {}).get("architecture", "")
    except (OSError, safetensors.SafetensorError):
        return None  # whoever reads it next says what is wrong with it
    if name not in KINDS:
        return None
    found = tensors.read(path)
    network: Network = importlib.import_module(f"samovar.networks.{name}").build()
    try:
        network.load_state_dict({key: each.to(torch.float32) for key, each in found.items()})
    except RuntimeError as error:
        raise ModelUnavailable(
            f"{path.name} says that it is a {KINDS[name].architecture} and holds the weights of something else",
            "train it anew, with: samovar train",
        ) from error
    kind = KINDS[name]
    count = sum(each.numel() for each in network.parameters())
    return Description(kind.architecture, kind.purpose, kind.scale, kind.channels, kind.multiple, kind.context, count)
