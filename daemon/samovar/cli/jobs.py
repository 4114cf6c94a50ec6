"""What the daemon works on, and what it keeps for whoever takes it up: jobs, jobs attach, jobs use, jobs cancel."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

import samovar
from samovar_link import Client, connect
from samovar_link.errors import UnknownJob
from samovar_link.messages import Attach, Cancel, Cancelled, Enough, Failed, JobInfo, Status, StatusReport

from . import progress
from .daemon import table
from .program import say
from .progress import duration

ANSWER_SECONDS = 10.0
SHOWN_LETTERS = 8
"""Of a job's name: as many as `ps` shows."""


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def jobs(context: click.Context, as_json: bool) -> None:
    """List the jobs: those that wait or run, and results that are kept. Any of them can be taken up again."""
    if context.invoked_subcommand is not None:
        return
    with _connected() as client:
        found = _jobs(client)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(each) for each in found]))
        return
    rows = [
        (each.job[:SHOWN_LETTERS], each.operation, each.model, each.client or "nobody", each.state,
         f"{each.fraction:.0%}", duration(each.age_seconds))
        for each in found
    ]  # fmt: skip
    table(("JOB", "OPERATION", "MODEL", "WAITED FOR BY", "STATE", "DONE", "AGE"), rows, "there are no jobs")


@jobs.command()
@click.argument("job")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Picture to write; none comes of a training.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def attach(job: str, output: Path | None, quiet: bool) -> None:
    """Take up JOB, wait for its end, and write its result; whoever waited for it waits no more."""
    from samovar.picture import Picture, writing

    with _connected() as client, progress.bar(job, enabled=not quiet) as bar:
        found = _find(client, job)
        if output is None and not found.operation.startswith("train "):
            raise click.UsageError("-o OUT is missing: where to write the picture", click.get_current_context())
        if output is not None:
            writing.check_output(output)
        answer, frames = client.attach(found.job, bar.update)
    if isinstance(answer, Cancelled):
        raise UnknownJob(f"job {job} was ended by the daemon", "run it again")
    if output is None or not answer.images:
        click.echo(" ".join(answer.report.notes))
        return
    raster = answer.images["image"]
    notices = [*writing.write(Picture(raster, frames[raster.frame]), output), *answer.report.notes]
    if not quiet:
        for notice in notices:
            say(notice)
        click.echo(f"{click.format_filename(output)}: {raster.width}x{raster.height}, {answer.report.model}")


@jobs.command()
@click.argument("job")
def use(job: str) -> None:
    """Say that what JOB has come to is good enough: it ends with that, for whoever waits for it or attaches to it."""
    with _connected() as client:
        found = _find(client, job)
        client.send(Enough(found.job))
        _jobs(client)  # answered in order, so it is heard by then
    click.echo(f"Job {found.job[:SHOWN_LETTERS]} ends with what there is.")


@jobs.command()
@click.argument("job")
def cancel(job: str) -> None:
    """End JOB, or let go of its result. Whoever waited for it is told."""
    with _connected() as client:
        found = _find(client, job)
        client.send(Attach(found.job))
        client.send(Cancel(found.job))
        while True:
            message, _ = client.receive(ANSWER_SECONDS)
            if isinstance(message, Failed) and message.code == UnknownJob.code:
                raise UnknownJob(message.message, message.hint)
            if getattr(message, "job", None) == found.job and not hasattr(message, "fraction"):
                break
    click.echo(f"Job {found.job[:SHOWN_LETTERS]} is cancelled.")


def _connected() -> Client:
    return connect("cli", samovar.__version__)


def _jobs(client: Client) -> tuple[JobInfo, ...]:
    client.send(Status())
    while True:
        message, _ = client.receive(ANSWER_SECONDS)
        if isinstance(message, StatusReport):
            return (*message.jobs, *message.trainings)


def _find(client: Client, name: str) -> JobInfo:
    """The job whose name begins so. Raises UnknownJob unless there is exactly one."""
    found = [each for each in _jobs(client) if each.job.startswith(name)]
    if len(found) != 1:
        there = "no job" if not found else f"{len(found)} jobs"
        raise UnknownJob(f"there is {there} whose name begins with {name!r}", "samovar jobs lists them")
    return found[0]
