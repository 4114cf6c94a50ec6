"""Rows for a graphics card: `gpu-speed`, `gpu-limit`, `gpu-latency`, `gpu-large`, `gpu-restore`, `gpu-texture`."""

from __future__ import annotations

import statistics
import time

import torch

from samovar import card, networks
from samovar.networks import StagedNetwork

from . import flops, peers, texture
from .ours import Ours
from .picture import photograph, with_alpha
from .plan import Plan
from .row import Figure, Row, rounded

NO_GPU = "torch sees no CUDA graphics card here, so there are no GPU rows."
SIDE = 512
ROUNDS = 10
RESTORE_SECONDS = 15.0
TEXTURE_SECONDS = 3.0
LARGE_MODEL = "waifu2x/upconv7-art"


def name() -> str:
    """Of the card; "" if there is none."""
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""


def measure(plan: Plan) -> list[Row]:
    speeds = {model: _speed(model) for model in peers.MODELS}
    needed = {model: flops.per_pixel(card.discover().get(model)) for model in peers.MODELS}
    peaks = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}
    measured = {dtype: flops.matrix_speed(value, "cuda", 8192, flops.PEAK_SECONDS) for dtype, value in peaks.items()}
    top = max(measured.values())
    return [
        Row(
            "gpu-speed", f"f16 channels_last on one tile of {SIDE}²",
            tuple(Figure(model, speed / 1e6, "Mpixel/s") for model, speed in speeds.items()),
        ),
        Row(
            "gpu-limit", "FLOP/s of the networks over those of a large matrix product",
            tuple(Figure(model, speeds[model] * needed[model] / top, "of peak") for model in peers.MODELS),
            detail={"peak_tflops": {dtype: rounded(speed / 1e12) for dtype, speed in measured.items()}},
        ),
        _latency(),
        _large(),
        _restore(),
        _texture(plan),
    ]  # fmt: skip


def _speed(model: str) -> float:
    """Input pixels per second."""
    its = card.discover().get(model)
    network = networks.load(its, "", "cuda").half()
    context = network.finish_halo if isinstance(network, StagedNetwork) else its.receptive_field
    tile = torch.rand(1, 3, SIDE + 2 * context, SIDE + 2 * context, device="cuda", dtype=torch.float16)
    tile = tile.contiguous(memory_format=torch.channels_last)
    return SIDE * SIDE / statistics.median(_time(network, tile) for _ in range(ROUNDS))


def _time(network: torch.nn.Module, tile: torch.Tensor) -> float:
    with torch.inference_mode():
        torch.cuda.synchronize()
        began = time.perf_counter()
        network(tile)
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _latency() -> Row:
    """A tile with weights on the disk, in memory, on the card."""
    its = card.discover().get(LARGE_MODEL)
    tile = torch.rand(1, 3, 256, 256, device="cuda")
    began = time.perf_counter()
    network = networks.load(its, "", "cuda")
    _time(network, tile)
    cold = time.perf_counter() - began
    network.to("cpu")
    began = time.perf_counter()
    network.to("cuda")
    _time(network, tile)
    ram = time.perf_counter() - began
    device = statistics.median(_time(network, tile) for _ in range(ROUNDS))
    seconds = {"weights on the disk": cold, "in memory": ram, "on the card": device}
    figures = tuple(Figure(where, value * 1e3, "ms") for where, value in seconds.items())
    return Row("gpu-latency", f"one tile of {LARGE_MODEL}", figures)


def _restore() -> Row:
    """Noise out of a 512² photograph by the classic way, all of its steps, from its beginning to its picture."""
    from samovar.prior.observation import Observation
    from samovar.prior.recipes import CLASSIC

    from . import restore

    clean = restore.photograph("astronaut", SIDE)
    noisy = restore.with_noise(clean)
    recipe = CLASSIC["denoise"]
    began = time.perf_counter()
    fit = restore.begin(Observation(noisy, torch.ones(1, 1, SIDE, SIDE)), recipe, "cuda")
    while not fit.over and fit.count < recipe.iterations:
        fit.step()
    picture = fit.picture
    assert picture is not None
    seconds = time.perf_counter() - began
    return Row(
        "gpu-restore", f"classic `restore` of {SIDE}² with noise, {fit.count} steps",
        (
            Figure("seconds", seconds, "s", RESTORE_SECONDS, at_least=False),
            Figure("PSNR", restore.psnr(picture, clean), "dB"),
            Figure("before", restore.psnr(noisy, clean), "dB"),
        ),
    )  # fmt: skip


def _large() -> Row:
    """Through the engine, on whatever runtime the trial chooses."""
    ours = Ours()
    ours.upscale(with_alpha(photograph(256)), LARGE_MODEL, 2)
    picture = with_alpha(photograph(4096, 1))
    began = time.perf_counter()
    ours.upscale(picture, LARGE_MODEL, 2)
    seconds = time.perf_counter() - began
    measure = f"{LARGE_MODEL} on 4096² from end to end, {ours.report.runtime} {ours.report.dtype}"
    return Row("gpu-large", measure, (Figure("seconds", seconds, "s"),))


def _texture(plan: Plan) -> Row:
    """Seconds to a given loss of Gatys's statistics."""
    figures = [
        Figure(each.name, each.value, each.unit, TEXTURE_SECONDS if each.name.startswith("Gatys") else None, False)
        for each in texture.descents(plan, "cuda")
    ]
    return Row("gpu-texture", "`texture`: noise of 256² to a hundredth of its loss", tuple(figures))
