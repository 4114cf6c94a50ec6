"""Floating-point operations: what a network needs, and what the machine can do at most."""

from __future__ import annotations

import importlib
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from samovar.card import ModelCard
from samovar.networks import Network

from .plan import Plan

SIDE = 240
"""Input sides at which networks are counted are multiples of this."""
PEAK_SECONDS = 1.0
SMALL, LARGE = 256, 3072
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def per_pixel(card: ModelCard) -> float:
    """FLOP that the network's convolutions need for one input pixel of a large picture: the useful work.

    A multiplication and an addition count as two. The work for a side h is a h² + b h + c, where b and c are for what
    lies around the picture; so a is found from three sides, without any context.
    """
    module = importlib.import_module(f"samovar.networks.{card.network}")
    with torch.device("meta"):
        network: Network = module.build(**card.options)
    once, twice, thrice = (count(network, factor * SIDE) for factor in (1, 2, 3))
    return (thrice - 2 * twice + once) / (2 * SIDE * SIDE)


def count(network: torch.nn.Module, side: int) -> int:
    """FLOP of one pass over (1, 3, side, side), layer by layer; nothing is computed."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops()


def peak(plan: Plan) -> float:
    """FLOP/s of a large matrix product in the type that is fastest here; the best that this run has seen."""
    for name, dtype in DTYPES.items():
        plan.peaks[name] = max(plan.peaks.get(name, 0.0), matrix_speed(dtype, "cpu", LARGE, PEAK_SECONDS))
    return max(plan.peaks.values())


def fastest(plan: Plan) -> torch.dtype:
    """The type in which the machine multiplies fastest."""
    return DTYPES[max(plan.peaks, key=lambda name: plan.peaks[name])]


def matrix_speed(dtype: torch.dtype, device: str, side: int, seconds: float) -> float:
    """FLOP/s of the best product within some seconds; of small ones only, where large ones would take forever."""
    best = product_speed(SMALL, dtype, device)
    side = side if 2 * side**3 / best < 4 * seconds else SMALL
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = max(best, product_speed(side, dtype, device))
    return best


def product_speed(side: int, dtype: torch.dtype, device: str = "cpu") -> float:
    """FLOP/s of one product, now."""
    a, b = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.mm(a, b)
    _wait(device)
    began = time.perf_counter()
    torch.mm(a, b, out=out)
    _wait(device)
    return float(2 * side**3 / (time.perf_counter() - began))


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
