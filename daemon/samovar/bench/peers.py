"""Row `peers`: pixels per second through our engine, over the same models as others run them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from samovar import card
from samovar.card import ModelCard
from samovar_link.messages import Report

from .picture import Picture, photograph, psnr
from .plan import Plan
from .row import Figure, Row, rounded

if TYPE_CHECKING:
    from .ours import Ours

MODELS = ("realesr/animevideo-x4", "waifu2x/upconv7-art", "waifu2x/cunet-art", "realesrgan/anime-x4")
TARGETS = {"onnxruntime f32": 4.0, "ncnn f32": 3.0, "torch f32": 5.0}
CANDIDATE_TARGET = 0.9
PRODUCT = "matrix product"
"""A contestant of another kind, in FLOP/s: what the machine can do at most, at that time."""
SIDES = (1024, 768, 512, 384, 256)
"""Less is mostly what lies around a tile, and says little about larger pictures."""
LEAST_DECIBELS = 35.0
"""Agreement with our result, below which a peer did other work. CUNet's means over tiles cost a peer some."""
PAUSE_SECONDS = 0.3
"""After each contestant, in which its threads stop spinning."""

Speed = Callable[[Picture], float]
"""Input pixels per second with a picture."""


def measure(plan: Plan) -> list[Row]:
    from .ours import Ours

    catalogue = card.discover()
    ours = Ours()
    matches = [Match(plan, catalogue.get(model), ours) for model in MODELS]
    for match in matches:
        match.play()
    return [
        Row(
            "peers", "pixels/s through the engine, tiling and conversion included, over others with the same model",
            tuple(figure for match in matches for figure in match.figures()),
            " ".join(note for note in (*(match.note() for match in matches), _ceilings(plan, matches)) if note),
            {match.card.id: match.detail() for match in matches},
        )
    ]  # fmt: skip


def side_for(plan: Plan, card: ModelCard) -> int:
    """The largest side that a contestant at half of the machine's peak upscales within the time for one picture."""
    from . import flops

    pixels = plan.sizes.peer_seconds * flops.peak(plan) / 2 / flops.per_pixel(card)
    allowed = [side for side in SIDES if side <= plan.sizes.peer] or [plan.sizes.peer]
    return next((side for side in allowed if side * side <= pixels), allowed[-1])


class Match:
    """One model, and all who run it in turn: `peers`, and always the engine and a large matrix product."""

    def __init__(self, plan: Plan, card: ModelCard, ours: Ours, peers: Sequence[str] = (*TARGETS, "candidate")) -> None:
        self.card = card
        self.side = side_for(plan, card)
        self.speeds: dict[str, list[float]] = {}
        self.missing: dict[str, str] = {}
        self.agreement: dict[str, float] = {}
        self._plan = plan
        self._ours = ours
        self._peers = peers
        self._report = Report()
        self._raw = ""

    def play(self) -> None:
        """All rounds. In each the contestants get the same picture, and another one begins."""
        self._plan.say(f"{self.card.id}, {self.side}²")
        contestants = self._contestants()
        for name, contestant in list(contestants.items()):
            try:
                contestant(photograph(64))  # loads, and chooses a runtime
            except (ImportError, RuntimeError, OSError) as error:
                if name not in TARGETS:
                    raise
                self.missing[name] = str(error).splitlines()[0]
                del contestants[name]
        names = list(contestants)
        for turn in range(self._plan.sizes.peer_rounds):
            picture = photograph(self.side, turn + 1)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                self.speeds.setdefault(name, []).append(contestants[name](picture))
                time.sleep(PAUSE_SECONDS)
        self._plan.shares[self.card.id] = self.share()

    def _contestants(self) -> dict[str, Speed]:
        from . import contestant, flops
        from .candidate import Raw

        raw = Raw(self.card, self.side)
        results: dict[str, Picture] = {}

        def us(picture: Picture) -> float:
            began = time.perf_counter()
            result = self._ours.upscale(picture, self.card.id, self.card.scale)
            seconds = time.perf_counter() - began
            results["samovar"] = result.copy()
            self._report = self._ours.report
            self._compare(results)
            return float(picture.shape[0] * picture.shape[1] / seconds)

        def alone(picture: Picture) -> float:
            if not raw.name:
                raw.choose()
                self._raw = raw.name
            return raw.speed()

        def peer(name: str) -> Speed:
            upscale: list[contestant.Upscale] = []

            def run(picture: Picture) -> float:
                if not upscale:
                    upscale.append(contestant.tiled(name, self.card))
                began = time.perf_counter()
                results[name] = upscale[0](picture)
                seconds = time.perf_counter() - began
                self._compare(results)
                return float(picture.shape[0] * picture.shape[1] / seconds)

            return run

        def product(picture: Picture) -> float:
            return flops.product_speed(flops.LARGE, flops.fastest(self._plan))

        peers = {**{name: peer(name) for name in TARGETS}, "candidate": alone}
        return {"samovar": us, PRODUCT: product, **{name: peers[name] for name in self._peers}}

    def _compare(self, results: dict[str, Picture]) -> None:
        """How well the peers agree with us, once all have finished the same picture."""
        names = [name for name in TARGETS if name in self._peers and name not in self.missing]
        if not {"samovar", *names} <= set(results):
            return
        self.agreement = {name: psnr(results["samovar"], results[name]) for name in names}
        results.clear()

    def speed(self, name: str) -> float:
        return statistics.median(self.speeds[name])

    def share(self) -> float:
        """FLOP/s through the engine over those of a large matrix product, both at the same time."""
        from . import flops

        return self.speed("samovar") * flops.per_pixel(self.card) / self.speed(PRODUCT)

    def figures(self) -> list[Figure]:
        ours = self.speed("samovar")
        same = [name for name in TARGETS if name in self.speeds and self.agreement.get(name, 0) >= LEAST_DECIBELS]
        figures = [Figure(f"{self.card.id} / {name}", ours / self.speed(name), "x", TARGETS[name]) for name in same]
        raw = Figure(f"{self.card.id} / {self._raw} raw", ours / self.speed("candidate"), "x", CANDIDATE_TARGET)
        return [*figures, raw]

    def note(self) -> str:
        sentences = [f"{self.card.id} without {name}: {why}." for name, why in self.missing.items()]
        sentences += [
            f"{self.card.id} without {name}: its picture differs from ours ({self.agreement.get(name, 0):.0f} dB)."
            for name in TARGETS
            if name in self.speeds and self.agreement.get(name, 0) < LEAST_DECIBELS
        ]
        if self.side < self._plan.sizes.peer:
            sentences.append(f"{self.card.id} on {self.side}², to end in time.")
        return " ".join(sentences)

    def detail(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "runtime": f"{self._report.runtime} {self._report.dtype}",
            "pixels_per_second": {
                name: {"median": rounded(self.speed(name)), "all": [rounded(speed) for speed in speeds]}
                for name, speeds in self.speeds.items()
                if name != PRODUCT
            },
            "matrix_product_gflops": rounded(self.speed(PRODUCT) / 1e9),
            "agreement_db": {name: round(value, 1) for name, value in self.agreement.items()},
        }


def _ceilings(plan: Plan, matches: list[Match]) -> str:
    """What the machine leaves to be won: how much faster than each peer a run at its matrix-product peak would be."""
    from . import flops

    best = {name: 0.0 for name in TARGETS}
    for match in matches:
        most = match.speed(PRODUCT) / flops.per_pixel(match.card)
        for name in best:
            if name in match.speeds:
                best[name] = max(best[name], most / match.speed(name))
    ratios = ", ".join(f"{ratio:.1f}x {name}" for name, ratio in best.items() if ratio)
    return f"{peaks(plan)}; networks at that peak, at the same time, would reach at most {ratios}." if ratios else ""


def peaks(plan: Plan) -> str:
    """The measured peaks, in words."""
    speeds = {name: value / 1e9 for name, value in plan.peaks.items()}
    words = f"A large matrix product reaches {speeds['f32']:.0f} GFLOP/s in f32"
    if speeds["bf16"] < speeds["f32"]:
        return f"{words} and {speeds['bf16']:.0f} in bf16 (no units for it)"
    return f"{words}, {speeds['bf16']:.0f} in bf16"
