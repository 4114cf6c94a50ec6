"""Pipelines that fill holes, in one ONNX file: a picture and its mask in, the filled picture out, all in bytes.

Run by OpenVINO (`samovar[openvino]`), or by onnxruntime where there is none or it cannot run the file.

Source: Sargsyan et al., "MI-GAN: A Simple Baseline for Image Inpainting on Mobile Devices", ICCV 2023, and the pipeline
that its authors publish (github.com/Picsart-AI-Research/MI-GAN, scripts/create_onnx_pipeline.py, MIT). It looks at one
square around all holes, with a margin of 128 pixels and at least 512 on a side, shrinks that to 512 x 512 for the
network, and puts the result back, blended from one pixel outside of a hole to three inside.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from samovar.networks import HoleNetwork, Network
from samovar_link.errors import ModelUnavailable

Bytes = npt.NDArray[np.uint8]
Run = Callable[[Bytes, Bytes], Bytes]
"""(image (1, 3, h, w), mask (1, 1, h, w) with 255 for what is known and 0 for holes) -> result (1, 3, h, w)"""
EXTRA = "pip install 'samovar[openvino]'"


@dataclass(frozen=True)
class Port:
    """An input or output. sides : None where any will do; () where nothing is told"""

    name: str
    dtype: str
    sides: tuple[int | None, ...]

    def takes(self, wanted: Port) -> bool:
        """Whether it is the one that is wanted, or takes more than that."""
        sides = self.sides or (None,) * len(wanted.sides)
        return (self.name, self.dtype, len(sides)) == (wanted.name, wanted.dtype, len(wanted.sides)) and all(
            mine in (None, its) for mine, its in zip(sides, wanted.sides, strict=True)
        )

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join('any' if side is None else str(side) for side in self.sides)})"


INPUTS = (Port("image", "uint8", (1, 3, None, None)), Port("mask", "uint8", (1, 1, None, None)))
OUTPUT = Port("result", "uint8", (1, 3, None, None))


@dataclass(frozen=True)
class Opened:
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    run: Run


class OnnxPipeline(HoleNetwork):
    """file_bytes : of the file, which is about what its weights take in memory"""

    def __init__(self, run: Run, file_bytes: int) -> None:
        super().__init__()
        self._run, self._file_bytes = run, file_bytes

    def size_bytes(self) -> int:
        return self._file_bytes

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """A picture with its holes filled, in steps of 1/255 throughout.

        image : (1, 3, h, w) float32, R, G, B, 0..1, sRGB-encoded
        hole : (1, 1, h, w) float32, 1 where the picture is to be filled, 0 elsewhere
        returns : as `image`; the picture itself where there is no hole
        """
        if not (hole > 0.5).any():
            return image
        pixels = image.clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
        mask = (hole <= 0.5).to(torch.uint8) * 255
        return torch.from_numpy(self._run(pixels.contiguous().numpy(), mask.contiguous().numpy())).float() / 255


def open_file(path: Path) -> Network:
    """The pipeline in the file, ready to run. Raises ModelUnavailable."""
    failures = []
    for library, opened_by in LIBRARIES.items():
        if importlib.util.find_spec(library) is None:
            continue
        try:
            opened = opened_by(path)
        except Exception as error:  # both raise whatever they like; the other one may do
            failures.append(f"{library}: {(str(error).strip().splitlines() or [type(error).__name__])[0][:120]}")
        else:
            _check(path, opened)
            return OnnxPipeline(opened.run, path.stat().st_size)
    if not failures:
        raise ModelUnavailable(f"{path.name} needs the package openvino or onnxruntime", f"run: {EXTRA}")
    other = "" if len(failures) == len(LIBRARIES) else f"; or install the other of {' and '.join(LIBRARIES)}"
    raise ModelUnavailable(
        f"{path.name} cannot be opened ({'; '.join(failures)})",
        f"get the file again from where it was published{other}",
    )


def _check(path: Path, opened: Opened) -> None:
    for what, found, wanted in (("takes", opened.inputs, INPUTS), ("gives", opened.outputs, (OUTPUT,))):
        if len(found) != len(wanted) or not all(any(each.takes(its) for each in found) for its in wanted):
            raise ModelUnavailable(
                f"{path.name} {what} {_words(found)} instead of {_words(wanted)}",
                "get the file again from where it was published",
            )


def _words(ports: Sequence[Port]) -> str:
    return " and ".join(str(each) for each in ports) or "nothing"


def _by_openvino(path: Path) -> Opened:
    import openvino

    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    request = model.create_infer_request()

    def port(of: Any) -> Port:
        shape = of.partial_shape
        sides = () if shape.rank.is_dynamic else tuple(each.get_length() if each.is_static else None for each in shape)
        return Port(of.any_name, np.dtype(of.element_type.to_dtype()).name, sides)

    def run(image: Bytes, mask: Bytes) -> Bytes:
        request.infer({"image": image, "mask": mask})
        result: Bytes = request.get_tensor(OUTPUT.name).data.copy()  # the next call writes over it
        return result

    return Opened([port(each) for each in model.inputs], [port(each) for each in model.outputs], run)


def _by_onnxruntime(path: Path) -> Opened:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def port(of: Any) -> Port:
        sides = tuple(each if isinstance(each, int) else None for each in of.shape or ())
        return Port(of.name, of.type.removeprefix("tensor(").removesuffix(")"), sides)

    def run(image: Bytes, mask: Bytes) -> Bytes:
        result: Bytes = session.run([OUTPUT.name], {"image": image, "mask": mask})[0]
        return result

    return Opened([port(each) for each in session.get_inputs()], [port(each) for each in session.get_outputs()], run)


LIBRARIES = {"openvino": _by_openvino, "onnxruntime": _by_onnxruntime}
"""Package -> how it opens a file; the first that can is taken."""
