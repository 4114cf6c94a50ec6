"""What happens when a network fails: tried another way, told, and never a black layer."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import Laboratory, Smear, noise, smear_card, smooth

from samovar.networks import Network
from samovar.runtimes import PLAIN, Runtime, eager
from samovar.worker import room
from samovar.worker.ladder import Rung, climb
from samovar.worker.pool import Pool
from samovar_link.errors import InternalError, OutOfMemory

SMEAR = {"model": "test/smear"}
Spoil = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


class Failing(Smear):
    """spoil : (input, output, number of the call, from 0) -> what comes out instead"""

    def __init__(self, spoil: Spoil) -> None:
        super().__init__()
        self.calls = 0
        self._spoil = spoil

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self._spoil(x, super().forward(x), self.calls - 1)


def laboratory(spoil: Spoil, on_plain: bool = False) -> Laboratory:
    """Its networks fail on a runtime of their own, and on the plain one only if told so."""
    made = Laboratory(smear_card(), load=lambda card, variant, device: Smear())
    odd = Runtime("odd", "f32", True, lambda: "1", lambda: True, lambda network: Failing(spoil))
    plain = Runtime(
        *PLAIN.split(), True, lambda: "1", lambda: True, odd.prepare if on_plain else lambda network: network
    )  # type: ignore[misc]
    made.engine._ready_pool()
    made.engine._pool = Pool("cpu", made.engine._load, made.clock, lambda *_: odd, plain)  # type: ignore[arg-type]
    return made


def exhausted(limit: int) -> Spoil:
    """Memory for tiles of at most `limit` pixels a side."""

    def spoil(x: torch.Tensor, y: torch.Tensor, call: int) -> torch.Tensor:
        if x.shape[-1] > limit + 4:
            raise MemoryError("injected")
        return y

    return spoil


PLAIN_RESULT = Laboratory(smear_card()).run


def big() -> Network:
    network = Smear()
    network.tile = 128
    return network


def test_out_of_memory_halves_the_tiles_and_the_report_says_so(caplog: pytest.LogCaptureFixture) -> None:
    made = laboratory(exhausted(40))
    made.engine._pool._load = lambda card, variant, device: big()  # type: ignore[union-attr]
    odd = Failing(exhausted(40))
    odd.tile = 128
    made.engine._pool._choose = lambda *_: Runtime("odd", "f32", True, lambda: "", lambda: True, lambda network: odd)  # type: ignore[union-attr]
    with caplog.at_level(logging.WARNING):
        outcome = made.run(noise(130, 130, 3), **SMEAR)
    assert outcome.result.report.retries == (
        "out of memory: tiles of 64 pixels instead of 128", "out of memory: tiles of 32 pixels instead of 64",
    )  # fmt: skip
    assert outcome.result.report.runtime == "odd"
    np.testing.assert_array_equal(outcome.pixels, PLAIN_RESULT(noise(130, 130, 3), **SMEAR).pixels)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2 and "job job" in caplog.text


def test_memory_that_runs_out_at_a_later_tile_costs_the_job_nothing_else() -> None:
    def spoil(x: torch.Tensor, y: torch.Tensor, call: int) -> torch.Tensor:
        if call == 5:
            raise torch.OutOfMemoryError("injected")
        return y

    outcome = laboratory(spoil).run(noise(60, 60, 3), **SMEAR)
    assert len(outcome.result.report.retries) == 1
    np.testing.assert_array_equal(outcome.pixels, PLAIN_RESULT(noise(60, 60, 3), **SMEAR).pixels)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [(lambda y: y * float("nan"), "nan"), (torch.zeros_like, "black"), (lambda y: y * 1e4, "values")],
)
def test_a_picture_that_is_none_never_comes_back(wrong: Callable[[torch.Tensor], torch.Tensor], words: str) -> None:
    picture = smooth(60, 60)
    expected = PLAIN_RESULT(picture, **SMEAR).pixels
    always = laboratory(lambda x, y, call: wrong(y)).run(picture, **SMEAR)
    np.testing.assert_array_equal(always.pixels, expected)
    assert "the plain runtime" in always.result.report.retries[-1] and words in always.result.report.retries[0]
    assert f"{always.result.report.runtime} {always.result.report.dtype}" == PLAIN
    once = laboratory(lambda x, y, call: wrong(y) if call == 3 else y).run(picture, **SMEAR)
    np.testing.assert_array_equal(once.pixels, expected)
    with pytest.raises(InternalError, match=words):
        laboratory(lambda x, y, call: wrong(y), on_plain=True).run(picture, **SMEAR)


def test_a_black_picture_may_come_back_black() -> None:
    outcome = laboratory(lambda x, y, call: y).run(np.zeros((20, 20, 3), np.uint8), **SMEAR)
    assert not outcome.result.report.retries and not outcome.pixels.any()


def test_memory_that_never_suffices_is_said_so() -> None:
    def spoil(x: torch.Tensor, y: torch.Tensor, call: int) -> torch.Tensor:
        raise MemoryError("injected")

    with pytest.raises(OutOfMemory, match="injected"):
        laboratory(spoil, on_plain=True).run(noise(60, 60, 3), **SMEAR)


def test_other_errors_are_nobodys_reason_to_try_again() -> None:
    calls: list[Any] = []

    def attempt(rung: Rung) -> None:
        calls.append(rung)
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        climb(attempt, Rung(64, 1000), False, "job", calls.append)
    assert calls == [Rung(64, 1000)]


@pytest.mark.parametrize(
    ("free_bytes", "side"), [(1 << 40, 128), (4 * 132**2 * 4096, 128), (4 * 132**2 * 4096 - 4, 64), (0, 32)]
)
def test_tiles_are_of_the_size_that_free_memory_allows(free_bytes: int, side: int) -> None:
    network = big()
    network.tile_bytes = 4096
    assert room.side(network, 2, free_bytes) == side


def test_where_little_memory_is_free_tiles_are_smaller_from_the_start() -> None:
    made = Laboratory(smear_card(), load=lambda card, variant, device: big())
    made.engine._ready_pool()
    picture, results = noise(128, 128, 3), []
    for free_bytes in (1 << 40, 1 << 20):
        plain = dataclasses.replace(eager.RUNTIMES[0], free_bytes=lambda free_bytes=free_bytes: free_bytes)
        made.engine._pool = Pool("cpu", made.engine._load, made.clock, plain=plain)  # type: ignore[arg-type]
        results.append(made.run(picture, **SMEAR))
    assert [each.result.report.tiles.total for each in results] == [1, 16]
    assert results[0].pixels.tobytes() == results[1].pixels.tobytes() and not results[1].result.report.retries
