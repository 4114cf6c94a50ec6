"""What a fuzz target is, and what it must not do: raise what is not declared, take long, or hold much memory.

A target is one function of bytes. It returns when everything went as it may, and raises for a finding. Both fuzzers
call it: libFuzzer, led by coverage (`run.py`), and hypothesis with the corpus (`test_fuzz.py`). Whatever is random
comes from the bytes, so that a finding is one file.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

CORPUS = Path(__file__).parent / "corpus"
MOST_SECONDS = 1.0
MOST_BYTES = 64 << 20
"""Beyond the input."""

T = TypeVar("T")


class Finding(AssertionError):
    """A target did what it must not."""


@dataclass(frozen=True)
class Target:
    """One surface.

    name : also that of its folder in the corpus
    run : takes any bytes; raises for a finding
    seeds : where to begin: inputs by what they are, generated so that they follow the code
    words : what bytes alone hardly find, for libFuzzer's dictionary
    most_bytes : of an input that libFuzzer makes up; those of the corpus may be longer
    """

    name: str
    run: Callable[[bytes], None]
    seeds: Callable[[], dict[str, bytes]] = field(default=dict)
    words: tuple[bytes, ...] = ()
    most_bytes: int = 1024

    def corpus(self) -> dict[str, bytes]:
        """Its seeds, and the files in the repository: what once was a finding, or is worth keeping."""
        folder = CORPUS / self.name
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return {**self.seeds(), **{path.name: path.read_bytes() for path in files}}

    def short(self) -> list[bytes]:
        """What of it libFuzzer begins with: led by coverage, Python is ten times as slow."""
        return [content for content in self.corpus().values() if len(content) <= self.most_bytes]


def discover() -> dict[str, Target]:
    """The targets of every `fuzz_*.py` beside this file."""
    modules = [importlib.import_module(path.stem) for path in sorted(Path(__file__).parent.glob("fuzz_*.py"))]
    return {target.name: target for module in modules for target in module.TARGETS}


class Watch:
    """Runs a target and raises Finding where one input takes too long or too much.

    Seconds are those of the processor, so that a busy machine is no finding; what stands still altogether is
    libFuzzer's or pytest's to end. Memory is the growth of the process's peak, which costs nothing to ask; the suite
    measures each input's own with tracemalloc.
    """

    def __init__(self, target: Target, most_seconds: float = MOST_SECONDS, most_bytes: int = MOST_BYTES) -> None:
        target.seeds()  # what has to be imported or made once is, and counts for no input
        self._target = target
        self._most_seconds, self._most_bytes = most_seconds, most_bytes
        self.executions = 0
        self.slowest_seconds = 0.0
        self.grown_bytes = 0

    def __call__(self, data: bytes) -> None:
        before, began = peak_bytes(), time.thread_time()
        self._target.run(data)
        seconds, grown = time.thread_time() - began, peak_bytes() - before
        self.executions += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        self.grown_bytes = max(self.grown_bytes, grown)
        if seconds > self._most_seconds:
            raise Finding(f"{self._target.name}: {len(data)} bytes took {seconds:.1f} s")
        if grown > self._most_bytes + len(data):
            raise Finding(f"{self._target.name}: {len(data)} bytes took {grown >> 20} MiB of memory")


def peak_bytes() -> int:
    """The most memory this process ever had; 0 where nobody tells."""
    if resource is None:
        return 0
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


class Choices:
    """Decisions read from bytes, in order. When there are none left every decision is the first option."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return max(0, len(self._data) - self._at)

    def number(self, size_bytes: int = 1) -> int:
        """Unsigned, of so many bytes."""
        return int.from_bytes(self.take(size_bytes), "big")

    def chance(self, of: int) -> bool:
        """True about once in `of`, never when nothing is left."""
        return self.number() % of == of - 1

    def pick(self, options: Sequence[T]) -> T:
        return options[self.number(1 if len(options) <= 256 else 2) % len(options)]

    def take(self, size_bytes: int) -> bytes:
        """The next bytes, fewer at the end."""
        part = self._data[self._at : self._at + size_bytes]
        self._at += size_bytes
        return part

    def rest(self) -> bytes:
        return self.take(self.left)


def one_line(text: str, most: int = 4000) -> None:
    """An error is a sentence for a user and a line of the log: raises Finding if it is not."""
    if not text.isprintable() or not text or len(text) > most:
        raise Finding(f"no sentence of one line: {text[:200]!r} ({len(text)} characters)")
