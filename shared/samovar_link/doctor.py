"""`samovar doctor` for a window of an editor: run beside it, and asked now and then whether it is finished.

It asks no daemon for help, since it is wanted most where none starts.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence

from .launch import daemon_command, start
from .transport import clock

PATIENCE_SECONDS = 300.0


class Doctor:
    """command : argv prefix of the samovar program; None asks `daemon_command()`"""

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._found: str | None = None
        self._until = clock() + PATIENCE_SECONDS
        self._output = tempfile.TemporaryFile()  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        command = command or daemon_command()
        if not command:
            self._end("The program samovar was not found; install it with: pip install samovar")
            return
        try:
            self._process = start(command, ["doctor"], self._output)
        except OSError as error:
            self._end(f"Samovar could not be started ({command[0]}: {error.strerror}).")

    def poll(self) -> str | None:
        """What it found, as text for a bug report; None while it is at it."""
        if self._found is None and self._process is not None:
            if self._process.poll() is not None:
                self._output.seek(0)
                said = self._output.read().decode(errors="replace").strip()
                self._end(said or "samovar doctor ended without a word.")
            elif clock() > self._until:
                self._end(f"samovar doctor was not finished within {PATIENCE_SECONDS:.0f} s.")
        return self._found

    def close(self) -> None:
        """End it, if it is still at it."""
        self._end("Nobody waited for it.")

    def _end(self, found: str) -> None:
        if self._found is None:
            self._found = found
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._output.close()
