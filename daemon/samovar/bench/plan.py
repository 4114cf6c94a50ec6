"""What is to be measured, at which sizes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sizes:
    """Sides in pixels of square pictures, and how often.

    peer_seconds : about how long one contestant may take for one picture; on slow machines the picture is smaller
    """

    overhead: int = 4096
    small: int = 512
    overhead_rounds: int = 10
    warm: int = 512
    warm_rounds: int = 5
    peer: int = 1024
    peer_seconds: float = 30.0
    peer_rounds: int = 3
    dirty: int = 4096
    strokes: int = 20
    memory: int = 8192
    response: int = 2048
    cancels: int = 60
    pings: int = 500
    start: int = 512
    starts: int = 7
    fill: int = 4096
    fill_rounds: int = 5
    restore: int = 256
    restore_seconds: float = 90.0
    restore_sides: tuple[int, ...] = (128, 256, 512)
    restore_large: int = 1024
    previews: int = 8
    colorize: int = 2048
    colorize_rounds: int = 5
    texture_seconds: float = 240.0
    texture_large: int = 2048
    beside: int = 1024
    beside_rounds: int = 9


FULL = Sizes()
QUICK = Sizes(
    overhead_rounds=6, warm_rounds=3, peer=384, peer_seconds=6.0, peer_rounds=1, dirty=1024, strokes=5, response=1024,
    cancels=20, pings=200, starts=3, fill=1024, restore=128, restore_seconds=20.0, restore_sides=(128, 256),
    restore_large=512, previews=4, colorize=1024, colorize_rounds=3,
    texture_seconds=60.0, texture_large=1024, beside=512, beside_rounds=5,
)  # fmt: skip


@dataclass
class Plan:
    """One run of the bench.

    home : an empty folder for daemons of its own; SAMOVAR_HOME of this process, too
    peaks : dtype -> FLOP/s of a large matrix product, the best seen so far in this run
    shares : model -> FLOP/s through the engine over those of a large matrix product, as far as this run has them
    """

    home: Path
    sizes: Sizes = FULL
    quick: bool = False
    quiet: bool = False
    peaks: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    def say(self, sentence: str) -> None:
        """What is being done, for who waits."""
        if not self.quiet:
            print(f"bench: {sentence}", file=sys.stderr, flush=True)
