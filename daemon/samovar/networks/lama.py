"""LaMa: fills holes of any shape with what a network with Fourier convolutions expects there.

A file of the catalogue is TorchScript, a program, and is opened only after its sha256 was found to be the card's. A
file of the user's own holds weights, which spandrel recognises.

Source: Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022, arXiv:2109.07161
(github.com/advimman/lama, Apache-2.0): picture 0..1 with its holes blacked out, mask 1 in a hole, sides that are
multiples of 8.
"""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.networks import HoleNetwork, Network, foreign
from samovar_link.errors import ModelUnavailable

MULTIPLE = 8
LEAST_SIDE = 16
"""Pixels that the network can halve and mirror as often as it does."""


class LaMa(HoleNetwork):
    """model : (image (1, 3, h, w), mask (1, 1, h, w)) -> (1, 3, h, w)"""

    working_side = 512

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        height, width = image.shape[2:]
        sides = [max(LEAST_SIDE, -(-side // MULTIPLE) * MULTIPLE) for side in (height, width)]
        margin = (0, sides[1] - width, 0, sides[0] - height)
        seen, mask = (functional.pad(each, margin, mode="replicate") for each in (image * (1 - hole), hole))
        made: Tensor = self.model(seen, mask)
        return made[:, :, :height, :width]


def open_file(path: Path) -> Network:
    """The network in the file, ready to run. Raises ModelUnavailable.

    path : TorchScript is run, so whoever calls has made sure where the file is from
    """
    if _is_torchscript(path):
        return LaMa(_script(path))
    descriptor = foreign.recognised(path)
    if descriptor.architecture.id != "LaMa":
        raise ModelUnavailable(
            f"{path.name} holds weights of {descriptor.architecture.name} instead of LaMa",
            "get the file again from where it was published",
        )
    return LaMa(descriptor.model)


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in f"/{name}" for name in archive.namelist())


def _script(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript itself
            script = torch.jit.load(path, map_location="cpu")
    except RuntimeError as error:
        raise ModelUnavailable(
            f"{path.name} cannot be opened ({str(error).splitlines()[0][:120]})",
            "get the file again from where it was published",
        ) from error
    taken = [each.name for each in script.forward.schema.arguments][1:]
    if len(taken) != 2:
        raise ModelUnavailable(
            f"{path.name} takes {', '.join(taken) or 'nothing'} instead of a picture and a mask",
            "get the file again from where it was published",
        )
    return script
