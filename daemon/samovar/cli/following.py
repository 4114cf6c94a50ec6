"""A training that the daemon carries out, followed from here.

What the daemon runs is this program again, with the words that were given here: they lie in Samovar's folder, so that
a message names no file.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

import samovar
from samovar.weights import store
from samovar_link import connect_or_start, discovery
from samovar_link.errors import BadRequest, RemoteError, remote_error
from samovar_link.messages import Cancelled, Done, Progress, Refused, Train

from .progress import duration
from .telling import SAID_SECONDS, tell

ANSWER_SECONDS = 10.0


def _paper(job: str) -> Path:
    """Where the words of a training lie for the daemon's process."""
    return discovery.home() / "trainings" / f"{job}.json"


def given(job: str) -> list[str]:
    """The words of a training. Raises ClickException if there are none."""
    from samovar.broker.intake import check_training_id

    try:
        check_training_id(job)  # it names a file
        found: list[str] = json.loads(_paper(job).read_text(encoding="utf-8"))
        return found
    except BadRequest as error:
        raise click.ClickException(str(error)) from error
    except (OSError, ValueError) as error:
        raise click.ClickException(
            f"{_paper(job)} cannot be read ({error}); give the training's command again"
        ) from error


def words(context: click.Context) -> list[str]:
    """What was given to a command, as words that mean the same in any folder."""
    found = [context.info_name or ""]
    for each in context.command.params:
        value = context.params[each.name or ""]
        if each.name in ("detach", "here", "as_json") or value in (None, ()):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            word = str(one.absolute()) if isinstance(one, Path) else str(one)
            if isinstance(each, click.Argument):
                found.append(word)
            elif getattr(each, "is_flag", False):
                found += [each.opts[0]] if one else []
            else:
                found += [each.opts[-1], word]
    return found


def follow(out: Path, all_words: list[str], detach: bool, as_json: bool) -> None:
    """Have the daemon carry it out, and tell how far it is until it ends. Ctrl+C ends it."""
    job = hashlib.sha256(str(out.absolute()).encode()).hexdigest()[:32]
    store.write_whole(_paper(job), json.dumps(all_words).encode())
    with connect_or_start("cli", samovar.__version__, [sys.executable, "-m", "samovar"]) as client:
        if detach:
            client.send(Train(job))
            while getattr(message := client.receive(ANSWER_SECONDS)[0], "job", "") != job:
                if isinstance(message, Refused):
                    raise remote_error(message.code, message.message, message.hint)
            click.echo(f"Job {job[:8]} trains {out}: samovar jobs shows it, samovar jobs cancel {job[:8]} ends it.")
            return
        with _Follower() as told:
            answer, _ = client.train(job, told)
    if isinstance(answer, Cancelled):
        raise RemoteError(f"the training of {out} was ended", "the same command goes on from there")
    assert isinstance(answer, Done)
    found = json.loads(answer.report.notes[-1])
    tell(found, out, as_json)


class _Follower:
    """Shows the progress of a training that is carried out elsewhere."""

    def __init__(self) -> None:
        self._said = time.monotonic()
        self._noted = ""
        self._bar: Any = None

    def __enter__(self) -> _Follower:
        if sys.stderr.isatty():
            self._bar = click.progressbar(length=1000, label="training", file=sys.stderr, width=24, show_eta=False)
            self._bar.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)

    def __call__(self, progress: Progress, frames: list[memoryview]) -> None:
        left = "" if progress.eta_seconds is None else f", {duration(progress.eta_seconds)} left"
        if self._bar is not None:
            self._bar.label = progress.stage + left
            self._bar.update(max(0, int(progress.fraction * 1000) - self._bar.pos))
            self._bar.render_progress()
        elif time.monotonic() - self._said > SAID_SECONDS or progress.eta_seconds is None:
            self._said = time.monotonic()
            click.echo(progress.stage + left, err=True)
