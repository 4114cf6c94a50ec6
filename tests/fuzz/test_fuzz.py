"""Every fuzz target on its corpus and on what hypothesis makes of that, for seconds; `make fuzz` does it for long."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from target import CORPUS, MOST_BYTES, Finding, Target, Watch, discover, one_line, peak_bytes

TARGETS = discover()
CASES = [(target, name, data) for target in TARGETS.values() for name, data in target.corpus().items()]
some = settings(
    max_examples=30, deadline=None, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
)  # fmt: skip


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("target", "data"), [case[::2] for case in CASES], ids=[f"{target.name}-{name}" for target, name, _ in CASES]
)
def test_nothing_of_the_corpus_is_a_finding(target: Target, data: bytes) -> None:
    Watch(target)(data)


HUNGRY = [case for case in CASES if 1000 < len(case[2]) < 1 << 16 or case[1] == "half a megabyte of maps"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "data"), [case[::2] for case in HUNGRY], ids=[f"{target.name}-{name}" for target, name, _ in HUNGRY]
)
def test_nothing_of_the_corpus_takes_much_memory(target: Target, data: bytes) -> None:
    tracemalloc.start()
    try:
        target.run(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= MOST_BYTES + len(data)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_what_hypothesis_makes_of_the_corpus_is_no_finding(target: Target) -> None:
    watch, seeds = Watch(target), target.short() or [b""]
    edit = st.tuples(st.integers(0, target.most_bytes), st.binary(max_size=6), st.integers(0, 6))

    @some
    @given(st.sampled_from(seeds) | st.binary(max_size=200), st.lists(edit, max_size=3), st.binary(max_size=60))
    def check(data: bytes, edits: list[tuple[int, bytes, int]], more: bytes) -> None:
        for at, new, removed in edits:
            data = data[: at % (len(data) + 1)] + new + data[at % (len(data) + 1) + removed :]
        watch(data + more)

    check()
    assert watch.executions >= 20


def test_every_folder_of_the_corpus_belongs_to_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} <= set(TARGETS)


# --- what watches -----------------------------------------------------------------------------------------------------


def _burn(data: bytes) -> None:
    end = time.thread_time() + 0.03
    while time.thread_time() < end:
        pass


def _hoard(data: bytes) -> None:
    before, held = peak_bytes(), []
    while peak_bytes() < before + (12 << 20):  # beyond what the process had before
        held.append(b"x" * (1 << 20))


def test_the_watch_notices_who_takes_too_long() -> None:
    with pytest.raises(Finding, match="bad: 1 bytes took"):
        Watch(Target("bad", _burn), most_seconds=0.02)(b"x")


@pytest.mark.skipif(not peak_bytes(), reason="the system does not tell")
def test_the_watch_notices_who_takes_too_much() -> None:
    with pytest.raises(Finding, match="bad: 1 bytes took .* MiB of memory"):
        Watch(Target("bad", _hoard), most_bytes=8 << 20)(b"x")


@pytest.mark.parametrize("text", ["", "a\nb", "x" * 5000, "\x1b[31m"])
def test_what_is_no_line_is_a_finding(text: str) -> None:
    with pytest.raises(Finding):
        one_line(text)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="pip install '.[fuzz]'")
def test_make_fuzz_counts_what_it_does() -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("run.py")), "connection_fields"],
        env={**os.environ, "FUZZ_RUNS": "200"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout.splitlines()[1].split()[1]) >= 200
