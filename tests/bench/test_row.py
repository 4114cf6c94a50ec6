"""Figures, targets and rows as JSON; the command that prints them."""

from __future__ import annotations

import json

import pytest

from samovar.bench import machine
from samovar.bench.row import Figure, Row, percentile, rounded
from samovar.bench.run import MODULES
from samovar.cli.program import run


@pytest.mark.parametrize(
    ("figure", "met", "words"),
    [
        (Figure("speed", 4.0, "x", 4.0), True, "≥ 4 x"),
        (Figure("speed", 3.9, "x", 4.0), False, "≥ 4 x"),
        (Figure("time", 4.1, "ms", 4.0, at_least=False), False, "≤ 4 ms"),
        (Figure("time", 0.1, "s", 0.3, at_least=False), True, "≤ 0.3 s"),
        (Figure("told", 1.0), None, ""),
    ],
)
def test_a_target_is_to_be_reached_or_not_to_be_exceeded(figure: Figure, met: bool | None, words: str) -> None:
    assert figure.met is met
    assert figure.target_words == words


def test_a_row_meets_its_target_if_all_its_figures_do() -> None:
    good, bad, told = Figure("a", 2.0, "x", 1.0), Figure("b", 0.5, "x", 1.0), Figure("c", 3.0)
    assert Row("r", "", (good, told)).met is True
    assert Row("r", "", (good, bad)).met is False
    assert Row("r", "", (told,)).met is None


def test_a_row_is_json() -> None:
    row = Row("dirty", "again", (Figure("first / again", 21.234, "x", 20.0),), "note", {"tiles": {"total": 4}})
    assert json.loads(json.dumps(row.fields())) == {
        "id": "dirty", "measure": "again", "met": True, "note": "note", "detail": {"tiles": {"total": 4}},
        "figures": [{"name": "first / again", "value": 21.2, "unit": "x", "target": "≥ 20 x", "met": True}],
    }  # fmt: skip


def test_three_digits_are_kept() -> None:
    assert [rounded(value) for value in (1234.5, 0.0012345, 0.0, float("inf"))] == [1230, 0.00123, 0.0, float("inf")]


def test_the_99th_percentile_of_few_values_is_the_worst() -> None:
    values = [float(value) for value in range(1, 61)]
    assert percentile(values, 99) == 60
    assert percentile(values[:50], 50) == 25
    assert percentile([7.0], 99) == 7


def test_the_machine_is_described_in_json() -> None:
    facts = json.loads(json.dumps(machine.describe()))
    assert facts["packages"]["torch"] and facts["processor"] and facts["samovar"]


def test_an_unknown_row_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "--rows", "overhead,nonsense"]) == 2
    said = capsys.readouterr().err
    assert "nonsense" in said and all(id in said for id in MODULES)


def test_what_is_missing_is_said_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("samovar.cli.bench.NEEDED", ("no_such_library",))
    assert run(["bench"]) == 1
    assert capsys.readouterr().err == "samovar: bench needs no_such_library: pip install 'samovar[bench]'\n"
