"""The judge of the fault tests: what it lets pass and what it does not. One who is always content proves nothing."""

from __future__ import annotations

import dataclasses

import pytest
from injuries import NO_START, UNAVAILABLE, Fault
from verdict import Attempt, judge

DONE = Attempt("a", 0, 1, 20.0, 20.1, 20.2, "done", True)
LOST = Attempt("a", 0, 0, 10.0, 10.1, 11.0, UNAVAILABLE, None, "Samovar went away")
KILL = Fault("broker killed", 10.9, 10.95, (UNAVAILABLE,))


def test_what_is_done_right_needs_no_reason() -> None:
    assert judge([DONE], []) == []


def test_a_wrong_picture_has_no_excuse() -> None:
    assert "wrong" in judge([dataclasses.replace(DONE, right=False)], [KILL])[0]


def test_an_error_needs_a_fault_at_its_time_that_may_cause_it() -> None:
    assert judge([LOST, DONE], [KILL]) == []
    assert "for no reason" in judge([LOST, DONE], [])[0]
    assert "for no reason" in judge([LOST, DONE], [dataclasses.replace(KILL, begin=12.0, end=12.1)])[0]
    assert "for no reason" in judge([LOST, DONE], [dataclasses.replace(KILL, excuses=("out-of-memory",))])[0]


def test_what_happened_to_another_client_excuses_nothing() -> None:
    assert "for no reason" in judge([LOST, DONE], [dataclasses.replace(KILL, victim="b")])[0]


def test_who_is_told_late_is_named() -> None:
    late = dataclasses.replace(LOST, end=14.05)
    assert "told 3.1 s after" in judge([late, DONE], [KILL])[0]


def test_a_full_disk_excuses_no_client_that_was_connected() -> None:
    full = Fault("disk full", 10.0, 12.0, (NO_START,))
    assert "for no reason" in judge([LOST, DONE], [full])[0]
    assert judge([dataclasses.replace(LOST, sent=None), DONE], [full]) == []


@pytest.mark.parametrize(("deaths", "problems"), [(1, 1), (2, 0)])
def test_one_death_of_the_worker_costs_a_retry_and_not_the_job(deaths: int, problems: int) -> None:
    crashed = dataclasses.replace(LOST, how="worker-crashed")
    assert len(judge([crashed, DONE], [Fault("worker killed", 10.5, 10.6, ("worker-crashed",))] * deaths)) == problems


def test_a_job_that_is_never_done_or_never_ends_is_named() -> None:
    assert any("never done" in each for each in judge([LOST], [KILL]))
    endless = Attempt("a", 0, 0, 10.0, 10.1)
    assert any("no end" in each for each in judge([endless, DONE], [KILL]))
    assert judge([endless, DONE], [Fault("client killed", 10.5, 10.5, victim="a")]) == []
