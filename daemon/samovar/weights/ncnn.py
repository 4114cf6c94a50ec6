"""Reader of ncnn models: `.param`, the graph as text, and `.bin`, the weights of its layers one after the other.

`.param`: a magic number; the numbers of layers and blobs; then one line a layer: kind, name, count of inputs, count of
outputs, their names, `key=value` pairs. A key of -23300-k stands for key k with a counted list of values.

`.bin`: no names, no lengths; each layer with weights reads its own share in the order of the text. A convolution's
weights begin with a flag: 0x01306B47 says fp16, padded to 4 bytes; 0 says fp32. Biases and PReLU slopes are bare fp32.
Other flags (int8, tables) are not used by the models we know and are refused. Every byte has to be consumed: a file
that is too short, too long or belongs to another graph cannot pass.

Source: ncnn, "Param and model file structure" (project wiki) and the files themselves.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from samovar_link.errors import name_of

MAGIC = "7767517"
FLAG_FP16 = 0x01306B47
FLAG_FP32 = 0

Array = npt.NDArray[np.float32]

WITHOUT_WEIGHTS = frozenset(
    {"Input", "Split", "Pooling", "Scale", "Crop", "Eltwise", "Concat", "Interp", "PixelShuffle", "BinaryOp"}
)


class DamagedModel(ValueError):
    """The files are no ncnn model that we can read. The message says where and why."""


@dataclass(frozen=True)
class Layer:
    """One layer of the graph.

    options : the `key=value` pairs; what a key means depends on `kind`
    arrays : "weight" and "bias" ("weight" of a PReLU: its slopes), float32. A convolution's weight is
        (out, in, kernel height, kernel width), a deconvolution's too, an inner product's is (out, in)
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: dict[int, tuple[float, ...]]
    arrays: dict[str, Array] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Its name, for a sentence."""
        return name_of(self.name)

    def option(self, key: int, default: int = 0) -> int:
        """A whole-number option."""
        return int((self.options.get(key) or (default,))[0])


def read(text: str, data: bytes) -> list[Layer]:
    """Layers in the order of the graph, with their weights.

    text : content of the `.param`; data : content of the `.bin`. Raises DamagedModel.
    """
    layers = read_graph(text)
    stream = _Stream(data)
    for layer in layers:
        reader = _READERS.get(layer.kind)
        if reader is not None:
            reader(layer, stream)
        elif layer.kind not in WITHOUT_WEIGHTS:
            raise DamagedModel(f"layer {layer.shown} is of unknown kind {name_of(layer.kind)}")
    if stream.left:
        raise DamagedModel(f"{stream.left} bytes of weights are left over")
    return layers


def read_graph(text: str) -> list[Layer]:
    """The layers of a `.param`, still without weights."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) < 2 or lines[0] != [MAGIC]:
        raise DamagedModel("the graph does not begin with ncnn's magic number")
    try:
        count = int(lines[1][0])
        layers = [_layer(words) for words in lines[2:]]
    except (ValueError, IndexError) as error:
        raise DamagedModel(f"the graph cannot be read: {name_of(str(error), 200)}") from error
    if len(layers) != count:
        raise DamagedModel(f"the graph has {len(layers)} layers instead of {count}")
    return layers


def _layer(words: list[str]) -> Layer:
    kind, name, inputs, outputs = words[0], words[1], int(words[2]), int(words[3])
    blobs, pairs = words[4 : 4 + inputs + outputs], words[4 + inputs + outputs :]
    options: dict[int, tuple[float, ...]] = {}
    for pair in pairs:
        key_text, _, value = pair.partition("=")
        key, numbers = int(key_text), tuple(float(number) for number in value.split(","))
        if not all(map(math.isfinite, numbers)):
            raise ValueError(f"{pair} is no number")
        if key <= -23300:  # a counted list
            if numbers[0] != len(numbers) - 1:
                raise ValueError(f"{pair} counts wrong")
            key, numbers = -23300 - key, numbers[1:]
        options[key] = numbers
    return Layer(kind, name, tuple(blobs[:inputs]), tuple(blobs[inputs:]), options)


class _Stream:
    """The weights, read from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int, layer: Layer) -> memoryview:
        if size < 0 or size > self.left:
            raise DamagedModel(f"layer {layer.shown} needs {size} bytes of weights, {self.left} are left")
        self._at += size
        return self._data[self._at - size : self._at]

    def fp32(self, count: int, layer: Layer) -> Array:
        return np.frombuffer(self.take(4 * count, layer), "<f4").astype(np.float32)

    def flagged(self, count: int, layer: Layer) -> Array:
        (flag,) = struct.unpack("<I", self.take(4, layer))
        if flag == FLAG_FP32:
            return self.fp32(count, layer)
        if flag != FLAG_FP16:
            raise DamagedModel(f"layer {layer.shown} has weights of unknown type {flag:#010x}")
        padded = self.take((2 * count + 3) // 4 * 4, layer)
        return np.frombuffer(padded, "<f2", count).astype(np.float32)


def _convolution(layer: Layer, stream: _Stream) -> None:
    out, width, count = layer.option(0), layer.option(1), layer.option(6)
    height = layer.option(11, width)
    if min(out, width, height, count) < 1 or count % (out * width * height):
        raise DamagedModel(f"layer {layer.shown}: {count} weights do not make {out} kernels of {height}x{width}")
    layer.arrays["weight"] = stream.flagged(count, layer).reshape(out, -1, height, width)
    if layer.option(5):
        layer.arrays["bias"] = stream.fp32(out, layer)


def _inner_product(layer: Layer, stream: _Stream) -> None:
    out, count = layer.option(0), layer.option(2)
    if min(out, count) < 1 or count % out:
        raise DamagedModel(f"layer {layer.shown}: {count} weights do not make {out} rows")
    layer.arrays["weight"] = stream.flagged(count, layer).reshape(out, -1)
    if layer.option(1):
        layer.arrays["bias"] = stream.fp32(out, layer)


def _prelu(layer: Layer, stream: _Stream) -> None:
    layer.arrays["weight"] = stream.fp32(layer.option(0), layer)


_READERS: dict[str, Callable[[Layer, _Stream], None]] = {
    "Convolution": _convolution,
    "Deconvolution": _convolution,
    "InnerProduct": _inner_product,
    "PReLU": _prelu,
}
