"""How the daemon starts, is found, keeps strangers out, and ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from peer import SMALL_PIXELS, Peer, small, wait_for_progress

from live_daemon import Daemon, environment_for
from samovar_link.discovery import FILE_NAME, ConnectionFile
from samovar_link.messages import Cancelled, Hello, Ping, Pong, Refused, Status, Stop, Stopping, Welcome

pytestmark = pytest.mark.slow


def serve(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "samovar.broker", *arguments],
        env=environment_for(home), capture_output=True, text=True, timeout=20,
    )  # fmt: skip


def test_hello_is_answered_with_operations_and_limits(shared_daemon: Daemon) -> None:
    with Peer(shared_daemon.connection) as peer:
        assert isinstance(peer.welcome, Welcome)
        assert peer.welcome.pid == shared_daemon.pid
        assert "identity" in [operation.id for operation in peer.welcome.operations]
        assert peer.welcome.limits.lease_seconds == 3.0


def test_both_endpoints_answer(shared_daemon: Daemon) -> None:
    endpoints = shared_daemon.connection.endpoints
    assert [endpoint.split(":")[0] for endpoint in endpoints] == ["ipc", "tcp"]
    assert endpoints[1].startswith("tcp://127.0.0.1:")
    for number in range(2):
        with Peer(shared_daemon.connection, endpoint=number) as peer:
            peer.send(Ping(7))
            assert peer.expect() == Pong(7)


def test_another_protocol_is_refused_with_both_numbers(shared_daemon: Daemon) -> None:
    with Peer(shared_daemon.connection, hello=False) as peer:
        peer.send(Hello(protocol=99, client="krita", version="5"))
        answer = peer.expect()
        assert isinstance(answer, Refused)
        assert (
            answer.kind == "Hello" and "99" in answer.message and "protocol" in answer.message and "1" in answer.message
        )


def test_work_before_hello_is_refused(shared_daemon: Daemon) -> None:
    with Peer(shared_daemon.connection, hello=False) as peer:
        peer.send(Status())
        answer = peer.expect()
        assert isinstance(answer, Refused) and "Hello" in answer.message


@pytest.mark.parametrize("endpoint", [0, 1])
def test_a_wrong_token_gets_no_answer_and_is_logged_once(daemon: Daemon, endpoint: int) -> None:
    for _ in range(2):
        with Peer(daemon.connection, token="0" * 64, endpoint=endpoint, hello=False) as peer:
            peer.send(Hello())
            assert peer.receive(0.3) is None
    assert daemon.log.count("wrong token") == 1
    with Peer(daemon.connection) as peer:
        assert isinstance(peer.welcome, Welcome)


def test_no_credentials_get_no_answer(shared_daemon: Daemon) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
        stranger.linger = 0
        stranger.connect(shared_daemon.connection.endpoints[0])
        stranger.send(b"hello")
        assert not stranger.poll(300)


def test_file_and_folders_are_for_this_user_only(shared_daemon: Daemon) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    ipc_path = Path(shared_daemon.connection.endpoints[0].removeprefix("ipc://"))
    assert mode(shared_daemon.connection_file) == 0o600
    assert mode(ipc_path) == 0o600
    assert mode(ipc_path.parent) == 0o700
    assert mode(shared_daemon.home) == 0o700
    assert mode(shared_daemon.home / "log") == 0o700
    assert mode(shared_daemon.home / "log" / "samovar.log") == 0o600


def test_a_second_daemon_says_who_is_there_and_succeeds(shared_daemon: Daemon) -> None:
    second = serve(shared_daemon.home)
    assert second.returncode == 0
    assert f"already running: pid {shared_daemon.pid}" in second.stdout
    assert shared_daemon.connection.endpoints[0] in second.stdout
    assert shared_daemon.connection.pid == shared_daemon.pid


def test_a_taken_port_is_one_sentence_and_exit_code_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = serve(tmp_path / "home", "--port", str(port))
    assert result.returncode == 1
    assert (
        result.stderr.splitlines()[-1] == f"samovar: port {port} is taken by another program; choose another, or none"
    )
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "home" / FILE_NAME).exists()


def test_a_fixed_port_is_used(start_daemon: Callable[..., Daemon]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = start_daemon("--port", str(port))
    assert daemon.connection.endpoints[1] == f"tcp://127.0.0.1:{port}"


@pytest.mark.parametrize("place", ["home", "home/log"])
def test_a_file_where_a_folder_belongs_is_one_sentence(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("")
    result = serve(tmp_path / "home")
    assert result.returncode == 1
    assert result.stderr == f"samovar: Samovar's folder {tmp_path / 'home'} cannot be used: File exists\n"


def test_the_file_of_a_killed_daemon_is_replaced(start_daemon: Callable[..., Daemon]) -> None:
    first = start_daemon()
    stale = first.connection
    first.process.kill()
    first.process.wait()
    assert first.connection_file.exists()
    second = start_daemon()
    assert second.connection.pid == second.pid and second.connection.token != stale.token
    with Peer(second.connection) as peer:
        assert isinstance(peer.welcome, Welcome)


def test_stop_cancels_tells_everybody_and_removes_every_trace(daemon: Daemon) -> None:
    ipc_path = Path(daemon.connection.endpoints[0].removeprefix("ipc://"))
    connection = daemon.connection
    with Peer(connection) as owner, Peer(connection) as other:
        job = small(seconds=60)
        owner.send(job, SMALL_PIXELS)
        wait_for_progress(owner)
        workers = daemon.workers()
        other.send(Stop())
        assert other.expect() == Stopping()
        assert isinstance(owner.outcome(job.job)[0], Cancelled)
        assert owner.expect() == Stopping()
        assert daemon.process.wait(5) == 0
    assert not daemon.connection_file.exists() and not ipc_path.exists()
    assert psutil.wait_procs(workers, timeout=2)[1] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(daemon: Daemon, number: int) -> None:
    with Peer(daemon.connection) as peer:
        os.kill(daemon.pid, number)
        assert peer.expect() == Stopping()
        assert daemon.process.wait(5) == 0
    assert not daemon.connection_file.exists()
    assert "Traceback" not in daemon.log


def test_a_killed_daemon_leaves_no_worker(daemon: Daemon) -> None:
    with Peer(daemon.connection) as peer:
        peer.send(small(seconds=60), SMALL_PIXELS)
        wait_for_progress(peer)
        workers = daemon.workers()
        assert len(workers) == 1
        daemon.process.kill()
        daemon.process.wait()
        assert psutil.wait_procs(workers, timeout=2)[1] == []


def test_start_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys, samovar.broker, samovar.card, samovar.operation as o; samovar.card.discover(); o.discover();"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert found.stdout.strip() == "[]"


def test_a_folder_of_somebody_else_is_not_used_for_the_socket(
    start_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    (home / "run").chmod(0o755)
    daemon = start_daemon(home=home, XDG_RUNTIME_DIR=str(tmp_path))
    assert str(tmp_path / "samovar") in daemon.connection.endpoints[0]
    assert "must be a folder of this user" in daemon.log


def test_two_daemons_that_start_at_once_become_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "samovar.broker"]
    pair = [
        subprocess.Popen(
            command, env=environment_for(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for _ in range(2)
    ]
    try:
        deadline = time.monotonic() + 10
        while all(process.poll() is None for process in pair) and time.monotonic() < deadline:
            time.sleep(0.01)
        ended = [process for process in pair if process.poll() is not None]
        assert [process.returncode for process in ended] == [0]
        assert ended[0].stdout is not None and "already running" in ended[0].stdout.read()
        assert ConnectionFile.read(home / FILE_NAME).pid in {process.pid for process in pair} - {ended[0].pid}
    finally:
        for process in pair:
            process.terminate()
            process.wait(5)
            assert process.stdout is not None
            process.stdout.close()
