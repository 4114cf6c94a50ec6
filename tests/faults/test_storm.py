"""Every kind of fault once, around clients that work. The long run is `python -m tests.faults`."""

from __future__ import annotations

import sys

import pytest
from ground import ground
from injuries import CLIENT_FAULTS, DAEMON_FAULTS
from storm import Storm, summary

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(600),
    pytest.mark.skipif(sys.platform != "linux", reason="breaks things as only Linux lets one"),
]  # fmt: skip


DISK = {"disk full", "disk read-only"}
KINDS = {
    "worker killed", "broker killed", "stale connection file", "daemons race", *DISK, "clock jumps",
    "no shared memory", "no descriptors", "client killed", "client stops for a moment", "client stops",
}  # fmt: skip


def test_every_job_ends_right_or_with_a_named_error_at_its_own_client_whatever_breaks() -> None:
    with ground() as where:
        disk = () if where.mounted else ("fill_disk", "make_read_only")
        faults = [each for each in (*DAEMON_FAULTS, *CLIENT_FAULTS) if each not in disk]
        verdict = Storm(where, seed=11, clients=3, jobs=30, seconds=0.0).run(faults)
        if verdict.problems:
            print(where.log)
    print(summary(verdict))
    assert verdict.problems == []
    done = {(each.client, each.job) for each in verdict.attempts if each.how == "done"}
    assert len(done) >= 30
    assert {each.kind for each in verdict.faults} >= KINDS - (DISK if disk else set())
