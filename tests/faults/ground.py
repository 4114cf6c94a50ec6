"""Where faults happen: a home of its own, on a file system that can be filled up, and what runs and lies there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from samovar_link.discovery import FILE_NAME

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "samovar"]
HOME_MEGABYTES = 24
_LEFT_BY_DESIGN = {"daemon.lock", "log", "checkpoints", "models", "trials.json", "run"}


@dataclass
class Ground:
    """home : of the daemons; switches : folder of `broken/sitecustomize.py`; mounted : home is a file system"""

    home: Path
    switches: Path
    temporary: Path
    mounted: bool

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SAMOVAR_", "XDG_RUNTIME"))}
        paths = [str(HERE / "broken"), os.environ.get("PYTHONPATH", "")]
        return {
            **kept, "SAMOVAR_HOME": str(self.home), "SAMOVAR_RUNTIME": "torch f32", "TMPDIR": str(self.temporary),
            "SAMOVAR_FAULTS": str(self.switches), "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }  # fmt: skip

    @property
    def connection_file(self) -> Path:
        return self.home / FILE_NAME

    @property
    def log(self) -> str:
        """All of it, in order."""
        files = sorted((self.home / "log").glob("samovar.log*"), key=lambda path: path.name, reverse=True)
        return "".join(path.read_text(errors="replace") for path in files)

    def samovar(self, *words: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], env=self.environment, capture_output=True, text=True, timeout=60, **options
        )  # type: ignore[call-overload,no-any-return]

    # --- processes ----------------------------------------------------------------------------------------------------

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those of this home with all `words` in their command line, whoever is their parent now."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = process.cmdline()
                ours = all(word in line for word in words) and is_alive(process)
                if ours and process.environ().get("SAMOVAR_HOME") == str(self.home):
                    found.append(process)
        return found

    def brokers(self) -> list[psutil.Process]:
        """Also those that are just starting."""
        return self.processes("serve", "--let-go")

    def workers(self) -> list[psutil.Process]:
        return self.processes("samovar.worker.process")

    # --- what must not remain -----------------------------------------------------------------------------------------

    def remains(self) -> list[str]:
        """What a daemon that has ended left behind and should not have."""
        found = [f"process {each.pid}: {' '.join(each.cmdline())}" for each in self.processes("samovar")]
        found += [f"process {each.pid}: a worker" for each in self.workers()]
        for folder in (self.home, self.home / "run", self.temporary):
            entries = [each for each in folder.iterdir()] if folder.is_dir() else []
            found += [str(each) for each in entries if folder != self.home or each.name not in _LEFT_BY_DESIGN]
        return found


def is_alive(process: psutil.Process) -> bool:
    """Neither gone nor a zombie that nobody collected."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def shared_memory() -> set[str]:
    """Everything that has a name; ours has none, so nothing may be added."""
    folder = Path("/dev/shm")
    return {each.name for each in folder.iterdir()} if folder.is_dir() else set()


def holders_of_segments() -> set[int]:
    """Processes that have an anonymous segment open."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(OSError):
            if any("memfd:samovar" in os.readlink(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()):
                found.add(process.pid)
    return found


@contextlib.contextmanager
def ground(megabytes: int = HOME_MEGABYTES) -> Iterator[Ground]:
    """A fresh one; whatever still runs there at the end is killed."""
    with tempfile.TemporaryDirectory(prefix="samovar-faults-") as folder:
        home, switches, temporary = (Path(folder, name) for name in ("home", "switches", "tmp"))
        for each in (home, switches, temporary):
            each.mkdir(mode=0o700)
        mounted = sys.platform == "linux" and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", home], capture_output=True
        ).returncode  # fmt: skip
        found = Ground(home, switches, temporary, mounted)
        try:
            yield found
        finally:
            for process in [*found.processes(), *found.workers()]:
                if process.pid != os.getpid():
                    with contextlib.suppress(psutil.Error):
                        process.kill()
            while mounted and not subprocess.run(["umount", "-l", home], capture_output=True).returncode:
                pass  # one may lie upon the other
