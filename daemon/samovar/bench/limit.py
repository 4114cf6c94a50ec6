"""Row `limit`: how much of what the machine can do at most the networks get out of it."""

from __future__ import annotations

import time

from samovar import card

from . import peers
from .picture import photograph
from .plan import Plan
from .row import Figure, Row, rounded

TARGET = 0.65


def measure(plan: Plan) -> list[Row]:
    """With the speeds of the row `peers` if this run has them, since there all see the same machine."""
    from . import flops

    catalogue = card.discover()
    for model in peers.MODELS:
        if model not in plan.speeds:
            plan.speeds[model] = _speed(plan, model)
    peak = flops.peak(plan)
    needed = {model: flops.per_pixel(catalogue.get(model)) for model in peers.MODELS}
    reached = {model: plan.speeds[model] * needed[model] for model in peers.MODELS}
    return [
        Row(
            "limit", "FLOP/s of the networks, overlap of tiles not counted, over those of a large matrix product",
            tuple(Figure(model, reached[model] / peak, "of peak", TARGET) for model in peers.MODELS),
            f"{peers.peaks(plan)}.",
            {
                "peak_gflops": {name: rounded(speed / 1e9) for name, speed in plan.peaks.items()},
                "gflops": {model: rounded(speed / 1e9) for model, speed in reached.items()},
                "kflop_per_pixel": {model: rounded(flop / 1e3) for model, flop in needed.items()},
            },
        )
    ]  # fmt: skip


def _speed(plan: Plan, model: str) -> float:
    """Input pixels per second through the engine, of the best of two pictures."""
    from .ours import Ours

    its = card.discover().get(model)
    side = peers.side_for(plan, its)
    plan.say(f"limit: {model}, {side}²")
    ours = Ours()
    ours.upscale(photograph(64), model, its.scale)
    best = 0.0
    for turn in (1, 2):
        picture = photograph(side, turn)
        began = time.perf_counter()
        ours.upscale(picture, model, its.scale)
        best = max(best, side * side / (time.perf_counter() - began))
    return best
