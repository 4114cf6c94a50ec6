"""Rows `texture`: how like their samples textures become, and how soon; `texture-loss`: which way of descending is
sooner at a given loss.

Samples are crops of 256² of photographs of bricks, grass and gravel, 512², of which another crop is the floor: a
texture need not be more like the sample than the place that it is from.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from samovar.networks import vgg19
from samovar.texture import grow
from samovar.texture.features import Features, NetworkFeatures, RandomFilters
from samovar.texture.fit import ADAM, LBFGS, Bounded, Fit, Over
from samovar.texture.grow import Sample
from samovar.texture.quilt import quilt
from samovar.texture.statistics import Gram
from samovar_link import Client
from samovar_link.messages import BATCH, Cancel, Cancelled, Done, Raster, Run, Value

from . import daemon, likeness
from .memory import MIB, resident
from .picture import Picture, frame, photograph
from .plan import Plan
from .row import Figure, Row, rounded

SAMPLES = ("brick", "grass", "gravel")
SIDE = 256
METHODS: dict[str, dict[str, Value]] = {
    "default": {},
    "random filters": {"model": "texture/random"},
    "random filters from noise": {"model": "texture/random", "start": "noise"},
}
LIMIT_SECONDS = 60.0
BOTH = (True, True)
LOSS_SHARE = 0.01
"""Of the loss of noise, that is to be reached."""
NOISE_SEED = 1


def measure(plan: Plan) -> list[Row]:
    return [_likeness(plan), _descent(plan, "cpu")]


def _likeness(plan: Plan) -> Row:
    made: dict[str, dict[str, tuple[Tensor, float]]] = {}
    with daemon.running(plan.home) as own, own.connect() as client:  # which is to be answered: nothing else meanwhile
        for name in SAMPLES:
            made[name] = {}
            for method, parameters in METHODS.items():
                plan.say(f"texture: {name}, {method}")
                made[name][method] = _grown(client, crops(name)[0], parameters)
        large = list(_large(client, plan))
    figures: list[Figure] = []
    detail = {}
    for name, methods in made.items():
        sample, elsewhere = crops(name)
        told = {"floor": _compared(elsewhere, sample, (False, False)), "quilt": _compared(quilted(sample), sample)}
        for method, (picture, seconds) in methods.items():
            told[method] = {**_compared(picture, sample), "seam": likeness.seam(picture), "seconds": seconds}
        figures += _figures(name, told)
        detail[name] = {
            method: {measure: rounded(value) for measure, value in each.items()} for method, each in told.items()
        }
    measured = f"`texture` of {SIDE}² from a crop of {SIDE}² that repeats both ways, beside another crop and quilting"
    return Row("texture", measured, (*figures, *large), detail=detail)


def _figures(name: str, told: dict[str, dict[str, float]]) -> Iterator[Figure]:
    made, floor, sewn = told["default"], told["floor"], told["quilt"]
    yield Figure(f"{name}, default", made["seconds"], "s", LIMIT_SECONDS, at_least=False)
    for measure in ("gram", "patches", "autocorrelation"):
        yield Figure(f"{measure}, of the floor", made[measure] / floor[measure])
        yield Figure("quilt's, of the floor", sewn[measure] / floor[measure])


def _large(client: Client, plan: Plan) -> Iterator[Figure]:
    """Of the largest that is usual, in colour: seconds, memory, and how soon it is cancelled."""
    side = plan.sizes.texture_large
    sample = photograph(SIDE)
    worker = daemon.status(client).worker_pid
    methods: dict[str, dict[str, Value]] = {
        "patches": {},
        "random filters": {"model": "texture/random", "iterations": 2},
    }
    for name, parameters in methods.items():
        plan.say(f"texture: {side}² by {name}")
        run = _request({**parameters, "width": side, "height": side}, SIDE, 3)
        before = resident(worker)["VmRSS"] if Path("/proc/self/status").exists() else 0
        began = time.perf_counter()
        client.send(run, [frame(sample)])
        daemon.until(client, run.job, Done)
        yield Figure(f"{side}² by {name}", time.perf_counter() - began, "s")
        if before:
            yield Figure("memory beyond the idle worker's", (resident(worker)["VmHWM"] - before) / MIB, "MiB")
        run = _request({**parameters, "width": side, "height": side}, SIDE, 3)
        client.send(run, [frame(sample)])
        longest = 0.0
        for wait in (1.0, 3.0, 6.0):
            time.sleep(wait)
            client.send(Cancel(run.job))
            longest = max(longest, daemon.until(client, run.job, Cancelled))
            run = _request({**parameters, "width": side, "height": side}, SIDE, 3)
            client.send(run, [frame(sample)])
        client.send(Cancel(run.job))
        daemon.until(client, run.job, Cancelled)
        yield Figure("until it is cancelled, the longest of 3", longest * 1e3, "ms")


def crops(name: str) -> tuple[Tensor, Tensor]:
    """Two that have nothing in common, (1, 1, SIDE, SIDE), 0..1."""
    from skimage import data

    whole = torch.from_numpy(getattr(data, name)()).float()[None, None] / 255
    return whole[..., :SIDE, :SIDE].contiguous(), whole[..., SIDE:, SIDE:].contiguous()


def _compared(made: Tensor, sample: Tensor, wrap: tuple[bool, bool] = BOTH) -> dict[str, float]:
    return {
        "gram": likeness.gram(made, sample, wrap),
        "patches": likeness.patches(made, sample),
        "autocorrelation": likeness.autocorrelation(made, sample),
    }


def quilted(sample: Tensor) -> Tensor:
    """By quilting alone, of the size of the sample, repeating both ways: (1, C, SIDE, SIDE)"""
    planes = sample[0].permute(1, 2, 0).contiguous()
    usable = torch.ones(planes.shape[:2], dtype=torch.bool)
    at = quilt(planes, usable, (SIDE, SIDE), BOTH, torch.Generator().manual_seed(NOISE_SEED))
    return planes.flatten(0, 1)[at].permute(2, 0, 1).unsqueeze(0)


def _grown(client: Client, sample: Tensor, parameters: dict[str, Value]) -> tuple[Tensor, float]:
    """A texture by the daemon, and the seconds from request to result."""
    gray: Picture = sample[0, 0].mul(255).round().byte().numpy()
    run = _request(parameters, SIDE, 1)
    began = time.perf_counter()
    done, frames = client.run(run, [frame(gray)])
    seconds = time.perf_counter() - began
    if not isinstance(done, Done):
        raise RuntimeError("the job was cancelled")
    made = torch.frombuffer(bytearray(frames[done.images["image"].frame]), dtype=torch.uint8)
    return made.view(1, 1, SIDE, SIDE).float() / 255, seconds


def _request(parameters: dict[str, Value], side: int, channels: int) -> Run:
    return Run(
        secrets.token_hex(16), "texture", parameters, {"image": Raster(side, side, channels)}, wrap_x=True,
        wrap_y=True, priority=BATCH, seed=NOISE_SEED,
    )  # fmt: skip


# --- how soon a loss is reached -------------------------------------------------------------------------------------


def _descent(plan: Plan, device: str) -> Row:
    figures = list(descents(plan, device))
    measured = f"from noise to {LOSS_SHARE:.0%} of its loss, gravel of {SIDE}²"
    note = "VGG-19's weights are drawn by chance: they can be fetched, but are not part of the installation."
    return Row("texture-loss", measured, tuple(figures), note)


def descents(plan: Plan, device: str) -> Iterator[Figure]:
    """Seconds to a given loss, by features and by way of descending."""
    sample, _ = crops("gravel")
    for name, features in _features(device).items():
        for method in (LBFGS, ADAM):
            plan.say(f"texture-loss: {name}, {method}")
            yield Figure(f"{name}, {method}", _seconds_to(features, sample.to(device), method, plan), "s")


def _features(device: str) -> dict[str, Features]:
    network = vgg19.VGG19().to(device).requires_grad_(False)
    return {
        "Gatys, VGG-19": NetworkFeatures(network.answers, network.steps, network.around),
        "random filters": RandomFilters(device=device),
    }


def _seconds_to(features: Features, sample: Tensor, method: str, plan: Plan) -> float:
    its = Sample(sample, False, torch.ones_like(sample[:, :1]))
    statistics = Gram(features, sample, False, its.usable)
    start = grow.noise(Sample(sample.cpu(), False, its.usable.cpu()), (SIDE, SIDE), torch.Generator().manual_seed(0))
    start = start.to(sample.device)
    limits = Bounded(start, torch.full_like(start, float(sample.min())), torch.full_like(start, float(sample.max())))
    began, reached = time.perf_counter(), float("inf")

    def watch(fit: Fit) -> bool:
        nonlocal reached
        spent = time.perf_counter() - began
        if fit.losses[-1] <= LOSS_SHARE:
            reached = spent
        return fit.losses[-1] <= LOSS_SHARE or spent > plan.sizes.texture_seconds

    with contextlib.suppress(Over):
        Fit(limits, lambda each: statistics.loss(each, (False, False)), watch, method, patient=True).run(10_000)
    return reached
