"""What the clients of the fault tests ask for, and what must come back, known before anything is broken."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from samovar_link.client import Client
from samovar_link.messages import Done, Raster, Run, Value


@dataclass(frozen=True)
class Request:
    """number : of the picture, which follows from it"""

    number: int
    operation: str
    raster: Raster
    parameters: dict[str, Value] = field(default_factory=dict)
    keep_result: bool = False
    stream: bool = False

    def run(self, job: str) -> Run:
        return Run(
            job, self.operation, self.parameters, {"image": self.raster}, keep_result=self.keep_result,
            stream=self.stream,
        )  # fmt: skip

    def pixels(self) -> bytes:
        return random.Random(self.number).randbytes(self.raster.size_bytes)


def digest(images: Sequence[bytes | memoryview]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for each in images:
        state.update(each)
    return state.hexdigest()


def _network(number: int, side: int, operation: str, model: str, stream: bool = False) -> Request:
    return Request(number, operation, Raster(side, side + number % 7, 3), {"model": model}, stream=stream)


REQUESTS = (
    *(Request(n, "identity", Raster(30 + n, 41, 4)) for n in range(4)),
    *(Request(n, "identity", Raster(48, 60 + n, 3), {"seconds": 0.2 + n / 40}) for n in range(4, 8)),
    *(Request(n, "identity", Raster(64, 64 + n, 1), {"seconds": 0.3}, keep_result=True) for n in range(8, 11)),
    *(Request(n, "identity", Raster(1000, 1500 + n, 4)) for n in range(11, 14)),  # copied on a thread
    _network(14, 48, "upscale", "waifu2x/upconv7-art"),
    _network(15, 64, "denoise", "ffdnet/photo-clean"),
    _network(16, 90, "upscale", "waifu2x/upconv7-art", stream=True),
)
"""Each of another kind or size. Networks are few, because after every death of the worker torch is imported again."""


def expected(client: Client) -> dict[int, str]:
    """Digest of each result, by number, from a daemon that nothing is done to. An identity needs none."""
    found = {each.number: digest([each.pixels()]) for each in REQUESTS if each.operation == "identity"}
    for each in REQUESTS:
        if each.number not in found:
            done, images = client.run(each.run(f"expected-{each.number}"), [each.pixels()])
            assert isinstance(done, Done)
            found[each.number] = digest(images)
    return found


def write_expected(path: Path, found: dict[int, str]) -> None:
    path.write_text(json.dumps(found))


def read_expected(path: Path) -> dict[int, str]:
    return {int(number): each for number, each in json.loads(path.read_text()).items()}
