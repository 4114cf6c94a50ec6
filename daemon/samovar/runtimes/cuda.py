"""PyTorch on an NVIDIA card. Each unit of a network lives there: what it sees goes there, what it gives comes back.

What is between the units, tiles and their seams, stays on the processor, as on every runtime.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from samovar.runtimes import Runtime
from samovar.runtimes.eager import with_digits_of

if TYPE_CHECKING:
    from samovar.networks import Network


def _usable() -> bool:
    import torch

    return torch.cuda.is_available()


def _version() -> str:
    """Of the libraries and the card: another card is another machine."""
    import torch

    return f"{torch.__version__} {torch.cuda.get_device_name(0)}" if _usable() else ""


def _free_bytes() -> int:
    """What neither other programs nor we use; torch gives back what it keeps for later when it needs more."""
    import torch

    free, _ = torch.cuda.mem_get_info()
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


def on_device(network: Network, dtype: str, device: str = "cuda") -> Network:
    """The network with its units on a device.

    dtype : "f32", "f16" or "bf16"; layers that are `precise` compute in float32 in any case
    """
    import torch
    from torch import Tensor, nn

    torch.backends.cudnn.allow_tf32 = False  # "f32" means all of its digits

    class Unit(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self._module = module.to(device)

        def forward(self, *inputs: Tensor) -> Any:
            outputs = self._module(*(each.to(device) for each in inputs))
            many = tuple(each.cpu().float() for each in ([outputs] if isinstance(outputs, Tensor) else outputs))
            return many[0] if isinstance(outputs, Tensor) else many

    if dtype != "f32":
        with_digits_of(network, torch.float16 if dtype == "f16" else torch.bfloat16)
    for name in network.units:
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, Unit(network.get_submodule(name)))
    return network


RUNTIMES = tuple(
    Runtime(
        "cuda", dtype, dtype == "f32", _version, _usable, functools.partial(on_device, dtype=dtype), "cuda", _free_bytes
    )
    for dtype in ("f32", "f16", "bf16")
)
