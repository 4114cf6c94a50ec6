"""DDColor: colours a gray picture by itself, as spandrel's further architectures have it (the extra `ddcolor`).

Source: Kang et al., "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", ICCV 2023,
arXiv:2212.11613; what goes in and comes out as in the authors' pipeline (github.com/piddnad/DDColor, Apache-2.0): a
gray picture of SIDE x SIDE, whatever the shape of the whole. Other than there, the picture is shrunk with a filter as
wide as the step, so that fine texture does not turn into coarse, and the colour is enlarged linearly instead of in
squares.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from samovar.chroma import lab
from samovar.networks import ColourNetwork, Network, foreign
from samovar_link.errors import ModelUnavailable

SIDE = 512
EXTRA = "pip install 'samovar[ddcolor]'"


class DDColor(ColourNetwork):
    """model : (N, 3, SIDE, SIDE) gray, 0..1, sRGB-encoded -> (N, 2, SIDE, SIDE), ab of CIE Lab"""

    multiple = 1
    working_side = SIDE

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, luminance: Tensor) -> Tensor:
        """The colour of a picture.

        luminance : (N, 1, h, w) float32, L of CIE Lab, 0..100
        returns : (N, 2, h, w) float32, ab of CIE Lab, about -110..110, not cut
        """
        gray = functional.interpolate(encoded(luminance), (SIDE, SIDE), mode="bilinear", antialias=True)
        ab: Tensor = self.model(gray.expand(-1, 3, -1, -1))
        return functional.interpolate(ab, luminance.shape[2:], mode="bilinear")


def encoded(luminance: Tensor) -> Tensor:
    """L of CIE Lab, 0..100, -> sRGB-encoded gray, 0..1, of the same shape."""
    return lab.encoded(lab.light_of(luminance).clamp(0, 1))


def open_file(path: Path) -> Network:
    """The network in the file, ready to run. Raises ModelUnavailable."""
    if importlib.util.find_spec(foreign.MORE) is None:
        raise ModelUnavailable(f"DDColor needs the package {foreign.MORE}", f"run: {EXTRA}")
    with torch.no_grad():  # it looks at a picture while it is made, and keeps what it saw
        descriptor = foreign.recognised(path)
    if descriptor.architecture.id != "DDColor" or descriptor.model.num_output_channels != 2:
        name = descriptor.architecture.name
        raise ModelUnavailable(
            f"{path.name} holds weights of {name} instead of a DDColor that gives ab",
            "get the file again from where it was published",
        )
    return DDColor(descriptor.model)
