"""A daemon of the bench's own, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import samovar
from samovar_link import Client, ConnectionFile
from samovar_link.discovery import FILE_NAME
from samovar_link.messages import Cancelled, Done, Failed, Message, Raster, Run, Status, StatusReport, Value

from .picture import Picture

START_SECONDS = 20.0
STOP_SECONDS = 10.0
ANSWER_SECONDS = 30.0
JOB_SECONDS = 600.0
KEPT = ("SAMOVAR_RUNTIME", "SAMOVAR_LOG")


@dataclass
class Daemon:
    """started : when its process was started, on the clock of `time.perf_counter`"""

    home: Path
    process: subprocess.Popen[bytes]
    environment: dict[str, str] = field(repr=False)
    started: float

    def connect(self, scheme: str = "") -> Client:
        """A client that was welcomed, over the endpoints of a scheme ("ipc", "tcp") or any."""
        file = self._connection_file()
        chosen = tuple(each for each in file.endpoints if each.startswith(scheme))
        client = Client(replace(file, endpoints=chosen), name="bench", version=samovar.__version__)
        while client.welcome is None:
            client.receive(ANSWER_SECONDS)
        return client

    def _connection_file(self) -> ConnectionFile:
        """What it wrote, as soon as it has. Raises RuntimeError if it does not start."""
        path = self.home / FILE_NAME
        while True:
            try:
                file = ConnectionFile.read(path)
                if file.pid == self.process.pid:
                    return file
            except FileNotFoundError:
                pass
            if self.process.poll() is not None or time.perf_counter() > self.started + START_SECONDS:
                raise RuntimeError(f"the daemon did not start; see {self.home / 'serve.txt'}")
            time.sleep(0.001)


@contextmanager
def running(home: Path) -> Iterator[Daemon]:
    """`samovar serve`, ended afterwards. It may not answer yet: `connect` waits for that."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    environment = environment_for(home)
    with (home / "serve.txt").open("ab") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "samovar", "serve"],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield Daemon(home, process, environment, started)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment_for(home: Path) -> dict[str, str]:
    """For a program that is to see only the daemon of this home. Which runtime to use may be told from outside."""
    inherited = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith("SAMOVAR_")}
    return {**inherited, "SAMOVAR_HOME": str(home)}


def status(client: Client) -> StatusReport:
    """What the daemon says of itself."""
    client.send(Status())
    while True:
        message: Message = client.receive(ANSWER_SECONDS)[0]
        if isinstance(message, StatusReport):
            return message


def until(client: Client, job: str, kind: type[Done] | type[Cancelled]) -> float:
    """Seconds until a job ends in that way. Raises RuntimeError if it ends otherwise, TimeoutError if nothing comes."""
    began = time.perf_counter()
    while True:
        message, _ = client.receive(JOB_SECONDS)
        if isinstance(message, (Done, Failed, Cancelled)) and message.job == job:
            if isinstance(message, kind):
                return time.perf_counter() - began
            told = message.message if isinstance(message, Failed) else type(message).__name__
            raise RuntimeError(f"a job that should have ended as {kind.__name__} ended as: {told}")


def upscaling(
    job: str, picture: Picture, model: str, scale: float, stream: bool = False, priority: str = "interactive"
) -> Run:
    """The request to upscale a picture, whose pixels go along as the only frame."""
    height, width, channels = picture.shape
    parameters: dict[str, Value] = {"model": model, "scale": scale}
    return Run(job, "upscale", parameters, {"image": Raster(height, width, channels)}, priority=priority, stream=stream)
