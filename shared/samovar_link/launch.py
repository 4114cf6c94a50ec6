"""Starting the daemon from a client that found none.

The daemon outlives the editor and must not inherit what the editor made for itself: it gets a session of its own, the
root as working folder (the editor's may be on a disk that is to be unmounted, and `python -m` would import from it),
no open files, and an environment without the editor's own Python and libraries. Whether a daemon runs is not decided
here: `samovar serve --detach` finds one that does, and ends when the daemon answers.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from . import discovery
from .client import Client, connect
from .errors import DaemonUnavailable
from .transport import clock

START_SECONDS = 10.0
PROBE_SECONDS = 2.0

_INSTALL = "install it with: pip install samovar"

_FOREIGN_PYTHON = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONPLATLIBDIR", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONEXECUTABLE",
    "PYTHONNOUSERSITE", "__PYVENV_LAUNCHER__",
)  # fmt: skip
"""What an editor sets to find its own Python's library, or a shell its own: the daemon's Python would look for its
standard library and packages in there and not start at all."""

_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "DYLD_INSERT_LIBRARIES")
"""Where an AppImage or Snap puts its own libraries first: torch would load the editor's old libstdc++. Only entries
inside the bundle go, because a user may point to CUDA by the same variable."""

_BUNDLES = ("APPDIR", "SNAP")

# Like start_new_session elsewhere: neither Ctrl-C nor the editor's end reaches the daemon.
_WINDOWS_FLAGS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)


class DaemonStarter:
    """Starts `samovar serve --detach` and tells, without blocking, when a daemon answers: for event loops.

    command : argv prefix, for example ["/x/.venv/bin/python", "-m", "samovar"]; None asks `daemon_command()`
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = list(command) if command else daemon_command()
        if self._command and os.path.dirname(self._command[0]):  # it starts in another folder
            self._command[0] = os.path.abspath(self._command[0])
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._probe: Client | None = None
        self._started = clock()

    def poll(self) -> bool:
        """Call every 50 to 100 ms. True when a daemon can be connected to.

        Raises DaemonUnavailable with the reason when it failed or took longer than 10 s.
        """
        status = None if self._process is None else self._process.poll()
        if status:
            self._fail(f"Samovar did not start: {self._last_words()}")
        if clock() - self._started > START_SECONDS:
            self._fail(f"Samovar did not start within {START_SECONDS:.0f} s; see: samovar doctor")
        if self._process is not None and status is None:
            return False  # `serve --detach` ends when the daemon answers
        try:
            if self._greeted():
                self.close()
                return True
        except DaemonUnavailable as error:
            if self._process is not None:
                self._fail(str(error))
            self._start()
        if self._process is None and clock() - self._started > PROBE_SECONDS:
            self._start()  # something listens and says nothing: `serve` knows what to make of it
        return False

    def close(self) -> None:
        """Forget everything; a daemon that runs goes on running."""
        if self._probe is not None:
            self._probe.close()
            self._probe = None
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def _greeted(self) -> bool:
        """One step of meeting the daemon that the connection file names."""
        if self._probe is None:
            _, connection = discovery.find()
            self._probe = Client(connection, name="starter", version=connection.version)
        try:
            self._probe.pump(0.0)
        except DaemonUnavailable:
            self._probe = None
            raise
        return self._probe.welcome is not None

    def _start(self) -> None:
        self.close()
        if self._command is None:
            raise DaemonUnavailable(f"Samovar is not running, and the program samovar was not found; {_INSTALL}")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process = start(self._command, ["serve", "--detach"], self._errors)
        except OSError as error:
            self._fail(f"Samovar could not be started ({self._command[0]}: {error.strerror}); {_INSTALL}")

    def _fail(self, sentence: str) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self.close()
        raise DaemonUnavailable(sentence)

    def _last_words(self) -> str:
        assert self._errors is not None and self._process is not None
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        if lines and way_out() and "samovar" not in lines[-1]:
            return f"{lines[-1]}; from inside this sandbox it cannot be started: samovar serve --detach, in a shell"
        if not lines:
            return f"exit status {self._process.returncode}, without a word; see: samovar doctor"
        return lines[-1].removeprefix("samovar: ")


def way_out() -> list[str]:
    """What runs a command outside of the Flatpak that this editor lives in: the daemon's Python is not in there."""
    return ["flatpak-spawn", "--host"] if os.environ.get("FLATPAK_ID") else []


def start(command: Sequence[str], words: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the samovar program, free of everything that this editor made for itself. Raises OSError."""
    return subprocess.Popen(
        [*way_out(), *command, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        cwd=os.path.abspath(os.sep), env=clean_environment(command), start_new_session=True,
        creationflags=_WINDOWS_FLAGS,
    )  # fmt: skip


def clean_environment(command: Sequence[str]) -> dict[str, str]:
    """This process's environment without what it set for its own Python and libraries.

    Untouched when the command is this very Python: what serves us serves it.
    """
    environment = dict(os.environ)
    if folder := environment.get("SAMOVAR_HOME"):
        environment["SAMOVAR_HOME"] = os.path.abspath(folder)  # the daemon starts in another folder
    if command and command[0] == sys.executable:
        return environment
    for name in _FOREIGN_PYTHON:
        environment.pop(name, None)
    bundles = tuple(os.path.join(os.environ[name], "") for name in _BUNDLES if os.environ.get(name))
    for name in _LIBRARY_PATHS:
        entries = environment.pop(name, "").split(os.pathsep)
        kept = [entry for entry in entries if entry and not os.path.join(entry, "").startswith(bundles)]
        if kept:
            environment[name] = os.pathsep.join(kept)
    return environment


def daemon_command(beside: Path | None = None) -> list[str] | None:
    """argv prefix that reaches the samovar program; None if it is nowhere.

    The variable SAMOVAR_COMMAND, else `daemon.json` in the folder `beside` (written by `samovar install`), else PATH.
    """
    if words := shlex.split(os.environ.get("SAMOVAR_COMMAND", ""), posix=os.name == "posix"):
        return words
    if beside is not None:
        try:
            command = json.loads((beside / "daemon.json").read_text(encoding="utf-8"))["command"]
            if isinstance(command, list) and command and all(isinstance(word, str) for word in command):
                return command
        except (OSError, ValueError, KeyError, TypeError):
            pass  # damaged or not there: PATH may still know
    program = shutil.which("samovar")
    return [program] if program else None


def connect_or_start(
    name: str, version: str, command: Sequence[str] | None = None, deadline_seconds: float = 12.0
) -> Client:
    """Connect; if there is no daemon, start one and connect. Blocks."""
    end = clock() + deadline_seconds
    try:
        return connect(name, version, min(2.0, deadline_seconds))
    except DaemonUnavailable:
        starter = DaemonStarter(command)
    while not starter.poll():
        if clock() > end:
            starter.close()
            raise DaemonUnavailable(f"Samovar did not start within {deadline_seconds:.0f} s; see: samovar doctor")
        time.sleep(0.02)
    return connect(name, version, max(2.0, end - clock()))
