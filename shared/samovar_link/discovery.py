"""Where a client finds the daemon: one JSON file, mode 0600, in the user's data folder.

The file holds a random token and the endpoints, so reading it is the permission to talk. It lives in the data folder,
not the runtime folder, because Flatpak and Snap hide the latter from an editor. One that is another user's, or that
others may read, is not used (`ownership`). `SAMOVAR_HOME` moves everything of one daemon (file, sockets, log) to
another folder; `SAMOVAR_CONNECTION_FILE` only tells a client where to look.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import DaemonUnavailable
from .messages import PROTOCOL
from .ownership import read_private

FILE_NAME = "connection.json"
_MAX_CHARACTERS = 1 << 16
_MAX_TOKEN_BYTES = 255  # what a PLAIN handshake carries


@dataclass(frozen=True)
class ConnectionFile:
    """What the daemon writes and a client reads. `endpoints` are tried in order."""

    pid: int
    token: str
    endpoints: tuple[str, ...]
    protocol: int = PROTOCOL
    version: str = ""

    def write(self, path: Path) -> None:
        """Write whole or not at all, readable by this user only."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in path.parent.glob(path.name + "?*"):  # by a daemon that was killed while it wrote; it holds a token
            with contextlib.suppress(OSError):
                left.unlink()
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mkstemp makes it 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(asdict(self), file)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):  # what went wrong first is what is told
                os.unlink(temporary)
            raise

    @classmethod
    def read(cls, path: Path) -> ConnectionFile:
        """Raises FileNotFoundError if there is none, DaemonUnavailable if it cannot be used."""
        try:
            text = read_private(path, "connection file")
            if len(text) > _MAX_CHARACTERS:
                raise ValueError("too long")
            fields = json.loads(text)
            found = cls(
                pid=int(fields["pid"]), token=str(fields["token"]), endpoints=tuple(map(str, fields["endpoints"])),
                protocol=int(fields["protocol"]), version=str(fields.get("version", "")),
            )  # fmt: skip
            found._check()
            return found
        except FileNotFoundError:
            raise
        except OSError as error:
            raise DaemonUnavailable(
                f"Samovar's connection file {path} cannot be read ({error.strerror}); make it readable for this user."
            ) from error
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise DaemonUnavailable(
                f"Samovar's connection file {path} is damaged; stop Samovar, delete the file and start it again."
            ) from error

    def _check(self) -> None:
        """Raises ValueError for text that neither a handshake nor an address can carry."""
        for text in (self.token, self.version, *self.endpoints):
            text.encode()  # half a surrogate pair cannot be
        if not 1 <= len(self.token.encode()) <= _MAX_TOKEN_BYTES:
            raise ValueError("no token")


def home() -> Path:
    """The folder of the connection file, the lock and the log."""
    if override := os.environ.get("SAMOVAR_HOME"):
        return Path(override)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "samovar"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "samovar"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "samovar"


def candidates() -> list[Path]:
    """Where the connection file may be, best first. Inside a Flatpak XDG_DATA_HOME is not the user's own folder."""
    if override := os.environ.get("SAMOVAR_CONNECTION_FILE"):
        return [Path(override)]
    if os.environ.get("SAMOVAR_HOME"):
        return [home() / FILE_NAME]
    unsandboxed = Path.home() / ".local" / "share" / "samovar" / FILE_NAME
    return list(dict.fromkeys([home() / FILE_NAME, unsandboxed]))


def find() -> tuple[Path, ConnectionFile]:
    """The first connection file there is. Raises DaemonUnavailable if there is none or it cannot be used."""
    for path in candidates():
        try:
            found = ConnectionFile.read(path)
        except FileNotFoundError:
            continue
        if found.protocol != PROTOCOL:
            raise DaemonUnavailable(
                f"The running Samovar {found.version} speaks protocol {found.protocol}, this plug-in {PROTOCOL}: "
                "update the older of the two, then restart both: samovar stop ends the daemon."
            )
        return path, found
    raise DaemonUnavailable("Samovar is not running; start it with: samovar serve --detach")
