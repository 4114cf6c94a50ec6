"""Daemons that the system gives too little to start with, and those whose starter is gone before they are ready."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from ground import COMMAND, Ground, ground

from samovar import descriptors
from samovar_link import Client
from samovar_link.discovery import ConnectionFile
from samovar_link.messages import Done, Raster, Run

pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit, and no such end of a pipe"),
]  # fmt: skip

UNCHECKED = "from samovar import descriptors; descriptors.check = lambda: None; "
"""As when they run out after the check."""
SERVE = "import sys; from samovar.broker import serve; sys.exit(serve())"
ABORTED = -6
"""What libzmq 4.3.5 does where it expects no EMFILE. The check is there for that."""


@pytest.fixture
def place() -> Iterator[Ground]:
    """Where no daemon is left running."""
    with ground() as where:
        yield where
        where.samovar("stop")


def limited(place: Ground, most: int, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, env=place.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)),
    )  # fmt: skip


def wait_for(place: Ground, process: subprocess.Popen[str]) -> bool:
    """Whether it serves; false if it ended."""
    deadline = time.monotonic() + 30
    while process.poll() is None:
        assert time.monotonic() < deadline, "it neither serves nor ends"
        if place.connection_file.exists():
            return True
        time.sleep(0.02)
    return False


def does_a_job(place: Ground) -> bool:
    raster = Raster(300, 200, 4)
    pixels = random.Random(0).randbytes(raster.size_bytes)
    with Client(ConnectionFile.read(place.connection_file), name="test", version="1") as client:
        done, images = client.run(Run("job", "identity", {}, {"image": raster}, keep_result=False), [pixels])
        return isinstance(done, Done) and bytes(images[0]) == pixels


@pytest.mark.parametrize("most", [9, 21, descriptors.FEWEST - 1])
def test_a_daemon_that_may_open_too_few_files_says_how_many_it_needs(place: Ground, most: int) -> None:
    process = limited(place, most, *COMMAND, "serve")
    assert process.stderr is not None
    with process.stderr:
        words = process.stderr.read().splitlines()
    assert process.wait(30) == 1
    assert words[-1] == (
        f"samovar: only {most} files may be open at once, and the daemon needs {descriptors.FEWEST}: "
        "allow it more (ulimit -n)"
    )
    assert not [each for each in words if "Traceback" in each]
    assert place.remains() == []


def test_the_fewest_are_enough_to_start_and_to_do_a_job(place: Ground) -> None:
    process = limited(place, descriptors.FEWEST, *COMMAND, "serve")
    assert wait_for(place, process)
    assert does_a_job(place)
    place.samovar("stop")
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_wherever_descriptors_run_out_a_starting_daemon_says_so_and_calls_it_no_defect(place: Ground) -> None:
    """One more of them each time, until there are enough."""
    refused: list[str] = []
    for most in range(8, descriptors.FEWEST):
        process = limited(place, most, sys.executable, "-c", UNCHECKED + SERVE)
        if wait_for(place, process):
            place.samovar("stop")
        words = process.communicate(timeout=30)[1]
        if process.returncode == 0:
            break
        if process.returncode != ABORTED:
            assert process.returncode == 1, (most, words)
            told = words.splitlines()  # by a thread of pyzmq, too
            refused += [each for each in told if each.startswith("samovar: ")]
    assert process.returncode == 0
    assert set(refused) == {"samovar: the daemon cannot start: Too many open files"}
    assert "because of an error" not in place.log
    assert place.remains() == []


def test_a_daemon_whose_starter_is_gone_serves_all_the_same(place: Ground) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [*COMMAND, "serve", "--let-go"], env=place.environment, stdin=subprocess.DEVNULL, stdout=write, stderr=write,
        text=True,
    )  # fmt: skip
    os.close(write)
    assert wait_for(place, process)
    assert does_a_job(place)
    place.samovar("stop")
    assert process.wait(30) == 0


def test_a_file_that_a_starting_daemon_cannot_open_is_named(place: Ground) -> None:
    key = place.home / "keys" / "server.json"
    for folder in (key.parent, key):
        folder.mkdir(mode=0o700)
    done = place.samovar("serve", "--listen", "tcp://0.0.0.0:7000", "--curve")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"samovar: the daemon cannot start: {key}: Is a directory"
