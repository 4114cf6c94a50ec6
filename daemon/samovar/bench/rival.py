"""What a plug-in without a daemon does for every picture: start Python, import torch, load the model, run, write.

    python -m samovar.bench.rival MODEL IN OUT

Nothing is made slow on purpose: the same weights by the same reader, tiles of the usual size, float32 and torch's
default layout, as such programs have it.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(model: str, source: str, target: str) -> None:
    from samovar import card

    from . import contestant, picture

    its = card.discover().get(model)
    upscale = contestant.tiled("torch f32", its)
    picture.save(upscale(picture.load(Path(source))), Path(target))


if __name__ == "__main__":
    main(*sys.argv[1:])
