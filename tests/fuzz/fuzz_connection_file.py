"""The connection file, which any program of the user may have written: it can be used, or one sentence says why not."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from target import Choices, Finding, Target, one_line

from samovar_link.discovery import ConnectionFile
from samovar_link.errors import DaemonUnavailable
from samovar_link.transport import Transport
from samovar_link.zmtp import Dealer

RIGHT = {
    "pid": 7,
    "token": "secret",
    "endpoints": ["ipc:///nowhere/s", "tcp://127.0.0.1:1"],
    "protocol": 1,
    "version": "1",
}
ODD = ("0", "-1", "1e999", "-Infinity", "NaN", "null", "true", '""', '"\\ud800"', '"\\u0000"', '"a\\nb"', "[]", "[[]]",
       "{}", '["ipc://"]', '["tcp://127.0.0.1:99999"]', '["tcp://:"]', '["\\ud800://x"]', '["ipc://a\\u0000b"]',
       '[7, null]', '"' + "t" * 300 + '"', "1" * 400, '{"a": 1}', '"tcp://127.0.0.1:1"')  # fmt: skip


def _path() -> Path:
    folder = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    return folder / f"samovar-fuzz-{os.getpid()}.json"


def any_file(data: bytes) -> None:
    path = _path()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    try:
        found = ConnectionFile.read(path)
    except DaemonUnavailable as error:
        one_line(str(error))
        return
    finally:
        path.unlink()
    _use(found)


def _use(found: ConnectionFile) -> None:
    """As the client does, up to the first byte that would be sent. Nobody listens at these endpoints."""
    json.dumps([found.pid, found.protocol, found.version])
    dealer = Dealer(now=0.0, password=found.token)
    peer = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"PLAIN".ljust(20, b"\0") + bytes(32)
    dealer.receive_buffer()[: len(peer)] = peer
    dealer.received(len(peer), 0.0)
    if sum(view.nbytes for view in dealer.outgoing()) > 64 + 512:
        raise Finding("a token that no handshake carries")
    for endpoint in found.endpoints:
        if not endpoint.startswith("tcp://") or endpoint.startswith("tcp://127.0.0.1:1"):  # names would be looked up
            with contextlib.suppress(OSError):
                Transport(endpoint).close()


def any_fields(data: bytes) -> None:
    choices = Choices(data)
    fields = {name: json.dumps(value) for name, value in RIGHT.items()}
    for _ in range(choices.number() % 3 + 1):
        fields[choices.pick([*RIGHT, "newer"])] = choices.pick(ODD)
    if choices.chance(4):
        del fields[choices.pick(tuple(RIGHT))]
    any_file(("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode())


def seeds() -> dict[str, bytes]:
    right = json.dumps(RIGHT).encode()
    return {
        "right": right,
        "empty": b"",
        "infinite": right.replace(b"7", b"1e999"),
        "deep": b"[" * 100_000,
        "deep field": right.replace(b"7", b"[" * 3000 + b"]" * 3000),
        "half a character": right.replace(b"secret", rb"\ud800"),
        "long token": right.replace(b"secret", b"s" * 300),
        "not text": b"\xff\xfe",
        "much": b"[" + b"[]," * 1_000_000 + b"0]",
    }


WORDS = (*(f'"{name}": '.encode() for name in RIGHT), *(word.encode() for word in ODD))
TARGETS = (
    Target("connection_file", any_file, seeds, words=WORDS, most_bytes=512),
    Target("connection_fields", any_fields, lambda: {"right": b""}, most_bytes=16),
)
