"""The networks, one published architecture a file, each with `build(**options) -> Network`.

`build` makes the modules in the order in which the weight file lists their layers, on torch's meta device, so that
nothing is initialised only to be overwritten; `fill` then gives them their weights.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from samovar.card import ModelCard, WeightFile
from samovar.weights import files, ncnn, tensors

_PLAIN = (".pth", ".safetensors")
"""Files that hold tensors by name."""


class Network(nn.Module):
    """A network as the tiling calls it.

    forward : (N, 3, h + 2 * context, w + 2 * context) -> (N, 3, scale * h, scale * w), where context is the card's
        receptive_field: what the context was needed for is cut off, never padded with invented pixels
    tile : a good h and w on a CPU, small enough that a tile takes well below a second on two cores
    tile_bytes : memory that a tile takes while it is computed, per input pixel it sees (peak of torch in float32)
    units : the submodules that hold all the work, called with tensors and giving tensors, so that a runtime can put
        something in their place that computes the same faster
    traceable : whether a unit does the same at any size, with nothing in it that depends on the size it was seen at
    precise : layers whose output is added to the picture or is the result; a runtime of fewer digits leaves them as
        they are, so that flat areas keep their level
    aside : how names in its file begin that it has no use for
    """

    tile: int = 256
    tile_bytes: int = 4096
    units: tuple[str, ...] = ()
    traceable: bool = True
    precise: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()

    def size_bytes(self) -> int:
        """Of its weights, in memory."""
        return sum(each.numel() * each.element_size() for each in (*self.parameters(), *self.buffers()))

    def try_out(self, x: Tensor) -> None:
        """Call every unit at least once."""
        self(x)


class WholeNetwork(Network):
    """A network that only its operation calls, uncut, as its own `forward` says; its card says `whole`."""


class HoleNetwork(WholeNetwork):
    """A network that fills holes.

    forward : image (1, 3, h, w) float32, 0..1, sRGB-encoded, hole (1, 1, h, w) float32, 1 where to fill, 0 elsewhere ->
        (1, 3, h, w), a picture of which only the hole is of use
    working_side : pixels of the longer side up to which it sees structure as it was trained to
    """

    working_side: int = 512


class ColourNetwork(WholeNetwork):
    """A network that tells the colour of a picture from its lightness.

    forward : luminance (1, 1, h, w) float32, L of CIE Lab, 0..100; and, if it takes `hints`, hint (1, 2, h, w), ab of
        CIE Lab, and hint_mask (1, 1, h, w), 1 where that counts, 0 elsewhere, where hint is 0 -> ab (1, 2, h', w'),
        over the same picture
    multiple : that h and w must be multiples of
    working_side : pixels of the longer side at which it sees objects as it was trained to
    """

    multiple: int = 8
    working_side: int = 256
    hints: bool = False


class FeatureNetwork(WholeNetwork):
    """A network that is asked what its layers answer, for the statistics of a texture.

    steps : pixels from one position of a layer to the next, by layer
    around : pixels that any of the layers looks around itself, a multiple of each step
    working_side : of a part of a picture that it is shown
    """

    steps: tuple[int, ...] = ()
    around: int = 0
    working_side: int = 512

    def answers(self, picture: Tensor) -> Sequence[Tensor]:
        """(1, 3, h, w) float32, 0..1, sRGB-encoded -> (1, C, h / step, w / step) for each layer, nothing below 0.
        Gradients go back to the picture."""
        raise NotImplementedError


class GeneratorNetwork(WholeNetwork):
    """A network that makes pictures out of numbers.

    latent : how many numbers decide one picture
    styles : names of the kinds of pictures it can be asked for, at least one
    side : of a picture
    """

    latent: int = 100
    styles: tuple[str, ...] = ("",)
    side: int = 64

    def drawn(self, chance: torch.Generator) -> Tensor:
        """The numbers of one picture, by chance: (1, latent), as the network was trained with."""
        raise NotImplementedError

    def between(self, one: Tensor, other: Tensor, share: float) -> Tensor:
        """Numbers on the way from one to the other, as likely as both. (1, latent) all; share : 0..1"""
        raise NotImplementedError

    def placed(self, z: Tensor, style: int, truncation: float) -> Tensor:
        """Where a picture is in a space in which one may go straight: (1, latent) -> (1, W)

        truncation : how far from the middle of its style, 1 as far as chance has it, 0 at the middle
        """
        raise NotImplementedError

    def pictures(self, places: Tensor) -> Tensor:
        """(N, W) -> (N, 3, side, side), 0..1, sRGB-encoded"""
        raise NotImplementedError


@dataclass(frozen=True)
class Pooling:
    """A place where a network takes means over the whole picture.

    before, after : cells of the feature map to leave out at the left and top, and at the right and bottom, of a tile
        that has a neighbour there, so that of all tiles each cell of the whole picture's map counts once
    work : share of the network's work that is done by then
    """

    before: int
    after: int
    work: float


class PoolingNetwork(Network):
    """A network whose output depends on means over the whole picture.

    poolings : where it takes them
    held_bytes : memory held between `light` steps, per input pixel
    """

    poolings: tuple[Pooling, ...] = ()
    held_bytes: int = 0

    def steps(self, x: Tensor, light: bool = False) -> Generator[Tensor, Tensor, Tensor]:
        """As `forward`, but stops at each pooling: yields the feature map (N, C, h, w), takes its mean (1, C)."""
        raise NotImplementedError

    def try_out(self, x: Tensor) -> None:
        for light in (False, True):
            steps = self.steps(x, light)
            with contextlib.suppress(StopIteration):
                features = next(steps)
                while True:
                    features = steps.send(features.mean((2, 3)))

    def forward(self, x: Tensor, means: Sequence[Tensor] | None = None) -> Tensor:
        """means : (1, C) for each pooling; None takes those of `x`"""
        steps = self.steps(x)
        features = next(steps)
        try:
            for index in range(len(self.poolings)):
                features = steps.send(features.mean((2, 3)) if means is None else means[index])
        except StopIteration as end:
            result: Tensor = end.value
            return result
        raise RuntimeError(f"{type(self).__name__} takes more means than it declares")


class StagedNetwork(Network):
    """A network that is a chain of stages, each of which keeps the size and pads with zeros.

    stage_halo, finish_halo : pixels that a stage, and the end, look around themselves
    seam_context : pixels after which nothing of what lies beyond is seen in the result at 8 bits
    held_bytes : memory for the features before and after a stage, per input pixel
    stage_share : how much longer the side of a stage's tile may be than that of the end's, by what they take
    """

    stage_halo: int
    finish_halo: int
    seam_context: int
    held_bytes: int
    stage_share: float = 1.0

    def stages(self) -> Sequence[Callable[[Tensor], Tensor]]:
        """From the picture (N, 3, h, w) to its features (N, C, h, w)."""
        raise NotImplementedError

    def finish(self, x: Tensor, features: Tensor) -> Tensor:
        """Both with `finish_halo` around them -> (N, 3, scale * h, scale * w) without."""
        raise NotImplementedError


@torch.inference_mode(False)  # weights made in it would let nobody through who wants gradients
def load(card: ModelCard, variant: str, device: str = "cpu") -> Network:
    """The network of a card with the weights of a variant, ready to run.

    Raises ModelUnavailable if the files are missing, damaged, or those of another network.
    """
    weight = card.weights[variant]
    module = importlib.import_module(f"samovar.networks.{card.network}")
    if hasattr(module, "open_file"):  # the file itself says what is in it
        return _ready(module.open_file(files.checked(weight)), device)
    with torch.device("meta"):
        network: Network = module.build(**card.options, **card.settings.get(variant, {}))
    if weight.path.endswith(_PLAIN):
        return _ready(_filled(network, weight), device)
    text, data = files.read(weight)
    try:
        fill(network, ncnn.read(text, data))
    except ncnn.DamagedModel as error:
        raise files.unavailable(weight, f"{weight.path} of {weight.distribution}: {error}") from error
    return _ready(network, device)


def _filled(network: Network, weight: WeightFile) -> Network:
    """With the tensors of a file, which have the names of the network's own. Raises ModelUnavailable."""
    path = files.checked(weight)
    found = {name: each for name, each in tensors.read(path).items() if not str(name).startswith(network.aside)}
    found = {name: each.float() if each.dtype == torch.float16 else each for name, each in found.items()}
    try:
        network.load_state_dict(found, assign=True)
    except (RuntimeError, AttributeError) as error:  # the latter where names are no words
        raise files.unavailable(weight, f"{path} holds the weights of another network") from error
    return network


def _ready(network: Network, device: str) -> Network:
    network.eval().requires_grad_(False).to(device)
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


_KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "Convolution",
    nn.ConvTranspose2d: "Deconvolution",
    nn.Linear: "InnerProduct",
    nn.PReLU: "PReLU",
}


def fill(network: nn.Module, layers: Sequence[ncnn.Layer]) -> None:
    """Give the modules of a network, in order, the weights of the layers. Raises DamagedModel if they do not match."""
    modules = [module for module in network.modules() if type(module) in _KINDS]
    weighted = [layer for layer in layers if layer.arrays]
    if len(modules) != len(weighted):
        raise ncnn.DamagedModel(f"the graph has {len(weighted)} layers with weights instead of {len(modules)}")
    for module, layer in zip(modules, weighted, strict=True):
        if _KINDS[type(module)] != layer.kind:
            raise ncnn.DamagedModel(f"layer {layer.name} is a {layer.kind} instead of a {_KINDS[type(module)]}")
        _assign(module, layer)


def _assign(module: nn.Module, layer: ncnn.Layer) -> None:
    expected = {name: tuple(value.shape) for name, value in module.named_parameters()}
    arrays = {name: torch.from_numpy(array) for name, array in layer.arrays.items()}
    if layer.kind == "Deconvolution":  # (out, in, kh, kw) -> (in, out, kh, kw), torch's order
        arrays["weight"] = arrays["weight"].transpose(0, 1).contiguous()
    if (found := {name: tuple(value.shape) for name, value in arrays.items()}) != expected:
        raise ncnn.DamagedModel(f"layer {layer.name} has {found} instead of {expected}")
    for name, value in arrays.items():
        setattr(module, name, nn.Parameter(value, requires_grad=False))


def leaky(x: Tensor, slope: float) -> Tensor:
    """Leaky ReLU in place: the input is always a fresh result of a convolution."""
    return nn.functional.leaky_relu_(x, slope)
