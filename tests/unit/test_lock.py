"""The daemon's lock."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from samovar import lock

HOLD = "import sys, time; from pathlib import Path; from samovar import lock\n" + (
    "with lock.held(Path(sys.argv[1])): print('mine', flush=True); time.sleep(60)"
)


def test_one_holder_at_a_time_and_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / lock.NAME
    assert not lock.is_held(path)
    with lock.held(path):
        assert lock.is_held(path)
        with pytest.raises(lock.Taken), lock.held(path):
            pass
    assert not lock.is_held(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_killed_process_holds_it_no_longer(tmp_path: Path) -> None:
    path = tmp_path / lock.NAME
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    assert lock.is_held(path)
    process.kill()
    with lock.held(path, 5.0):
        pass
    process.wait()
    process.stdout.close()


def test_waits_as_long_as_it_was_told(tmp_path: Path) -> None:
    with lock.held(tmp_path / lock.NAME):
        began = time.monotonic()
        with pytest.raises(lock.Taken), lock.held(tmp_path / lock.NAME, 0.2):
            pass
        assert time.monotonic() - began >= 0.2


def test_respects_the_library_of_that_purpose(tmp_path: Path) -> None:
    path = tmp_path / lock.NAME
    with FileLock(path):
        assert lock.is_held(path)
    with lock.held(path), pytest.raises(Timeout):
        FileLock(path).acquire(timeout=0)
