"""Networks of files that users bring along, recognised and run by spandrel (the extra `models`).

They keep the size of what they see and pad at its border with something of their own. So a tile is sent through with
more around it, which is cut off the result. Networks that halve their picture or look at it in windows see a grid,
which has to lie in every tile as it lies in the whole. Both are known for some architectures (GRIDS); others get more
than nearly all need. With that, tiles of random weights differed from the whole by at most 0.07/255 (SCUNet; Compact,
ESRGAN, SwinIR, SPAN: nothing). On another grid, SCUNet's differed by 75/255.
"""

from __future__ import annotations

import importlib
import logging
import math
import sys
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from samovar.models.catalogue import GRIDS
from samovar.networks import Network
from samovar.weights import tensors
from samovar_link.errors import ModelUnavailable

log = logging.getLogger(__name__)

OTHERS = (64, 64)
"""As in GRIDS, of architectures that are not in there."""
SMALL_PITCH = 4
"""Of networks of convolutions alone."""
EXTRA = "pip install 'samovar[models]'"
MORE = "spandrel_extra_arches"
"""Further architectures for spandrel, of many licences: used where the user has installed them."""


@dataclass(frozen=True)
class Description:
    """What a file turned out to hold.

    purpose : "SR", "Restoration", "FaceSR" or "Inpainting", spandrel's words; "Colorization" for gray to colour
    multiple : that sides of what the network sees, and tiles' places, have to be multiples of
    context : pixels around a tile
    parameters : how many numbers it was trained in
    """

    architecture: str
    purpose: str
    scale: int
    channels: int
    multiple: int
    context: int
    parameters: int
    tags: tuple[str, ...] = ()


class Foreign(Network):
    """model : (N, channels, h, w) -> (N, channels, scale * h, scale * w), 0..1; only convolutions can be traced, for
    windows and halvings are laid out by the size at hand
    """

    tile, tile_bytes = 192, 40000
    units = ("model",)

    def __init__(self, model: nn.Module, channels: int, scale: int, context: int, traceable: bool) -> None:
        super().__init__()
        self.model = model
        self.traceable = traceable
        self._channels, self._cut = channels, scale * context

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, h + 2 * context, w + 2 * context) -> (N, 3, scale * h, scale * w)
        y: Tensor
        if self._channels == 1:  # each colour as a gray picture
            batch, _, height, width = x.shape
            y = self.model(x.reshape(3 * batch, 1, height, width))
            y = y.reshape(batch, 3, *y.shape[2:])
        else:
            y = self.model(x)
        return y[:, :, self._cut : y.shape[2] - self._cut, self._cut : y.shape[3] - self._cut]


class _Padded(nn.Module):
    """The network as spandrel calls it, with sides made to fit."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.network = descriptor.model
        self._descriptor = descriptor

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self._descriptor(x)
        return result


def describe(path: Path) -> Description:
    """What the file holds. Raises ModelUnavailable if that is no model that can be used."""
    return _description(recognised(path))


def open_file(path: Path) -> Network:
    """The network in the file, ready to run. Raises ModelUnavailable."""
    descriptor = recognised(path)
    found = _description(descriptor)
    descriptor.model.eval()
    return Foreign(_Padded(descriptor), found.channels, found.scale, found.context, found.multiple <= SMALL_PITCH)


def recognised(path: Path) -> Any:
    """spandrel's descriptor of what the file holds. Raises ModelUnavailable."""
    spandrel = _spandrel()
    content = tensors.read(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the networks are written for many releases of torch
            descriptor = spandrel.ModelLoader().load_from_state_dict(spandrel.canonicalize_state_dict(content))
    except spandrel.UnsupportedModelError as error:
        raise ModelUnavailable(
            f"{path.name} holds weights of an architecture that is not known here", f"{_known(spandrel)} are"
        ) from error
    except (RuntimeError, KeyError, ValueError, AssertionError, IndexError, TypeError, AttributeError) as error:
        words = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise ModelUnavailable(
            f"the weights in {path.name} do not fit the architecture they look like ({words})",
            "get the file again from where it was published",
        ) from error
    return descriptor


def _description(descriptor: Any) -> Description:
    pitch, context = GRIDS.get(descriptor.architecture.id, OTHERS)
    multiple = math.lcm(pitch, descriptor.size_requirements.multiple_of)
    return Description(
        architecture=descriptor.architecture.name,
        purpose=descriptor.purpose if descriptor.input_channels == descriptor.output_channels else "Colorization",
        scale=descriptor.scale,
        channels=descriptor.input_channels,
        multiple=multiple,
        context=math.ceil(context / multiple) * multiple,
        parameters=sum(each.numel() for each in descriptor.model.parameters()),
        tags=tuple(descriptor.tags),
    )


def _known(spandrel: Any) -> str:
    return ", ".join(sorted(each.architecture.name for each in spandrel.MAIN_REGISTRY.architectures()))


def _spandrel() -> Any:
    """The library. Raises ModelUnavailable if it is not installed."""
    _stand_in_for_torchvision()
    try:
        spandrel = importlib.import_module("spandrel")
    except ModuleNotFoundError as error:
        raise ModelUnavailable(f"models of your own need the package {error.name}", f"run: {EXTRA}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one of them is written in what torch gives up
            importlib.import_module(MORE).install(ignore_duplicates=True)
    except ImportError as error:
        log.debug("no further architectures (%s)", error)
    return spandrel


def _stand_in_for_torchvision() -> None:
    """spandrel imports three names of torchvision that no network needs to run. Where there is no torchvision that fits
    torch (for the CPU builds of torch there is often none), three empty names do."""
    name = "torchvision.transforms.functional"
    try:
        importlib.import_module(name)
        return
    except Exception as error:  # one built for another torch fails in ways of its own
        log.info("no usable torchvision (%s): done without", error)
    for each in [known for known in sys.modules if known.split(".")[0] == "torchvision"]:
        del sys.modules[each]
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        module = types.ModuleType(".".join(parts[:count]))
        sys.modules[module.__name__] = module
        if count > 1:
            setattr(sys.modules[".".join(parts[: count - 1])], parts[count - 1], module)
    for needed in ("InterpolationMode", "rotate", "normalize"):
        setattr(sys.modules[name], needed, None)
