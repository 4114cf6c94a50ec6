"""Who is there."""

from __future__ import annotations

from samovar.broker.lease import Leases


def test_a_stranger_has_no_lease() -> None:
    leases = Leases(3.0)
    assert leases.renew(b"a", 0.0) is None and leases.lapsed(b"a", 0.0)


def test_a_lease_runs_out_unless_it_is_renewed() -> None:
    leases = Leases(3.0)
    leases.greet(b"a", "krita", "5", 0.0)
    assert not leases.lapsed(b"a", 3.0) and leases.lapsed(b"a", 3.1)
    leases.renew(b"a", 3.0)
    assert not leases.lapsed(b"a", 6.0)
    assert leases.present(6.0) == 1 and leases.present(6.1) == 0


def test_who_cannot_be_reached_has_a_second_to_come_back() -> None:
    leases = Leases(3.0)
    leases.greet(b"a", "", "", 0.0)
    leases.unreachable(b"a", 0.5)
    leases.unreachable(b"a", 1.4)
    assert not leases.lapsed(b"a", 1.5) and leases.lapsed(b"a", 1.6)
    leases.renew(b"a", 1.6)
    assert not leases.lapsed(b"a", 4.0)


def test_the_longest_silent_is_forgotten_when_there_are_too_many() -> None:
    leases = Leases(3.0)
    for number in range(4097):
        leases.greet(b"%d" % number, "", "", float(number))
        leases.renew(b"0", float(number))
    assert leases.get(b"0") is not None and leases.get(b"1") is None and leases.get(b"4096") is not None
