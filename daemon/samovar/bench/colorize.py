"""Row `colorize`: a gray photograph in colour, by the daemon; and what the seed of this project claims, that colours
come out more even where a picture is colorized small and then enlarged.

The claim is tried on photographs that nothing here was trained on, at the seed's own sizes, three ways: colorized at
128², colorized at 64² and enlarged by SizeDecoder, and colorized at 64² with the lightness kept at 128².
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from samovar import card, networks
from samovar.chroma import lab, pyramid
from samovar.networks import ColourNetwork
from samovar.networks.sizedecoder import SizeDecoder
from samovar_link import Client
from samovar_link.messages import Done, Raster, Run

from . import daemon
from .picture import Picture, frame, photograph
from .plan import Plan
from .row import Figure, Row, milliseconds, rounded

TARGET_SECONDS = 2.0
MODEL, ENLARGER = "samovar/photo-colour", "seed/sizedecoder"
SMALL, LARGE = 64, 128
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "stereo_motorcycle")
EVEN_CHROMA, EVEN_LIGHTNESS = 2.0, 4.0
"""Neighbours that differ by less than this in the true picture are in one region."""


def measure(plan: Plan) -> list[Row]:
    side = plan.sizes.colorize
    times = []
    with daemon.running(plan.home) as own, own.connect() as client:
        _colorize(client, _gray(photograph(side, plan.sizes.colorize_rounds)))  # starts the worker, loads the network
        for turn in range(plan.sizes.colorize_rounds):
            times.append(_colorize(client, _gray(photograph(side, turn))))
    plan.say("colorize: small and then enlarged")
    told = {name: _mean([way(each) for each in _photographs()]) for name, way in _ways().items()}
    figures = [Figure(f"{side}², warm", statistics.median(times), "s", TARGET_SECONDS, at_least=False)]
    for name, result in told.items():
        figures.append(Figure(f"{name}: error of ab", result.error, ""))
        figures.append(Figure("variation of ab inside regions", result.variation, ""))
    measured = f"`colorize` of a gray photograph of {side}²; and {len(PHOTOGRAPHS)} photographs at {LARGE}², three ways"
    detail: dict[str, Any] = {"times": milliseconds(times)}
    detail |= {
        name: {"error": rounded(each.error), "variation": rounded(each.variation)} for name, each in told.items()
    }
    return [Row("colorize", measured, tuple(figures), detail=detail)]


def _gray(picture: Picture) -> Picture:
    gray: Picture = picture.mean(2).astype("uint8")
    return gray


def _colorize(client: Client, gray: Picture) -> float:
    """Seconds from request to result."""
    run = Run(secrets.token_hex(16), "colorize", {"model": MODEL}, {"image": Raster(len(gray), len(gray[0]), 1)})
    began = time.perf_counter()
    done, _ = client.run(run, [frame(gray)])
    seconds = time.perf_counter() - began
    if not isinstance(done, Done):
        raise RuntimeError("the job was cancelled")
    return seconds


# --- small and then enlarged ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Evenness:
    """error : mean distance from the true ab; variation : mean difference of neighbours in ab, where the true picture
    has one region
    """

    error: float
    variation: float


def _mean(found: list[Evenness]) -> Evenness:
    return Evenness(*(sum(getattr(each, name) for each in found) / len(found) for name in ("error", "variation")))


def _photographs() -> list[Tensor]:
    """(1, 3, LARGE, LARGE), 0..1"""
    from skimage import data

    found = []
    for name in PHOTOGRAPHS:
        loaded = getattr(data, name)()
        image = loaded[0] if isinstance(loaded, tuple) else loaded
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = torch.from_numpy(image[top : top + side, left : left + side, :3].copy()).permute(2, 0, 1)[None].float()
        found.append(functional.interpolate(square / 255, (LARGE, LARGE), mode="bilinear", antialias=True).clamp(0, 1))
    return found


def _ways() -> dict[str, Callable[[Tensor], Evenness]]:
    """What each makes of a true picture, of which it sees the lightness alone."""
    catalogue = card.discover()
    colorizer, enlarger = (networks.load(catalogue.get(model), "") for model in (MODEL, ENLARGER))
    assert isinstance(colorizer, ColourNetwork) and isinstance(enlarger, SizeDecoder)

    def seen(level: Tensor) -> Tensor:
        with torch.inference_mode():
            return functional.interpolate(colorizer(level), level.shape[2:], mode="bilinear")

    def directly(level: Tensor) -> Tensor:
        return seen(level)

    def then_enlarged(level: Tensor) -> Tensor:
        small = pyramid.halved(level)
        with torch.inference_mode():
            return lab.of(enlarger.enlarged(lab.image(lab.light_of(small), seen(small))).clamp(0, 1))[1]

    def with_its_lightness(level: Tensor) -> Tensor:
        small = pyramid.halved(level)
        return pyramid.doubled(seen(small), small, level)

    ways = {
        f"at {LARGE}²": directly,
        f"at {SMALL}², by SizeDecoder": then_enlarged,
        f"at {SMALL}², own lightness": with_its_lightness,
    }
    return {name: (lambda image, way=way: _evenness(way, image)) for name, way in ways.items()}  # type: ignore[misc]


def _evenness(way: Callable[[Tensor], Tensor], image: Tensor) -> Evenness:
    level, true = lab.of(image)
    made = way(level)
    error = float((made - true).square().sum(1).sqrt().mean())
    variations = []
    for axis in (2, 3):
        same = (true.diff(dim=axis).abs().amax(1) < EVEN_CHROMA) & (level.diff(dim=axis).abs()[:, 0] < EVEN_LIGHTNESS)
        variations.append(made.diff(dim=axis).square().sum(1).sqrt()[same])
    return Evenness(error, float(torch.cat(variations).mean()))
