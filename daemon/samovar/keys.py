"""CURVE keys: those of this machine, and those of others that may talk to its daemon over the network.

    keys/server.json   key pair of the daemon; who connects has to know its public half
    keys/client.json   key pair of this machine where it is the one that connects
    keys/allowed.txt   "KEY NAME" a line: public keys of the machines that are let in

Pairs are made when they are first asked for. The folder is 0700 and the files 0600, and what is another user's or can
be read by others is not used. Files and libzmq have keys in Z85, 40 characters; people are shown hexadecimal digits,
because many of Z85's characters mean something to a shell.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.utils import z85

from samovar_link.errors import BadRequest, DaemonUnavailable
from samovar_link.ownership import fault_of, read_private

SERVER, CLIENT = "server", "client"
MAX_NAME = 60
_KEY_CHARACTERS, _KEY_BYTES = 40, 32


@dataclass(frozen=True)
class KeyPair:
    """Both halves in Z85."""

    public: str
    secret: str = field(repr=False)


def folder(home: Path) -> Path:
    return home / "keys"


def own(which: str, home: Path) -> KeyPair:
    """A key pair of this machine, made if there is none.

    which : SERVER or CLIENT

    Raises DaemonUnavailable if the file is not to be trusted or is damaged, OSError if it cannot be written.
    """
    path = _made_folder(home) / f"{which}.json"
    if not path.exists():
        public, secret = zmq.curve_keypair()
        _write_new(path, json.dumps({"public": public.decode(), "secret": secret.decode()}))
    try:
        fields = json.loads(read_private(path, "key file"))
        pair = KeyPair(str(fields["public"]), str(fields["secret"]))
        if zmq.curve_public(pair.secret.encode()) != pair.public.encode():
            raise ValueError("the halves do not belong together")
    except (ValueError, KeyError, TypeError, zmq.ZMQError) as error:
        raise DaemonUnavailable(
            f"Samovar's key file {path} is damaged; delete it, and a new pair is made, which the others need to know."
        ) from error
    return pair


def shown(key: str) -> str:
    """A key in Z85 as people are shown it: 64 hexadecimal digits."""
    return z85.decode(key).hex()


def checked(key: str) -> str:
    """A public key that was given in hexadecimal or in Z85, in Z85. Raises BadRequest if it is none."""
    with contextlib.suppress(ValueError, KeyError):
        if len(key) == 2 * _KEY_BYTES:
            return z85.encode(bytes.fromhex(key)).decode()
        if len(key) == _KEY_CHARACTERS and len(z85.decode(key)) == _KEY_BYTES:
            return key
    allowed = f"a public key of {2 * _KEY_BYTES} hexadecimal digits, as `samovar keys` prints it on the other machine"
    raise BadRequest.field("key", key, allowed)


class AllowList:
    """Whose public keys are let in. Read again whenever the file has changed, so that no restart is needed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._path = folder(home) / "allowed.txt"
        self._state: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}

    def names(self) -> dict[str, str]:
        """Key -> name. Raises DaemonUnavailable, once for each change, if the file is not to be trusted or is damaged;
        then, and until it changes, it lets nobody in."""
        state = self._look()
        if state != self._state:
            self._state, self._names = state, {}
            if state is not None:
                self._names = self._read()
        return self._names

    def allow(self, key: str, name: str) -> None:
        """Let somebody in. Raises BadRequest for what is no key or no name, or a name or key that is taken."""
        name, key = name.strip(), checked(key)
        names = self.names()
        if not 1 <= len(name) <= MAX_NAME or not name.isprintable():
            raise BadRequest.field("name", name, f"1..{MAX_NAME} printable characters")
        if (other := names.get(key, name)) != name:
            raise BadRequest(
                f"this key is allowed already, as {other}", f"remove it first: samovar keys remove {other}"
            )
        if any(each == name and other != key for other, each in names.items()):
            raise BadRequest(f"there is another key of the name {name}", f"samovar keys remove {name}, or another name")
        self._write({**names, key: name})

    def remove(self, name: str) -> None:
        """Let somebody in no longer. Raises BadRequest for a name that is not there."""
        names = self.names()
        if name not in names.values():
            raise BadRequest.field("name", name, ", ".join(sorted(names.values())) or "none, for no key is allowed")
        self._write({key: each for key, each in names.items() if each != name})

    def _look(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _read(self) -> dict[str, str]:
        names = {}
        for number, line in enumerate(read_private(self._path, "list of keys").splitlines(), 1):
            key, _, name = line.partition(" ")
            try:
                names[checked(key)] = name
            except BadRequest as error:
                raise DaemonUnavailable(
                    f"Samovar's list of keys {self._path} is damaged in line {number}, so nobody is let in; mend the "
                    "line, or delete the file and allow the keys again."
                ) from error
        return names

    def _write(self, names: dict[str, str]) -> None:
        _made_folder(self._home)
        _write_over(self._path, "".join(f"{key} {name}\n" for key, name in names.items()))


def _made_folder(home: Path) -> Path:
    """The folder of keys, for this user alone. Raises DaemonUnavailable if somebody else has a hand in it."""
    path = folder(home)
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    fault = fault_of(path.lstat())
    if fault is not None:
        raise DaemonUnavailable(f"Samovar's folder of keys {path} {fault.format(path=path).replace('600', '700')}")
    return path


def _write_new(path: Path, content: str) -> None:
    """Write a file that is not there yet; if somebody else was faster, theirs stays."""
    temporary = _temporary(path, content)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _write_over(path: Path, content: str) -> None:
    temporary = _temporary(path, content)
    try:
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink()
        raise


def _temporary(path: Path, content: str) -> Path:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    return temporary
