"""Networks that `samovar train` made: their files say what they are."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Callable, Mapping
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
    "srvgg": Description("Compact", "srvgg", 2, 3, 1, 18, 0),
    "dcgan": Description("DCGAN", "dcgan", 1, 3, 1, 0, 0),
}
"""What stands in a file as its architecture, the module in `samovar.networks` -> what it is; its purpose is that
name."""

_MOST = 4096
"""Of a number among the options of a file: features, layers, pixels a side. Those that we train have a tenth of it."""


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
    count = sum(each.numel() for each in open_file(path).parameters())
    return dataclasses.replace(KINDS[name], parameters=count)


def open_file(path: Path) -> Network:
    """The network of a file that says what it is, with its weights. Raises ModelUnavailable if it is something else."""
    with safetensors.safe_open(path, "pt") as file:
        about = file.metadata() or {}
    kind = KINDS[about["architecture"]]
    try:
        options = json.loads(about.get("options", "{}"))
        weights = {key: each.to(torch.float32) for key, each in tensors.read(path).items()}
        build = importlib.import_module(f"samovar.networks.{kind.purpose}").build
        _check(build, options, weights)
        network: Network = build(**options)
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ModelUnavailable(
            f"{path.name} says that it is a {kind.architecture} and holds the weights of something else",
            "train it anew, with: samovar train",
        ) from error
    return network


def _check(build: Callable[..., Network], options: object, weights: Mapping[str, torch.Tensor]) -> None:
    """Raises ValueError where the options would make another network than the weights are of: two hundred bytes may ask
    for one of many gigabytes, and nothing of that is to be made."""
    if not isinstance(options, dict):
        raise ValueError("options that are no fields")
    if any(isinstance(each, (int, float)) and not 0 <= each <= _MOST for each in options.values()):
        raise ValueError(f"an option beyond {_MOST}")
    with torch.device("meta"):  # shapes without memory
        expected = build(**options).state_dict()
    if {name: each.shape for name, each in expected.items()} != {name: each.shape for name, each in weights.items()}:
        raise ValueError("weights of other shapes")
