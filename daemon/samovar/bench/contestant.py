"""The others: the same models the way other programs run them.

A picture is cut into tiles with some context, converted, computed, put together. Tile sizes and context are those of
waifu2x-ncnn-vulkan on a processor (400; 18 for CUNet, 7 for UpConv7) and realesrgan-ncnn-vulkan (200; 10); Compact
takes 18 where its layers do not pad, which costs the same. CUNet's means are those of each tile.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from samovar.card import ModelCard

from .picture import Picture

Planes = npt.NDArray[np.float32]
"""(3, h, w), 0..1"""
Forward = Callable[[Planes], Planes]
"""A tile with its context -> the result in the middle of whatever else comes back."""
Upscale = Callable[[Picture], Picture]

TILES = {"upconv7": (400, 7), "cunet": (400, 18), "srvgg": (200, 18), "rrdb": (200, 10)}
"""Network -> side of a tile and its context, in input pixels."""
NCNN_CONTEXT = {"srvgg": 10}


def tiled(runtime: str, card: ModelCard, side: int | None = None) -> Upscale:
    """runtime : a key of `RUNTIMES`; side : of a tile, None for the usual one. Raises ImportError if not installed."""
    usual, context = TILES[card.network]
    if runtime.startswith("ncnn"):
        context = NCNN_CONTEXT.get(card.network, context)
    return Tiled(RUNTIMES[runtime](card), side or usual, context, card.scale)


class Tiled:
    def __init__(self, forward: Forward, side: int, context: int, scale: int) -> None:
        self._forward = forward
        self._side, self._context, self._scale = side, context, scale

    def __call__(self, picture: Picture) -> Picture:
        height, width = picture.shape[:2]
        planes = np.divide(picture.transpose(2, 0, 1), np.float32(255), dtype=np.float32)
        planes = np.pad(planes, ((0, 0), *[(self._context, self._context)] * 2), mode="symmetric")
        result = np.empty((height * self._scale, width * self._scale, 3), np.uint8)
        for top in range(0, height, self._side):
            for left in range(0, width, self._side):
                self._tile(planes, top, left, result)
        return result

    def _tile(self, planes: Planes, top: int, left: int, result: Picture) -> None:
        scale, reach = self._scale, self._side + 2 * self._context
        place = result[top * scale : (top + self._side) * scale, left * scale : (left + self._side) * scale]
        output = self._forward(np.ascontiguousarray(planes[:, top : top + reach, left : left + reach]))
        rows, columns = ((have - want) // 2 for have, want in zip(output.shape[1:], place.shape[:2], strict=True))
        output = output[:, rows : rows + place.shape[0], columns : columns + place.shape[1]]
        place[:] = (output.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def _torch(card: ModelCard) -> Forward:
    """torch as most programs run it: eager, float32, contiguous planes."""
    import torch

    network = _planar(card)

    def forward(planes: Planes) -> Planes:
        with torch.inference_mode():
            result: Planes = network(torch.from_numpy(planes)[None])[0].numpy()
        return result

    return forward


def _planar(card: ModelCard) -> Any:
    """The network with weights in torch's default layout."""
    import torch

    from samovar import networks

    network = copy.deepcopy(networks.load(card, ""))
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous(memory_format=torch.contiguous_format)
    return network


def _onnxruntime(card: ModelCard) -> Forward:
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(_onnx(card), options, providers=["CPUExecutionProvider"])
    return lambda planes: session.run(None, {"x": planes[None]})[0][0]


def _onnx(card: ModelCard) -> bytes:
    """The network as an ONNX model for tiles of any size."""
    import torch

    model = io.BytesIO()
    axes = {"x": {2: "h", 3: "w"}, "y": {2: "height", 3: "width"}}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter that needs nothing but `onnx` is called old
        torch.onnx.export(
            _planar(card), (torch.zeros(1, 3, 96, 96),), model, dynamo=False,  # type: ignore[arg-type]
            input_names=["x"], output_names=["y"], dynamic_axes=axes,
        )  # fmt: skip
    return model.getvalue()


def _ncnn(card: ModelCard) -> Forward:
    """The very files that its own programs run, without what would make it less exact."""
    import ncnn
    import torch

    from samovar.weights import files

    path = files.locate(card.weights[""])
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.num_threads = torch.get_num_threads()
    if net.load_param(str(path.with_suffix(".param"))) or net.load_model(str(path)):
        raise RuntimeError(f"ncnn does not load {path.name}")
    given, wanted = net.input_names()[0], net.output_names()[-1]

    def forward(planes: Planes) -> Planes:
        extractor = net.create_extractor()
        extractor.input(given, ncnn.Mat(planes).clone())  # a Mat does not own the array it is made of
        status, output = extractor.extract(wanted)
        if status:
            raise RuntimeError(f"ncnn failed with {status}")
        return np.array(output)

    return forward


RUNTIMES: dict[str, Callable[[ModelCard], Forward]] = {
    "onnxruntime f32": _onnxruntime,
    "ncnn f32": _ncnn,
    "torch f32": _torch,
}
