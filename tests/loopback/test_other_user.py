"""Another user of the same machine: gets no token, no socket, no pixels, and no answer.

A program that runs as that user tries every door. The same program run as the daemon's own user opens all of them
but those that ask for the token: so what stops the other one is who it is.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from peer import Peer, identity, wait_for_progress

from live_daemon import Daemon, environment_for, running_daemon
from samovar_link.discovery import ConnectionFile
from samovar_link.errors import DaemonUnavailable
from samovar_link.messages import Raster, Welcome

pytestmark = pytest.mark.slow

NOBODY = 65534
SECRET = b"these are the pixels of a secret"

BURGLAR = r"""
import json, os, socket, sys

def attempt(what):
    try:
        return what()
    except OSError as error:
        return type(error).__name__

def handshake(family, address):
    # A greeting, and HELLO with a token that is wrong: RFC 23 and 24.
    with socket.socket(family, socket.SOCK_STREAM) as line:
        line.settimeout(3)
        line.connect(address)
        line.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"PLAIN".ljust(20, b"\0") + bytes(32))
        hello = b"\x05HELLO\x07samovar" + bytes([64]) + b"0" * 64
        line.sendall(b"\x04" + bytes([len(hello)]) + hello)
        said = b""
        try:
            while chunk := line.recv(4096):
                said += chunk
        except OSError as error:
            return [said.hex(), type(error).__name__]
        return [said.hex(), "closed"]

def memory(pid):
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{name}"
        if "memfd:samovar" in os.readlink(path):
            with open(path, "rb") as file:
                found.append(file.read(1 << 16).hex())
    return found

ask = json.load(sys.stdin)
print(json.dumps({
    "file": attempt(lambda: open(ask["file"]).read()),
    "log": attempt(lambda: len(open(ask["log"]).read())),
    "ipc": attempt(lambda: handshake(socket.AF_UNIX, ask["ipc"])),
    "tcp": attempt(lambda: handshake(socket.AF_INET, ("127.0.0.1", ask["port"]))),
    "memory": [attempt(lambda: memory(pid)) for pid in ask["pids"]],
    "shared": sorted(each for each in attempt(lambda: os.listdir("/dev/shm")) if "samovar" in each),
    "folder": attempt(lambda: os.listdir(os.path.dirname(ask["ipc"]))),
}))
"""


@functools.cache
def interpreter() -> str:
    """A Python that the other user may run. Skips loudly if there is none."""
    if sys.platform != "linux":
        pytest.skip("SECOND USER NOT TESTED: this test knows only Linux")
    if os.geteuid() != 0:
        pytest.skip("SECOND USER NOT TESTED: only root can run a program as another user; run the tests as root")
    for each in (
        sys.executable,
        "/usr/bin/python3",
        shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") or "",
    ):
        try:
            done = subprocess.run([each, "-c", ""], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
            if done.returncode == 0:
                return each
        except OSError:
            continue
    pytest.skip("SECOND USER NOT TESTED: there is no Python that it may run; install python3")


def break_in(daemon: Daemon, user: int) -> dict[str, Any]:
    """What the burglar found."""
    ipc, tcp = daemon.connection.endpoints
    ask = {
        "file": str(daemon.connection_file), "log": str(daemon.home / "log" / "samovar.log"),
        "ipc": ipc.removeprefix("ipc://"), "port": int(tcp.rpartition(":")[2]),
        "pids": [daemon.pid, *(each.pid for each in daemon.workers())],
    }  # fmt: skip
    done = subprocess.run(
        [interpreter(), "-I", "-c", BURGLAR], user=user, group=user, extra_groups=[], cwd="/", input=json.dumps(ask),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    """With a home in a place that everybody can reach, as homes of users often are: the tests' own folder is closed."""
    interpreter()
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        with running_daemon(Path(place) / "home", "--idle-seconds", "600") as daemon:
            yield daemon


def test_another_user_gets_no_token_no_socket_no_pixels_and_no_answer(daemon: Daemon) -> None:
    raster = Raster(1 << 8, 1 << 9, 4)
    pixels = SECRET * (raster.size_bytes // len(SECRET))
    with Peer(daemon.connection) as peer:
        peer.send(identity(raster, seconds=60.0), pixels)
        wait_for_progress(peer)
        owner, other = break_in(daemon, os.geteuid()), break_in(daemon, NOBODY)
        # Not only because the home is closed to it.
        for each in (daemon.home, daemon.home / "log", Path(daemon.connection.endpoints[0][6:]).parent):
            each.chmod(0o755)
        inside = break_in(daemon, NOBODY)

    assert daemon.connection.token in owner["file"] and owner["log"] > 0
    assert any(SECRET.hex() in each for found in owner["memory"] for each in found), "the burglar would find them"
    assert owner["ipc"][0] and owner["ipc"][0] == owner["tcp"][0], "it would get through"

    for found in (other, inside):
        assert found["file"] == found["log"] == found["ipc"] == "PermissionError"
        assert found["memory"] == ["PermissionError"] * 2
        assert found["shared"] == []
    assert other["folder"] == "PermissionError"

    said = bytes.fromhex(other["tcp"][0])
    assert said[:1] == b"\xff" and said[12:17] == b"PLAIN", "a greeting, as anybody gets"
    assert b"400" in said[64:] and len(said) < 64 + 16, "and a number"
    assert daemon.log.count("wrong token") == 2, "once for the owner's ipc, once for tcp"


def test_a_connection_file_that_another_user_put_there_is_not_used(tmp_path: Path) -> None:
    interpreter()
    path = tmp_path / "connection.json"
    ConnectionFile(1, "theirs", ("tcp://127.0.0.1:9",)).write(path)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(
        DaemonUnavailable, match=f"belongs to another user .number {NOBODY}, this one is 0., so it is not"
    ):
        ConnectionFile.read(path)


def test_a_home_of_another_user_is_not_used(tmp_path: Path) -> None:
    interpreter()
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    done = subprocess.run(
        [sys.executable, "-m", "samovar.broker"], env=environment_for(home), capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1 and list(home.iterdir()) == []
    assert done.stderr == (
        f"samovar: Samovar's folder {home} belongs to another user (number {NOBODY}); choose another: SAMOVAR_HOME\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_what_others_could_write_in_is_closed_to_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "log").mkdir(parents=True)
    (home / "log" / "samovar.log").write_text("from before\n")
    for each in (home, home / "log", home / "log" / "samovar.log"):
        each.chmod(0o777)
    with running_daemon(home) as daemon, Peer(daemon.connection) as peer:
        assert isinstance(peer.welcome, Welcome)
        assert [each.stat().st_mode & 0o777 for each in (home, home / "log", home / "log" / "samovar.log")] == [
            0o755, 0o700, 0o600,
        ]  # fmt: skip
