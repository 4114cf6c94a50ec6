"""A running GIMP 3 inside the Debian 13 root, driven from outside one function call at a time.

Each call is a line over a socket to `inside.py`, which runs as GIMP's batch. So a test can look at the daemon, press
keys or kill something while GIMP is busy, and one GIMP serves many tests.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import debian_root
import psutil

from samovar.install import install_gimp
from samovar_link import Done, Raster, Run, Status, StatusReport, connect
from samovar_link.messages import Rectangle

START_SECONDS = 90
PROFILE = "(show-welcome-dialog no)\n"


class GimpError(AssertionError):
    """A function inside GIMP raised; the message is its traceback."""


def prepare(*, expose: bool = True) -> Path:
    """A new folder for one GIMP, with the plug-in as `samovar install gimp` leaves it.

    expose : let GIMP see the hidden operation `identity`, which takes as long as it is told to
    """
    folder = Path(tempfile.mkdtemp(prefix="samovar-gimp-", dir="/tmp"))
    (folder / "profile").mkdir()
    (folder / "profile" / "gimprc").write_text(PROFILE)
    (plugin,) = install_gimp(folder / "profile" / "plug-ins")
    if expose:
        _expose_identity(plugin)
    return folder


class RemoteGimp:
    """One running GIMP. Any other attribute is a function of `inside.py`."""

    def __init__(self, folder: Path, root: Path, program: list[str], display: str = "") -> None:
        self.folder, self.root = folder, root
        self.plugin = folder / "profile" / "plug-ins" / "samovar_gimp"
        self._pending = 0
        self._log = open(folder / "gimp.log", "wb")  # noqa: SIM115
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(START_SECONDS)
            port = server.getsockname()[1]
            self.process = self._start(root, program, display, port)
            try:
                connection, _ = server.accept()
            except TimeoutError:
                self.close()
                raise GimpError(f"GIMP did not start in {START_SECONDS} s:\n{self.log()}") from None
        connection.settimeout(60)
        self._stream = connection.makefile("rw")
        connection.close()  # the stream keeps it open

    def _start(self, root: Path, program: list[str], display: str, port: int) -> subprocess.Popen[bytes]:
        script = self.folder / "inside.py"
        shutil.copy(Path(__file__).with_name("inside.py"), script)
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "DISPLAY": display,
            "GIMP3_DIRECTORY": str(self.folder / "profile"), "NO_AT_BRIDGE": "1", "GTK_CSD": "0",
            "SAMOVAR_CONNECTION_FILE": str(self.connection_file), "SAMOVAR_TEST_PORT": str(port),
        }  # fmt: skip
        batch = ["--quit", "--batch-interpreter=python-fu-eval", "-b", f"exec(open({str(script)!r}).read())"]
        command = debian_root.enter(root, [*program, *batch], environment, [self.folder])
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )

    @property
    def connection_file(self) -> Path:
        """Where the plug-in looks for a daemon. A test puts the file of its daemon there."""
        return self.folder / "connection.json"

    def show_daemon(self, content: bytes) -> None:
        """Put a connection file there, for this user alone: another is not used."""
        self.connection_file.touch(mode=0o600)
        self.connection_file.write_bytes(content)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            self.begin(name, *arguments, **keywords)
            return self.end()

        return call

    def begin(self, function: str, /, *arguments: Any, **keywords: Any) -> None:
        """Call a function and do not wait; `end` gives its result."""
        assert not self._pending, "GIMP is still busy with an earlier call"
        self._pending = 1
        self._stream.write(json.dumps([function, arguments, keywords]) + "\n")
        self._stream.flush()

    def end(self) -> Any:
        line = self._stream.readline()
        self._pending = 0
        if not line:
            raise GimpError(f"GIMP went away:\n{self.log()}")
        result, error = json.loads(line)
        if error:
            raise GimpError(error)
        return result

    def settle(self) -> None:
        """Wait for a call whose test failed before it took the answer."""
        for process in self.plugin_processes() if self._pending else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._pending:
            self.end()

    def log(self) -> str:
        """What GIMP and its plug-ins wrote."""
        return (self.folder / "gimp.log").read_text(errors="replace")[-4000:]

    def plugin_processes(self) -> list[psutil.Process]:
        """Our plug-in's processes under this GIMP."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if any(word.endswith("samovar_gimp.py") for word in process.cmdline()):
                    found.append(process)
            except psutil.Error:
                pass  # ended meanwhile
        return found

    def close(self) -> None:
        """End it, and all trace of it."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _expose_identity(plugin: Path) -> None:
    path = plugin / "operations.json"
    welcome = json.loads(path.read_text())
    for operation in welcome["operations"]:
        operation["hidden"] = operation["hidden"] and operation["id"] != "identity"
    path.write_text(json.dumps(welcome))


def wait_for(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """What `condition` returns once that is true."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)
    return found


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def plain_client(
    operation: str, raster: Raster, pixels: bytes, region: Rectangle | None = None,
    mask: tuple[Raster, bytes] | None = None, wrap: tuple[bool, bool] = (False, False), seed: int = 0,
    **parameters: Any,
) -> bytes:  # fmt: skip
    """What any client gets for the same request. wrap : along x, along y"""
    images, frames = {"image": raster}, [pixels]
    if mask is not None:
        images["mask"] = dataclasses.replace(mask[0], frame=1)
        frames.append(mask[1])
    with connect("test", "") as client:
        run = Run(
            secrets.token_hex(16), operation, parameters=parameters, images=images, region=region, wrap_x=wrap[0],
            wrap_y=wrap[1], seed=seed,
        )  # fmt: skip
        message, results = client.run(run, frames)
        assert isinstance(message, Done)
        return bytes(results[message.images["image"].frame])


def daemon_status() -> StatusReport:
    """As the daemon itself tells it."""
    with connect("watcher", "") as client:
        client.send(Status())
        while True:
            message, _ = client.receive(5)
            if isinstance(message, StatusReport):
                return message


def daemon_jobs(working: bool = False) -> list[str]:
    """Operations of the jobs that run or wait.

    working : only of those that have got somewhere
    """
    return [job.operation for job in daemon_status().jobs if job.fraction > 0 or not working]
