"""Which runtime is fastest for a model on this machine: tried out once, then remembered.

The first time a model is used here, each runtime sends a small picture through it, tiling and all. The plain one
(torch in float32) is the judge: a runtime whose result is further than MIN_PSNR from its, or which does not keep flat
areas flat and at their level, is out, however fast. The others race with a tile of a job's size, and the fastest is
taken; for layers of more than 8 bits the fastest of those that compute with all digits. What was found is kept in a
file, under the weights, the processor and the versions of all libraries.

The judge's own picture is compared with what the model should make of it (see `selftest`): the self-test of a model at
its first use on a machine, also where there is but one runtime.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from samovar import __version__, descriptors
from samovar.card import ModelCard
from samovar.networks import Network, StagedNetwork
from samovar.runtimes import PLAIN, NotForThis, Runtime
from samovar.worker import selftest
from samovar.worker.enlarge import enlarge
from samovar.worker.flats import Flats
from samovar.worker.image import Image
from samovar.worker.known import Unusable
from samovar.worker.passage import Passage
from samovar_link.errors import ModelUnavailable

log = logging.getLogger(__name__)

MIN_PSNR = 45.0
SIDE, STAGED_SIDE = 96, 64
"""Of the picture that is sent through; networks that work in stages are slow and see far."""
RACE_SECONDS = 2.0
"""After this no new round begins."""
FLAT_LEVELS = (32, 128, 224)
"""Of 255, in R, G and B, of the picture that has to stay flat."""

Load = Callable[[], Network]


@dataclass(frozen=True)
class Finding:
    """What became of one runtime. `refused` says why it is out, "" if it is not."""

    runtime: str
    seconds: float = math.inf
    psnr: float = math.inf
    refused: str = ""


@dataclass(frozen=True)
class KnownPicture:
    """What is sent through a network to see what it does."""

    side: int

    @classmethod
    def of(cls, network: Network) -> KnownPicture:
        return cls(STAGED_SIDE if isinstance(network, StagedNetwork) else SIDE)

    @property
    def picture(self) -> Image:
        return picture(self.side)

    def racing_side(self, network: Network) -> int:
        """Of a picture that is one tile; the stages of the slow ones are as long as the picture makes them."""
        return self.side if isinstance(network, StagedNetwork) else network.tile

    def through(self, network: Network, card: ModelCard) -> Image:
        """What the network makes of it, tiling and all. Raises Unusable."""
        return enlarge(self.picture, Passage(network, card, lambda fraction: None))[0]


class Trials:
    """runtimes : of this machine, the plain one first; path : of the file, None remembers nothing"""

    def __init__(
        self, runtimes: Sequence[Runtime], path: Path | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._runtimes = {runtime.id: runtime for runtime in runtimes}
        self._path = path
        self._clock = clock
        self._found: dict[str, list[Finding]] = {}

    def plain(self) -> Runtime:
        return self._runtimes[PLAIN]

    def choose(
        self, card: ModelCard, variant: str, load: Load, exact: bool, check: Callable[[], None] = lambda: None
    ) -> Runtime:
        """The fastest runtime; if `exact`, the fastest that computes with all digits.

        check : called between tiles; what it raises ends the trial, of which nothing is remembered then
        """
        findings = self.remembered(card, variant) or self.measure(card, variant, load, check)
        able = [each for each in findings if not each.refused and (self._runtimes[each.runtime].exact or not exact)]
        return self._runtimes[min(able, key=lambda each: each.seconds).runtime] if able else self.plain()

    def measure(
        self, card: ModelCard, variant: str, load: Load, check: Callable[[], None] = lambda: None
    ) -> list[Finding]:
        """Try all runtimes now, and remember what came of it."""
        began = self._clock()
        judge: list[Image] = []
        flats = Flats(functools.cache(load), card)
        entries = []
        for runtime in self._runtimes.values():
            check()
            entries.append(self._try(runtime, card, variant, load(), flats, judge, check))
        findings = self._race(entries)
        self._remember(self._key(card, variant), findings)
        told = ", ".join(
            f"{each.runtime} {each.refused or f'{each.seconds * 1e3:.0f} ms, {each.psnr:.0f} dB'}" for each in findings
        )
        log.info("tried out %s %s in %.1f s: %s", card.id, variant, self._clock() - began, told)
        return findings

    def _try(
        self,
        runtime: Runtime,
        card: ModelCard,
        variant: str,
        network: Network,
        flats: Flats,
        judge: list[Image],
        check: Callable[[], None],
    ) -> tuple[Finding, Passage | None]:
        """Whether a runtime does it right; if so, with a way through it.

        judge : the plain runtime's results, which it puts there
        """
        mend = None if runtime.exact or isinstance(network, StagedNetwork) else flats
        known = KnownPicture.of(network)
        try:
            ready = runtime.prepare(network)
            passage = Passage(ready, card, lambda fraction: check(), flats=mend)
            results = [enlarge(flat_picture(known.side // 2), passage)[0]]
            began = self._clock()
            results.insert(0, enlarge(known.picture, passage)[0])
            seconds = self._clock() - began
            if runtime.id == PLAIN:
                selftest.check(card, variant, results[0])
        except Exception as error:  # whatever a foreign library raises: the others are still there
            if runtime.id == PLAIN and isinstance(error, Unusable):
                raise ModelUnavailable(f"{card.id} gives no picture here: {error}", "see: samovar doctor") from error
            if runtime.id == PLAIN:
                raise
            descriptors.need_one()  # else it is remembered against it
            if not isinstance(error, (Unusable, NotForThis)):
                log.warning("%s cannot run %s", runtime.id, card.id, exc_info=True)
            return Finding(runtime.id, refused=str(error)[:200] or type(error).__name__), None
        if runtime.id == PLAIN:
            judge += results
            return Finding(runtime.id, seconds), passage
        likeness = psnr(results[0], judge[0])
        if likeness < MIN_PSNR:
            reason = f"{likeness:.1f} dB from {PLAIN}, at least {MIN_PSNR:g} wanted"
            return Finding(runtime.id, seconds, likeness, reason), None
        most = 1 if isinstance(network, StagedNetwork) else 0
        if (_levels(results[1]) - _levels(judge[1])).abs().max() > most:
            return Finding(runtime.id, seconds, likeness, "flat areas do not stay flat"), None
        return Finding(runtime.id, seconds, likeness), passage

    def _race(self, entries: Sequence[tuple[Finding, Passage | None]]) -> list[Finding]:
        """Those that do it right, again on a tile as large as in a job, in turns; each with its best time."""
        runners = {finding.runtime: passage for finding, passage in entries if passage is not None}
        best: dict[str, float] = {}
        began = self._clock()
        while len(runners) > 1 and self._clock() - began < RACE_SECONDS:
            for name, passage in runners.items():
                image = picture(KnownPicture.of(passage.network).racing_side(passage.network))
                at = self._clock()
                enlarge(image, passage)
                best[name] = min(best.get(name, math.inf), self._clock() - at)
        return [replace(finding, seconds=best.get(finding.runtime, finding.seconds)) for finding, _ in entries]

    # --- memory -----------------------------------------------------------------------------------------------------

    def remembered(self, card: ModelCard, variant: str) -> list[Finding] | None:
        """What an earlier trial found, if it was with the same weights, on the same machine, with the same versions."""
        key = self._key(card, variant)
        if key not in self._found:
            with contextlib.suppress(KeyError, TypeError):
                self._found[key] = [Finding(**each) for each in self._read()[key]]
        return self._found.get(key)

    def _key(self, card: ModelCard, variant: str) -> str:
        versions = [f"{runtime.id} {runtime.version()}" for runtime in self._runtimes.values()]
        words = [card.weights[variant].sha256, __version__, processor(), str(torch.get_num_threads()), *versions]
        return f"{card.id} {variant} {hashlib.sha256(' '.join(words).encode()).hexdigest()[:16]}"

    def _read(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _remember(self, key: str, findings: Sequence[Finding]) -> None:
        self._found[key] = list(findings)
        if self._path is None:
            return
        content = {**self._read(), key: [asdict(each) for each in findings]}
        beside = self._path.with_suffix(f".{os.getpid()}")
        try:
            beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            log.warning("what was found cannot be kept, and will be tried out again: %s", error)
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def picture(side: int) -> Image:
    """Gradients, lines, white and noise, (1, 3, side, side)."""
    y, x = np.mgrid[0:side, 0:side] / side
    planes = np.stack([0.5 + 0.4 * np.sin(3 * x + 2 * y + channel) for channel in range(3)]).astype(np.float32)
    planes[:, :, :: max(side // 16, 2)] = 0.1
    third = side // 3
    planes[:, :third, :third] = 1.0
    planes[:, -third:, -third:] = np.random.default_rng(0).random((3, third, third), np.float32)
    return torch.from_numpy(planes)[None]


def flat_picture(side: int) -> Image:
    return torch.tensor(FLAT_LEVELS).div(255).view(1, 3, 1, 1).expand(-1, -1, side, side).contiguous()


def psnr(result: Image, judge: Image) -> float:
    """Peak signal to noise ratio in decibel, of values 0..1."""
    error = float((result - judge).double().square().mean())
    return math.inf if error == 0 else -10 * math.log10(error)


def _levels(image: Image) -> Image:
    return (image * 255 + 0.5).floor()


def processor() -> str:
    """The processor's name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
