"""The trial of runtimes: the fastest that is right is taken, the others are refused, and it is remembered."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from laboratory import Clock, Smear, smear_card

from samovar import descriptors
from samovar.networks import Network
from samovar.runtimes import PLAIN, NotForThis, Runtime, discover
from samovar.worker import selftest
from samovar.worker.trial import KnownPicture, Trials
from samovar_link.errors import ModelUnavailable

CARD = smear_card()


class Slow(Smear):
    """Takes `seconds` a tile on a clock, and changes what comes out."""

    def __init__(self, clock: Clock, seconds: float, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self._clock, self._seconds, self._change = clock, seconds, change

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self._clock.now += self._seconds
        return self._change(super().forward(x))


class Bench:
    """loads : how many networks were loaded for trials"""

    def __init__(self, path: Path | None = None) -> None:
        self.clock, self.loads, self.path = Clock(), 0, path
        self.runtimes = [self.runtime(*PLAIN.split(), 1.0)]

    def runtime(
        self, name: str, dtype: str, seconds: float, change: Callable[[torch.Tensor], torch.Tensor] = lambda y: y,
        version: str = "1",
    ) -> Runtime:  # fmt: skip
        prepare: Callable[[Network], Network] = lambda network: Slow(self.clock, seconds, change)  # noqa: E731
        return Runtime(name, dtype, dtype == "f32", lambda: version, lambda: True, prepare)

    def choose(self, exact: bool = False) -> str:
        return Trials(self.runtimes, self.path, self.clock).choose(CARD, "", self.load, exact).id

    def load(self) -> Network:
        self.loads += 1
        return Smear()


def test_the_fastest_is_taken_and_for_deep_layers_the_fastest_with_all_digits() -> None:
    bench = Bench()
    bench.runtimes += [bench.runtime("a", "bf16", 0.2), bench.runtime("b", "f32", 0.5), bench.runtime("c", "f32", 2.0)]
    assert (bench.choose(), bench.choose(exact=True)) == ("a bf16", "b f32")


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y + 0.02 * torch.randn_like(y),  # 34 dB
        lambda y: y * float("nan"),
        lambda y: y + 0.004 * (torch.arange(y.shape[-1]) % 2),  # 51 dB, but stripes on what is flat
        torch.zeros_like,
    ],
)
def test_a_runtime_that_is_wrong_is_out_however_fast(change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    bench = Bench()
    bench.runtimes += [bench.runtime("wrong", "f32", 0.01, change), bench.runtime("right", "f32", 0.5)]
    assert bench.choose() == "right f32"


def test_a_runtime_that_raises_is_out() -> None:
    bench = Bench()
    broken = bench.runtime("broken", "f32", 0.0, lambda y: y[:, :, :0] / {}[0])
    bench.runtimes.append(broken)
    assert bench.choose() == PLAIN


def test_what_fails_for_want_of_descriptors_is_not_held_against_a_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(y: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("a library that does not say why")

    bench = Bench(tmp_path / "trials.json")
    bench.runtimes.append(bench.runtime("fast", "f32", 0.1, run_out))
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Too many open files"):
        patch.setattr(descriptors.os, "open", no_more)
        bench.choose()
    bench.runtimes[1] = bench.runtime("fast", "f32", 0.1)
    assert bench.choose() == "fast f32"


def no_more(*_: object) -> int:
    raise OSError(errno.EMFILE, "Too many open files")


def test_what_was_found_is_remembered_until_a_version_changes(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "trials.json")
    bench.runtimes.append(bench.runtime("fast", "f32", 0.1))
    assert bench.choose() == "fast f32" and bench.loads == 2
    assert bench.choose() == "fast f32" and bench.loads == 2
    bench.runtimes[1] = bench.runtime("fast", "f32", 9.0, version="2")
    assert bench.choose() == PLAIN and bench.loads == 4
    bench.path.write_text("{ no json")  # type: ignore[union-attr]
    assert bench.choose() == PLAIN and bench.loads == 6


def test_a_trial_stops_when_it_is_told_to_and_remembers_nothing(tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    def check() -> None:
        if bench.clock.now > 102:
            raise Stop

    bench = Bench(tmp_path / "trials.json")
    bench.runtimes.append(bench.runtime("fast", "f32", 0.1))
    with pytest.raises(Stop):
        Trials(bench.runtimes, bench.path, bench.clock).choose(CARD, "", bench.load, False, check)
    assert not bench.path.exists()  # type: ignore[union-attr]
    assert bench.choose() == "fast f32"


def test_where_there_is_nothing_to_choose_the_model_still_shows_once_what_it_does(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "trials.json")
    assert bench.choose() == PLAIN and bench.loads == 1
    assert bench.choose() == PLAIN and bench.loads == 1


def test_a_model_that_fails_its_self_test_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bench = Bench(tmp_path / "trials.json")
    right = selftest.answer(KnownPicture.of(Smear()).through(Smear(), CARD))
    monkeypatch.setattr(selftest, "answers", lambda: {CARD.id: {"": right}})
    assert bench.choose() == PLAIN
    (tmp_path / "trials.json").unlink()
    wrong = [right[0] + selftest.TOLERANCE + 1, *right[1:]]
    monkeypatch.setattr(selftest, "answers", lambda: {CARD.id: {"": wrong}})
    with pytest.raises(ModelUnavailable, match="fails its self-test here: 3 of 255 levels"):
        bench.choose()
    assert not (tmp_path / "trials.json").exists()


def test_a_model_that_gives_no_picture_at_all_is_not_used() -> None:
    bench = Bench()
    bench.runtimes[0] = bench.runtime(*PLAIN.split(), 1.0, lambda y: y * float("nan"))  # type: ignore[call-arg]
    with pytest.raises(ModelUnavailable, match="gives no picture here"):
        bench.choose()


def test_a_network_that_a_runtime_cannot_take_is_no_cause_for_alarm(caplog: pytest.LogCaptureFixture) -> None:
    def prepare(network: Network) -> Network:
        raise NotForThis("it cannot be compiled for tiles of all sizes")

    bench = Bench()
    bench.runtimes.append(Runtime("picky", "f32", True, lambda: "1", lambda: True, prepare))
    assert bench.choose() == PLAIN
    assert not caplog.records


def test_the_plain_runtime_is_always_there_and_first() -> None:
    assert discover()[0].id == PLAIN


def test_what_cannot_be_kept_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(path: Path, *_: object, **__: object) -> int:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill)
    bench = Bench(tmp_path / "trials.json")
    bench.runtimes.append(bench.runtime("a", "bf16", 0.2))
    assert bench.choose() == "a bf16" and list(tmp_path.iterdir()) == []
