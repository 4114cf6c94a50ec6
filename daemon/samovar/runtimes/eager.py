"""PyTorch as it is, with weights in the memory layout that convolutions are fastest in; in float32 or bfloat16.

bfloat16 is tried only where the processor has units for it (AVX512-BF16 or AMX); elsewhere it is emulated, and slower
by a factor of tens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.runtimes import Runtime

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from samovar.networks import Network


def _version() -> str:
    import torch

    return torch.__version__


def has_bfloat16_units() -> bool:
    import torch

    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def as_loaded(network: Network) -> Network:
    return network


def in_bfloat16(network: Network) -> Network:
    import torch

    return with_digits_of(network, torch.bfloat16)


def with_digits_of(network: Network, dtype: torch.dtype) -> Network:
    """All layers but the precise ones in that type; each takes what it is given in the type of its weights."""
    network.to(dtype)
    for name in network.precise:
        network.get_submodule(name).float()
    for module in network.modules():
        if getattr(module, "weight", None) is not None and not list(module.children()):
            module.register_forward_pre_hook(_cast)
    return network


def _cast(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    weight: Tensor = module.weight  # type: ignore[assignment]
    return tuple(each.to(weight.dtype) for each in inputs)


RUNTIMES = (
    Runtime("torch", "f32", True, _version, lambda: True, as_loaded),
    Runtime("torch", "bf16", False, _version, has_bfloat16_units, in_bfloat16),
)
