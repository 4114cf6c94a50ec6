"""Start, stop and ask the daemon: serve, stop, status, ps, unload."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

import samovar
from samovar import lock, surroundings
from samovar_link import connect, discovery
from samovar_link.discovery import ConnectionFile
from samovar_link.errors import BadRequest, DaemonUnavailable, remote_error
from samovar_link.messages import PROTOCOL, Message, Refused, Status, StatusReport, Stop, Stopping, Unload, Unloaded

from .program import say
from .progress import duration

if TYPE_CHECKING:
    from samovar.broker.port import Identity

Answer = TypeVar("Answer", StatusReport, Stopping, Unloaded)

START_SECONDS = 10.0
STOP_SECONDS = 10.0
UNLOAD_SECONDS = 60.0
"""A tile of a large network, or reading its weights, takes seconds on a slow machine."""
_READY = "samovar serves"
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

# Like start_new_session elsewhere: neither Ctrl+C nor the end of the shell reaches the daemon.
_WINDOWS_FLAGS = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)


@click.command()
@click.option("--detach", is_flag=True, help="Return as soon as the daemon answers, and leave it running.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="TCP port on 127.0.0.1; 0: any free."
)
@click.option(
    "--listen",
    multiple=True,
    metavar="tcp://HOST:PORT",
    help="One more address to listen at; other machines need --curve.",
)
@click.option(
    "--curve", is_flag=True, help="Encrypt what comes by --listen, and let in only keys on the list: samovar keys."
)
@click.option(
    "--upstream",
    metavar="tcp://HOST:PORT",
    default="",
    envvar="SAMOVAR_UPSTREAM",
    help="Have jobs done by the Samovar of another machine, which listens there with --curve.",
)
@click.option(
    "--server-key",
    metavar="KEY",
    default="",
    envvar="SAMOVAR_SERVER_KEY",
    help="The server key that `samovar keys` prints on that machine.",
)
@click.option("--let-go", is_flag=True, hidden=True, help="Used by --detach: drop the terminal once ready.")
def serve(
    detach: bool, port: int, listen: tuple[str, ...], curve: bool, upstream: str, server_key: str, let_go: bool
) -> None:
    """Run the daemon. Editors and commands start it by themselves, so this is seldom needed."""
    from samovar import broker
    from samovar.broker.address import BadAddress, parse
    from samovar.broker.worker_process import COMMAND
    from samovar.upstream import command

    if curve and not listen:
        raise click.UsageError("--curve is for an address of --listen, and there is none")
    try:
        addresses = [parse(each, curve=curve) for each in listen]
        worker = command(upstream, server_key) if upstream else COMMAND
    except (BadAddress, BadRequest) as error:
        raise click.UsageError(str(error)) from error
    if detach:
        more = [word for each in listen for word in ("--listen", each)] + (["--curve"] if curve else [])
        more += ["--upstream", upstream, "--server-key", server_key] if upstream else []
        click.echo(_start_detached(port, more))
        return
    code = broker.serve(port=port, ready=_letting_go() if let_go else None, listen=addresses, worker_command=worker)
    click.get_current_context().exit(code)


def _start_detached(port: int, more: Sequence[str]) -> str:
    """Start the daemon in its own session and return its first words. Raises DaemonUnavailable with its last ones."""
    began = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "samovar", "serve", "--let-go", "--port", str(port), *more],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=surroundings.FOLDER, env=surroundings.environment(), start_new_session=True, creationflags=_WINDOWS_FLAGS,
    )  # fmt: skip
    alarm = threading.Timer(START_SECONDS, child.kill)
    alarm.start()
    assert child.stdout is not None
    try:
        with child.stdout:  # read() returns when the child lets go of it or dies
            lines = child.stdout.read().decode(errors="replace").strip().splitlines()
    finally:
        alarm.cancel()
    last = lines[-1].removeprefix("samovar: ") if lines else ""
    if last.startswith(_READY):
        child.returncode = 0  # it lives on; we are not going to wait for it
        return last
    if child.wait() == 0:
        return last  # already running
    if time.monotonic() - began < START_SECONDS:
        raise DaemonUnavailable(last or "The daemon ended while it started; see: samovar doctor")
    raise DaemonUnavailable(f"The daemon did not start within {START_SECONDS:.0f} s; see: samovar doctor")


def _letting_go() -> Callable[[Identity], None]:
    """What a daemon is to do once it is ready: say so to who waits at the other end of the pipe, then close it. From
    there on only the log is written. Who waited may be gone by then, which is nothing to the daemon."""
    silence = os.open(os.devnull, os.O_WRONLY)  # now, while there are descriptors

    def let_go(daemon: Identity) -> None:
        with contextlib.suppress(OSError):
            print(f"{_READY}, pid {daemon.pid}, at {', '.join(daemon.endpoints)}", flush=True)
        for descriptor in (1, 2):
            os.dup2(silence, descriptor)
        os.close(silence)

    return let_go


@click.command()
def stop() -> None:
    """End the daemon; running jobs are cancelled."""
    try:
        path, file = discovery.find()
        _ask(Stop(), Stopping)
    except DaemonUnavailable:
        if not lock.is_held(discovery.home() / lock.NAME):
            click.echo("Samovar is not running.")
            return
        path = discovery.home() / discovery.FILE_NAME
        if (other := _end_by_signal(path)) is None:
            raise
        file = other
    try:
        with lock.held(path.parent / lock.NAME, STOP_SECONDS):
            pass
    except lock.Taken:
        raise DaemonUnavailable(
            f"Samovar (pid {file.pid}) has not ended after {STOP_SECONDS:.0f} s; end that process."
        ) from None
    click.echo("Samovar has stopped.")


def _end_by_signal(path: Path) -> ConnectionFile | None:
    """End a daemon that runs and speaks another protocol, as after an update. None if that is not what is wrong."""
    import psutil

    try:
        file = ConnectionFile.read(path)
        process = psutil.Process(file.pid)
        if file.protocol == PROTOCOL or "samovar" not in " ".join(process.cmdline()):
            return None
        process.terminate()
    except (FileNotFoundError, DaemonUnavailable, psutil.Error):
        return None
    return file


@click.command()
@_AS_JSON
def status(as_json: bool) -> None:
    """Tell whether the daemon runs, where, and what it does. Exit code 1 if it does not."""
    try:
        path, _ = discovery.find()
        endpoint, report = _ask(Status(), StatusReport)
    except DaemonUnavailable as error:
        if as_json:
            click.echo(json.dumps({"running": False, "connection_file": str(discovery.candidates()[0])}))
        say(str(error))
        click.get_current_context().exit(1)
    if as_json:
        facts = {"running": True, "endpoint": endpoint, "connection_file": str(path)}
        click.echo(json.dumps({**facts, **dataclasses.asdict(report)}))
        return
    click.echo(f"Samovar {report.version} runs, pid {report.pid}, for {duration(report.uptime_seconds)}")
    click.echo(f"endpoint         {endpoint}")
    click.echo(f"listens at       {', '.join(report.endpoints)}")
    click.echo(f"connection file  {path}")
    click.echo(f"worker           {report.worker}{f', {report.device}' if report.device else ''}")
    click.echo(f"models loaded    {len(report.models)}")
    click.echo(f"jobs             {len(report.jobs)}")
    click.echo(f"clients          {report.clients}")


@click.command()
@_AS_JSON
def ps(as_json: bool) -> None:
    """List the models in memory and the jobs."""
    _, report = _ask(Status(), StatusReport)
    if as_json:
        fields = dataclasses.asdict(report)
        click.echo(json.dumps({"models": fields["models"], "jobs": fields["jobs"]}))
        return
    models = [
        (each.model, each.device, each.runtime, _size(each.size_bytes),
         "in use" if each.in_use else "stays" if each.unload_seconds is None else duration(each.unload_seconds))
        for each in report.models
    ]  # fmt: skip
    jobs = [
        (each.job[:8], each.operation, each.model, each.client, each.state, f"{each.fraction:.0%}",
         duration(each.age_seconds))
        for each in report.jobs
    ]  # fmt: skip
    table(("MODEL", "DEVICE", "RUNTIME", "SIZE", "UNLOADS IN"), models, "no model is loaded")
    table(("JOB", "OPERATION", "MODEL", "CLIENT", "STATE", "DONE", "AGE"), jobs, "no job is running")


@click.command()
@click.argument("model", required=False, default="")
@_AS_JSON
def unload(model: str, as_json: bool) -> None:
    """Give back the memory of MODEL in all its variants, or of all models; what a job uses at the moment stays."""
    try:
        _, done = _ask(Unload(model), Unloaded, UNLOAD_SECONDS)
    except DaemonUnavailable:
        if lock.is_held(discovery.home() / lock.NAME):
            raise
        done = Unloaded()
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(done)))
        return
    for name in done.models:
        click.echo(f"Unloaded {name}")
    if done.models:
        click.echo(f"{_size(done.size_bytes)} of weights are gone from memory.")
    else:
        click.echo(f"{model} is not loaded, or a job uses it." if model else "No model is loaded, or a job uses it.")


def _ask(question: Message, answer: type[Answer], patience_seconds: float = STOP_SECONDS) -> tuple[str, Answer]:
    """Send one message and wait for its answer; the endpoint used, and the answer."""
    with connect("cli", samovar.__version__) as client:
        client.send(question)
        while True:
            message, _ = client.receive(patience_seconds)
            if isinstance(message, answer):
                return client.endpoint, message
            if isinstance(message, Refused):
                raise remote_error(message.code, message.message, message.hint)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    rows = list(rows)
    if not rows:
        click.echo(empty)
        return
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
