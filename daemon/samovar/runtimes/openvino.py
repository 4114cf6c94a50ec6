"""OpenVINO, where it is installed (`samovar[openvino]`): Intel's compiler for networks, on any x86 processor.

Each unit of a network is converted once and compiled for shapes of any size. Copies: a unit's input is laid out plainly
for it, its output taken out of OpenVINO's buffer, which the next call overwrites.
"""

from __future__ import annotations

import functools
import importlib.util
import platform
import warnings
from typing import TYPE_CHECKING, Any

from samovar.runtimes import NotForThis, Runtime
from samovar.runtimes.eager import has_bfloat16_units

if TYPE_CHECKING:
    from samovar.networks import Network

EXAMPLE_SIDE = 96
"""Of the picture by which OpenVINO sees what the units do; more than any network's context."""


def _installed() -> bool:
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return x86 and importlib.util.find_spec("openvino") is not None


def _version() -> str:
    import openvino

    return str(openvino.__version__)


@functools.cache
def _core() -> Any:
    import openvino

    return openvino.Core()


def compiled(network: Network, dtype: str) -> Network:
    """The network with each unit compiled; what is between the units stays as it is."""
    import torch
    from torch import Tensor, nn

    if not network.traceable:
        raise NotForThis("it cannot be compiled for tiles of all sizes")

    class Unit(nn.Module):
        def __init__(self, request: Any, number: int) -> None:
            super().__init__()
            self._request, self._number = request, number

        def forward(self, *inputs: Tensor) -> Any:
            plain = [each.float().contiguous().numpy() for each in inputs]
            self._request.infer(plain, share_inputs=True, share_outputs=True)
            outputs = tuple(
                torch.from_numpy(self._request.get_output_tensor(index).data.copy()) for index in range(self._number)
            )
            return outputs if self._number > 1 else outputs[0]

    for name, inputs in _examples(network).items():
        module = network.get_submodule(name)
        model = _converted(module, inputs)
        options = {"INFERENCE_PRECISION_HINT": dtype, "PERFORMANCE_HINT": "LATENCY"}
        request = _core().compile_model(model, "CPU", options).create_infer_request()
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, Unit(request, len(model.outputs)))
    return network


def _examples(network: Network) -> dict[str, tuple[Any, ...]]:
    """Inputs of each unit, as the network itself gives them when it sees a small picture."""
    import torch

    seen: dict[str, tuple[Any, ...]] = {}
    hooks = [
        network.get_submodule(name).register_forward_pre_hook(
            lambda module, inputs, name=name: seen.__setitem__(name, tuple(each.clone() for each in inputs))
        )
        for name in network.units
    ]
    with torch.inference_mode():
        network.try_out(torch.rand((1, 3, EXAMPLE_SIDE, EXAMPLE_SIDE)))
    for hook in hooks:
        hook.remove()
    return seen


def _converted(module: Any, inputs: tuple[Any, ...]) -> Any:
    import openvino
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace, which OpenVINO reads, is on its way out
        example = tuple(each.clone() for each in inputs)
        shapes = [openvino.PartialShape([1, each.shape[1], *[-1] * (each.dim() - 2)]) for each in inputs]
        # OpenVINO would trace with a check, for which torch imports 2 s of modules. The trial checks more.
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call,unused-ignore]
        return openvino.convert_model(traced, example_input=example, input=shapes)


RUNTIMES = tuple(
    Runtime(
        "openvino", dtype, dtype == "f32", _version,
        _installed if dtype == "f32" else lambda: _installed() and has_bfloat16_units(),
        functools.partial(compiled, dtype=dtype),
    )
    for dtype in ("f32", "bf16")
)  # fmt: skip
