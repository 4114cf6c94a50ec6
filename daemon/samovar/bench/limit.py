"""Row `limit`: how much of what the machine can do at most the networks get out of it."""

from __future__ import annotations

from samovar import card

from . import peers
from .plan import Plan
from .row import Figure, Row, rounded

TARGET = 0.65


def measure(plan: Plan) -> list[Row]:
    """As measured for the row `peers` if this run has that, since there networks and products took turns, too."""
    from . import flops
    from .ours import Ours

    catalogue = card.discover()
    ours = Ours()
    for model in peers.MODELS:
        if model not in plan.shares:
            peers.Match(plan, catalogue.get(model), ours, peers=()).play()
    needed = {model: flops.per_pixel(catalogue.get(model)) for model in peers.MODELS}
    return [
        Row(
            "limit", "FLOP/s of the networks, overlap of tiles not counted, over those of a large matrix product",
            tuple(Figure(model, plan.shares[model], "of peak", TARGET) for model in peers.MODELS),
            f"{peers.peaks(plan)}.",
            {
                "peak_gflops": {name: rounded(speed / 1e9) for name, speed in plan.peaks.items()},
                "kflop_per_pixel": {model: rounded(flop / 1e3) for model, flop in needed.items()},
            },
        )
    ]  # fmt: skip
