"""Looks at one file of weights and prints what it holds, as JSON: `python -m samovar.weights.examine FILE`.

A process of its own, since nobody knows what a file does to who reads it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from samovar.weights import store
from samovar_link.errors import ModelUnavailable


def main(path: Path) -> dict[str, object]:
    from samovar.networks import foreign, trained

    try:
        found = asdict(trained.describe(path) or foreign.describe(path))
    except ModelUnavailable as error:
        return {"refused": str(error)}
    del found["tags"]
    if found["channels"] not in (1, 3):
        return {"refused": f"{path.name} takes pictures of {found['channels']} channels; gray and colour are done"}
    return {"sha256": store.sha256(path), **found}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
