"""Who is next."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samovar.broker.job import Job, Pixels
from samovar.broker.queue import JobQueue
from samovar_link.messages import Run


def job(name: str, client: str = "a", priority: str = "interactive") -> Job:
    return Job(Run(name, "x", priority=priority), client.encode(), Pixels([]), received=0.0)


def drain(queue: JobQueue) -> list[str]:
    names = []
    while (next_job := queue.pop()) is not None:
        names.append(next_job.id)
    return names


def filled(*jobs: Job) -> JobQueue:
    queue = JobQueue()
    for each in jobs:
        queue.push(each)
    return queue


def test_jobs_of_one_client_keep_their_order() -> None:
    assert drain(filled(job("1"), job("2"), job("3"))) == ["1", "2", "3"]


def test_interactive_jobs_go_first() -> None:
    assert drain(filled(job("1", priority="batch"), job("2"))) == ["2", "1"]


def test_clients_take_turns() -> None:
    jobs = [job("a1"), job("a2"), job("a3"), job("b1", "b"), job("c1", "c"), job("b2", "b")]
    assert drain(filled(*jobs)) == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_a_job_pushed_first_is_next() -> None:
    queue = filled(job("1"))
    queue.push_first(job("0", priority="batch"))
    assert drain(queue) == ["0", "1"]


def test_only_interactive_jobs_go_ahead_of_a_batch_job() -> None:
    queue = filled(job("1", priority="batch"), job("2"), job("3", "b"))
    assert [found.id for found in iter(lambda: queue.pop(ahead=True), None) if found] == ["2", "3"]
    queue.push_first(job("0", priority="batch"))
    assert queue.pop(ahead=True) is None
    queue.push_first(job("4"))
    assert queue.pop(ahead=True).id == "4"  # type: ignore[union-attr]
    assert drain(queue) == ["0", "1"]


def test_a_removed_job_never_comes() -> None:
    one, two, again = job("1"), job("2"), job("3")
    queue = filled(one, two)
    queue.push_first(again)
    assert queue.remove(one) and queue.remove(again) and not queue.remove(one)
    assert len(queue) == 1 and drain(queue) == ["2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["interactive", "batch"])), max_size=30))
def test_every_job_comes_out_once_and_in_order_for_its_client(plan: list[tuple[str, str]]) -> None:
    queue = filled(*(job(str(number), client, priority) for number, (client, priority) in enumerate(plan)))
    assert len(queue) == len(plan)
    names = [int(name) for name in drain(queue)]
    assert sorted(names) == list(range(len(plan)))
    for kind in set(plan):
        own = [name for name in names if plan[name] == kind]
        assert own == sorted(own)


def test_a_job_of_another_client_waits_in_that_ones_line() -> None:
    one, again = job("a1"), job("a0")
    queue = filled(one, job("a2"), job("b1", "b"))
    queue.push_first(again)
    for each in (one, again):
        queue.reassign(each, b"b")
    assert drain(queue) == ["a0", "a2", "b1", "a1"]
    running = job("r")
    queue.reassign(running, b"b")
    assert running.client == b"b" and len(queue) == 0
