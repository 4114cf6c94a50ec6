"""What the system may refuse a daemon that runs (space, memory, descriptors, a steady clock), and what then becomes of
a job, of the daemon and of those that come after; and clients that stand still in the middle of sending."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest
from fault_requests import REQUESTS
from ground import COMMAND, Ground, ground, holders_of_segments, is_alive
from injuries import fill_disk, lowest_free, make_read_only

from samovar_link import Client, DaemonUnavailable, InternalError, OutOfMemory, RemoteError, WorkerCrashed
from samovar_link.discovery import ConnectionFile
from samovar_link.messages import Done, Ping, Pong, Progress, Raster, Run, Status, StatusReport

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow, pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="breaks things as only Linux lets one"),
]  # fmt: skip

MANY = 40
"""New segments, of sizes that no earlier one has."""


@pytest.fixture
def place() -> Iterator[Ground]:
    """With a daemon that runs."""
    with ground() as where:
        started = where.samovar("serve", "--detach")
        assert started.returncode == 0, started
        yield where
        where.samovar("stop")


def client(place: Ground) -> Client:
    return Client(ConnectionFile.read(place.connection_file), name="test", version="1")


def identity(side: int, seconds: float = 0.0, **options: bool) -> tuple[Run, bytes]:
    raster = Raster(side, side, 4)
    run = Run(secrets.token_hex(8), "identity", {"seconds": seconds}, {"image": raster}, keep_result=False, **options)
    return run, random.Random(side).randbytes(raster.size_bytes)


def is_done(client: Client, side: int, seconds: float = 0.0) -> bool:
    run, pixels = identity(side, seconds)
    done, images = client.run(run, [pixels])
    return isinstance(done, Done) and bytes(images[0]) == pixels


@contextlib.contextmanager
def few_descriptors(pid: int, more: int = 0) -> Iterator[None]:
    """While a process can open so many files more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_free(pid) + more, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # a worker that could not go on
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


# --- disk -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("injury", [fill_disk, make_read_only])
def test_a_disk_that_takes_nothing_stops_no_job_and_no_new_worker(place: Ground, injury: object) -> None:
    assert callable(injury)
    with client(place) as found:
        fault = injury(place, random.Random(0))
        if fault is None:
            pytest.skip("a file system of its own takes root")
        try:
            assert is_done(found, 50)  # the worker starts only now
            network = REQUESTS[-1]
            done, _ = found.run(network.run("network"), [network.pixels()])
            assert isinstance(done, Done)
        finally:
            fault.undo()
    place.samovar("stop")
    assert place.remains() == []


@pytest.mark.parametrize(
    ("injury", "reason"), [(fill_disk, "No space left on device"), (make_read_only, "Read-only file system")]
)
def test_a_daemon_that_cannot_write_its_files_says_so_in_one_sentence(injury: object, reason: str) -> None:
    assert callable(injury)
    with ground() as where:
        fault = injury(where, random.Random(0))
        if fault is None:
            pytest.skip("a file system of its own takes root")
        try:
            for words in (["serve"], ["serve", "--detach"]):
                done = where.samovar(*words)
                assert done.returncode == 1
                assert done.stderr.splitlines()[-1].startswith(f"samovar: Samovar's folder {where.home} cannot be used")
                assert reason in done.stderr and "Traceback" not in done.stderr
            assert where.remains() == []
        finally:
            fault.undo()
        assert where.samovar("serve", "--detach").returncode == 0, "it goes once there is room"
        where.samovar("stop")
        assert where.remains() == []


def test_a_daemon_that_ends_on_a_read_only_disk_ends_well(place: Ground) -> None:
    if (fault := make_read_only(place, random.Random(0))) is None:
        pytest.skip("a file system of its own takes root")
    (broker,) = place.brokers()
    try:
        stopped = place.samovar("stop")
        psutil.wait_procs([broker], timeout=10)
        assert not is_alive(broker)
    finally:
        fault.undo()
    assert "Traceback" not in place.log and "ends:" not in place.log
    assert "cannot be used" not in stopped.stderr and "Traceback" not in stopped.stderr, stopped


# --- memory, descriptors --------------------------------------------------------------------------------------------


def test_no_shared_memory_fails_the_job_by_its_name_and_nothing_else(place: Ground) -> None:
    with client(place) as found, client(place) as other:
        assert is_done(found, 50)
        (place.switches / "no-shared-memory").touch()
        run, pixels = identity(500)
        with pytest.raises(OutOfMemory, match="no shared memory for"):
            found.run(run, [pixels])
        assert is_done(other, 50), "what fits the segments that there are still goes"
        (place.switches / "no-shared-memory").unlink()
        assert is_done(found, 500)


@pytest.mark.parametrize(("victim", "more"), [("broker", 0), ("broker", 1), ("worker", 0)])
def test_without_descriptors_jobs_fail_by_name_and_the_daemon_lives(place: Ground, victim: str, more: int) -> None:
    """more : with one that is left a segment can be made, and not be handed over"""
    ended: list[str] = []
    with client(place) as found:
        assert is_done(found, 3)
        broker = place.brokers()[0].pid
        pid = broker if victim == "broker" else place.workers()[0].pid
        with few_descriptors(pid, more):
            for number in range(MANY):
                run, pixels = identity(130 + 20 * number)
                try:
                    done, images = found.run(run, [pixels])
                    assert isinstance(done, Done) and bytes(images[0]) == pixels
                    ended.append("done again" if done.report.retries else "done")
                except (OutOfMemory, InternalError, WorkerCrashed) as error:
                    ended.append(error.code)
        assert set(ended) - {"done"}, "it lacked nothing"
        assert is_done(found, 77)
        assert [each.pid for each in place.brokers()] == [broker]
    assert "Traceback" not in place.log or victim == "worker"


def test_a_model_that_could_not_be_opened_for_want_of_descriptors_is_not_blamed(place: Ground) -> None:
    network = REQUESTS[-1]
    cleaned = dataclasses.replace(network, parameters={**network.parameters, "noise": 1})  # another file
    with client(place) as found:
        found.run(cleaned.run("cleaned"), [cleaned.pixels()])  # all that networks of this kind need is imported
        with few_descriptors(place.workers()[0].pid), pytest.raises(OutOfMemory, match="no more files can be opened"):
            found.run(network.run("without"), [network.pixels()])
        done, _ = found.run(network.run("with"), [network.pixels()])
        assert isinstance(done, Done)


def test_a_worker_in_which_libraries_began_without_descriptors_is_replaced(place: Ground) -> None:
    """Torch looks at the processor once: where that fails, "Your CPU does not support FBGEMM" ever after."""
    network = REQUESTS[-2]
    with client(place) as found:
        assert is_done(found, 50)
        worker = place.workers()[0].pid
        with few_descriptors(worker), pytest.raises(RemoteError):
            found.run(network.run("without"), [network.pixels()])
        done, _ = found.run(network.run("with"), [network.pixels()])
        assert isinstance(done, Done) and not done.report.retries, "it went to the new one at once"
        assert worker not in [each.pid for each in place.workers()]
    assert "the worker is replaced" in place.log


def test_a_folder_of_models_that_changes_while_no_file_can_be_opened_is_no_end_of_the_daemon(place: Ground) -> None:
    """The broker looks through it once a second."""
    broker = place.brokers()[0].pid
    models = place.home / "models"
    models.mkdir(exist_ok=True)
    with client(place) as found:
        assert is_done(found, 50)
        with few_descriptors(broker):
            (models / "half.part").write_bytes(b"")
            end = time.monotonic() + 3.0
            while time.monotonic() < end:
                found.pump()
                time.sleep(0.05)
            assert is_done(found, 50)
    assert [each.pid for each in place.brokers()] == [broker]
    assert "Traceback" not in place.log
    assert place.log.count("the folder of models cannot be looked through") == 1


def test_the_first_result_of_a_daemon_needs_no_descriptor_of_the_broker() -> None:
    """pyzmq opens a socket of its own for the first frame that it does not copy."""
    program = (
        "import os, resource, zmq; from samovar.broker.door import Door; from samovar_link.messages import Limits\n"
        "door = Door('token', Limits(), None)\n"
        "lowest = os.dup(0); os.close(lowest)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))\n"
        "zmq.Frame(memoryview(bytearray(100_000)), copy=False, track=True); print('made', flush=True); os._exit(0)"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert made.stdout == "made\n", made.stderr


def test_broker_and_worker_may_open_as_many_files_as_their_user(place: Ground) -> None:
    place.samovar("stop")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = 256
    place.samovar("serve", "--detach", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard)))
    with client(place) as found:
        assert is_done(found, 10)
    for process in (*place.brokers(), *place.workers()):
        assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0] == min(hard, 65536) > low


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [-86400.0, 30 * 86400.0])
def test_a_clock_that_jumps_ends_no_job_and_no_lease(place: Ground, seconds: float) -> None:
    with client(place) as found:
        run, pixels = identity(40, seconds=4.0)
        found.send(run, [pixels])
        while not isinstance(found.receive(30)[0], Progress):
            pass
        (place.switches / "clock").write_text(str(seconds))
        while not isinstance(message := found.receive(30)[0], Done):
            assert isinstance(message, (Progress, Pong)), message
        assert is_done(found, 41)
    moved = time.strftime("%Y-%m-%d", time.localtime(time.time() + seconds))
    assert moved in place.log, "it was not told the wrong time at all"


# --- clients that stand still ---------------------------------------------------------------------------------------

SENDER = """
import os, signal, sys
from samovar_link import Client, connect
from samovar_link.errors import DaemonUnavailable, RemoteError
from samovar_link.messages import Raster, Run
client = connect("sender", "1", 10.0)
raster = Raster(4000, 4000, 4)
client.send(Run("stopped", "identity", {}, {"image": raster}), [bytes(raster.size_bytes)])
sent, write = 0, client._transport.write
def stop_half_way(buffers):
    global sent
    if sent > raster.size_bytes // 2:
        client._transport.write = write
        print("half", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)
    count = write(buffers)
    sent += count or 0
    return count
client._transport.write = stop_half_way
try:
    while True:
        message, images = client.receive(60)
        if type(message).__name__ in ("Done", "Failed"):
            print(type(message).__name__, getattr(message, "message", ""), flush=True)
            break
except (DaemonUnavailable, RemoteError) as error:
    print(type(error).__name__, error, flush=True)
"""


@pytest.fixture
def sender(place: Ground) -> Iterator[subprocess.Popen[str]]:
    """A client that has stopped in the middle of 64 MB."""
    process = subprocess.Popen([sys.executable, "-c", SENDER], env=place.environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "half\n"
        yield process
        process.kill()
        process.wait()


def test_who_stops_in_the_middle_of_sending_holds_up_nobody_and_leaves_nothing(
    place: Ground, sender: subprocess.Popen[str]
) -> None:
    with client(place) as other:
        assert is_done(other, 500)
        time.sleep(4)  # its lease is over
        assert is_done(other, 501)
        other.send(Status())
        while not isinstance(message := other.receive(10)[0], StatusReport):
            pass
        assert message.jobs == () and message.clients == 1
        sender.kill()
        assert is_done(other, 502)
    place.samovar("stop")
    assert place.remains() == []


@pytest.mark.parametrize("seconds", [0.5, 4.0])
def test_who_goes_on_sending_gets_an_answer(place: Ground, sender: subprocess.Popen[str], seconds: float) -> None:
    time.sleep(seconds)
    os.kill(sender.pid, signal.SIGCONT)
    assert sender.stdout is not None
    words = sender.stdout.readline()
    assert words.startswith("Done") or (seconds > 3 and len(words.split()) > 3), words


# --- the broker dies ------------------------------------------------------------------------------------------------


def test_a_killed_broker_is_told_within_two_seconds_and_the_next_call_starts_another(
    place: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    from samovar_link import connect_or_start

    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    with client(place) as found, client(place) as idle:
        idle.send(Ping())
        while not isinstance(idle.receive(10)[0], Pong):
            pass
        run, pixels = identity(900, seconds=30.0)
        found.send(run, [pixels])
        while not isinstance(found.receive(30)[0], Progress):
            pass
        (broker,), workers = place.brokers(), place.workers()
        assert workers
        began = time.monotonic()
        broker.kill()
        for each in (found, idle):
            with pytest.raises(DaemonUnavailable, match="went away.*samovar serve --detach"):
                while True:
                    each.receive(10)
        assert time.monotonic() - began < 2
    _, alive = psutil.wait_procs(workers, timeout=3)
    assert not [each for each in alive if is_alive(each)]
    assert not {each.pid for each in workers} & holders_of_segments()
    with connect_or_start("test", "1", COMMAND) as again:
        assert is_done(again, 50)
    place.samovar("stop")
    assert place.remains() == []
