"""No message names a file: every text of every message is made a path, and nobody opens it.

Watched from two sides: an audit hook in the daemon, in its worker, and in all programs that they start tells of every
path that Python opens, lists, starts or deletes; and inotify tells of whatever opens the file itself, also from C.
"""

from __future__ import annotations

import ctypes
import dataclasses
import os
import struct
import sys
import time
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peer import SMALL, SMALL_PIXELS, Peer

from live_daemon import Daemon
from samovar_link import messages
from samovar_link.messages import MESSAGES, Message, Ping, Pong, Raster, Rectangle, Run, Stop, Warm, Welcome

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="inotify"),
]

MARK = "a-path-from-a-client"

HOOK = """
import os, sys
_mark, _report, _busy = {mark!r}, {report!r}, []

def _hook(event, arguments):
    if _busy or event.startswith(("object.", "builtins.id", "sys._getframe")):
        return
    _busy.append(1)
    try:
        if event == "subprocess.Popen" or _mark in ascii(arguments):
            with open(_report, "a") as file:
                file.write(event + " " + ascii(arguments)[:300] + chr(10))
    finally:
        _busy.pop()

sys.addaudithook(_hook)
"""


class Inotify:
    """Who opens or looks into a folder or its files."""

    _OPEN, _ACCESS, _MODIFY = 0x20, 0x1, 0x2

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = self._OPEN | self._ACCESS | self._MODIFY
        assert libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask) >= 0

    def seen(self) -> list[str]:
        """Names of the files that were opened, "" for the folder itself."""
        names = []
        try:
            data = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return []
        while data:
            _, _, _, length = struct.unpack_from("=iIII", data)
            names.append(data[16 : 16 + length].rstrip(b"\0").decode())
            data = data[16 + length :]
        return names

    def close(self) -> None:
        os.close(self._descriptor)


@dataclasses.dataclass
class Watched:
    """A daemon under observation. paths : what to send instead of any text; all of them mean a file that is there"""

    daemon: Daemon
    report: Path
    inotify: Inotify
    paths: list[str]

    def events(self) -> list[str]:
        """What Python did with a path that has the mark in it."""
        lines = self.report.read_text().splitlines() if self.report.exists() else []
        return [line for line in lines if MARK in line]


@pytest.fixture
def watched(tmp_path: Path, start_daemon: Callable[..., Daemon]) -> Iterator[Watched]:
    bait = tmp_path / MARK
    bait.mkdir()
    target = bait / "bait.json"
    target.write_text('["train", "--help"]')
    report, hooks = tmp_path / "report", tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(HOOK.format(mark=MARK, report=str(report)))
    inherited = os.environ.get("PYTHONPATH", "")
    daemon = start_daemon(PYTHONPATH=os.pathsep.join([str(hooks), *filter(None, [inherited])]))
    for inside in ("trainings", "models"):  # so that what climbs out of them gets there
        (daemon.home / inside).mkdir(exist_ok=True)
    without = str(target.with_suffix(""))
    inotify = Inotify(bait)
    yield Watched(daemon, report, inotify, [
        str(target), without, f"../../{MARK}/bait", f"../../{MARK}/bait.json", f"own/../../../{MARK}/bait.json",
        f"file://{target}", f"@{target}", f"--{target}",
    ])  # fmt: skip
    inotify.close()


def filled(hint: object, path: str) -> object:
    """A value of a type of the protocol in which every text is the path."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is str:
        return path
    if hint in (int, float, bool):
        return 1
    if origin is tuple:
        return (filled(arguments[0], path),)
    if origin is dict:
        return {path: filled(arguments[1], path)}
    if arguments:  # a union: text where it may be
        rest = [each for each in arguments if each is not type(None)]
        return path if str in rest else filled(rest[0], path)
    assert isinstance(hint, type) and dataclasses.is_dataclass(hint), f"the protocol has a new kind of field: {hint}"
    return message_of(hint, path)


def message_of(cls: type, path: str) -> typing.Any:
    hints = typing.get_type_hints(cls, vars(messages))
    return cls(**{each.name: filled(hints[each.name], path) for each in dataclasses.fields(cls)})


def texts(cls: type) -> list[str]:
    """Fields that hold a text."""
    hints = typing.get_type_hints(cls, vars(messages))
    return [each.name for each in dataclasses.fields(cls) if hints[each.name] is str]


def requests(welcome: Welcome, path: str) -> Iterator[Message]:
    """Everything a client can say with the path in one place and sense in all others, and with the path everywhere."""
    for name, cls in MESSAGES.items():
        if cls not in (Stop, messages.Hello):
            yield message_of(cls, path)
        for field in texts(cls) if name != "Hello" else []:
            plain = {each.name: "identity" for each in dataclasses.fields(cls) if each.name in texts(cls)}
            hints = typing.get_type_hints(cls, vars(messages))
            needed = {
                each.name: filled(hints[each.name], "ab")
                for each in dataclasses.fields(cls)
                if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
            }
            yield cls(**{**needed, **plain, field: path})
    for number, operation in enumerate(welcome.operations):
        images = {role: dataclasses.replace(SMALL, frame=at) for at, role in enumerate(operation.roles)}
        for parameter in operation.parameters:
            if isinstance(parameter.default, str):
                yield Run(f"p{number}{parameter.name}", operation.id, parameters={parameter.name: path}, images=images)
                yield Warm(operation.id, parameters={parameter.name: path})
    yield Run("region", "identity", images={"image": SMALL}, region=Rectangle(0, 0, 1, 1), priority=path)
    yield Run(path[:64], "identity", images={"image": SMALL}, keep_result=True)


@pytest.mark.timeout(600)
def test_no_text_of_any_message_is_opened(watched: Watched) -> None:
    count = 0
    with Peer(watched.daemon.connection) as peer:
        assert peer.run(Run("warm", "identity", images={"image": SMALL}), SMALL_PIXELS)[1], "the worker is there"
        for path in watched.paths:
            peer.send(messages.Hello(client=path, version=path))
            for message in requests(peer.welcome, path):
                frames = [SMALL_PIXELS] * len(getattr(message, "images", {})) if isinstance(message, Run) else []
                peer.send(message, *frames)
                count += 1
            while peer.receive(0.2) is not None:
                pass
        peer.send(Ping(1))
        while peer.expect() != Pong(1):
            pass
        job = Run("after", "identity", images={"image": Raster(2, 3, 1)})
        assert peer.run(job, SMALL_PIXELS)[1] == [SMALL_PIXELS]
        time.sleep(1)
    print(f"{count} messages")
    assert count > 400
    assert watched.events() == []
    assert watched.inotify.seen() == []


def test_what_watches_sees(watched: Watched) -> None:
    """The same watch tells of a file that the daemon's programs do open: so the test above can fail."""
    (watched.daemon.home / "models" / f"{MARK}.safetensors").write_bytes(b"no model")
    deadline = time.monotonic() + 60
    while not any("open" in each for each in watched.events()):
        assert time.monotonic() < deadline, "the hook is not there"
        time.sleep(0.1)
    Path(watched.paths[0]).read_bytes()
    assert "bait.json" in watched.inotify.seen()
