"""How a training is carried out: in this process, or in one that the daemon runs, which is followed from here.

What the daemon runs is this program again, with the words that were given here: they lie in Samovar's folder, so that
a message names no file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import samovar
from samovar.picture import PictureError
from samovar.weights import store
from samovar_link import connect_or_start, discovery
from samovar_link.errors import BadRequest, RemoteError, remote_error
from samovar_link.messages import Cancelled, Done, Progress, Refused, Train

from .progress import duration

if TYPE_CHECKING:
    from samovar.training.loop import Task, Training

SAID_SECONDS = 60.0
"""Between two lines where there is no bar."""
ANSWER_SECONDS = 10.0
_LINE_SECONDS = 0.5
"""Between two lines to the daemon."""
UNDER_DAEMON = "under the daemon"
"""What the program's context says of a training that the daemon runs."""


@dataclass(frozen=True)
class Wish:
    """A training that somebody wants. task : makes it, which takes a while; settings : of `loop.Settings`"""

    task: Callable[[], Task]
    out: Path
    settings: dict[str, Any]
    minutes: float
    device: str
    add: bool
    as_json: bool

    def carry_out(self, here: bool, detach: bool) -> None:
        """Raises ClickExceptions for what cannot be done."""
        context = click.get_current_context()
        if self.out.suffix != ".safetensors":
            raise click.UsageError(f"-o {self.out} does not end in .safetensors", context)
        if not self.out.parent.is_dir():
            raise click.UsageError(f"the folder {self.out.parent} does not exist; create it first", context)
        if self.add and (store.folder() / self.out.name).exists():
            name = store.own_id(self.out)
            raise click.UsageError(f"--add: there is a model {name} already; remove it or choose another OUT", context)
        if here or _is_under_daemon():
            self._train()
        else:
            _follow(self, words(context), detach)

    def _train(self) -> None:
        from samovar.training.loop import Settings, Training, TrainingError

        teller = _Lines() if _is_under_daemon() else _Bar()
        teller.begin(self)
        try:
            with _ended_by_signals() as check, _overheard(teller):
                task = self.task()
                check()
                training = Training(task, Settings(**self.settings), self.out, _device(self.device))
                if training.resume():
                    teller.say(f"going on after {training.step} steps")
                with teller.telling(training) as told:

                    def stepped(training: Training) -> None:
                        check()
                        told(training)

                    done = training.run(self.minutes * 60, stepped)
        except (PictureError, TrainingError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            teller.say("ended; the same command goes on from there")
            click.get_current_context().exit(130)
        if training.ended_early:
            patience = training.settings.patience
            teller.say(f"no better at {patience} looks: ended after {training.step} steps, with the best of them")
        elif not done:
            teller.say(f"stopped after {training.step} of {training.settings.steps} steps; the same command goes on")
        try:
            found = training.finish()
        except TrainingError as error:
            raise click.ClickException(str(error)) from error
        if self.add:
            teller.say(f"added as {store.add(self.out).id}")
        teller.end({"steps": training.step, "seconds": round(training.seconds, 1), **found}, self)


def _is_under_daemon() -> bool:
    return bool(click.get_current_context().find_root().obj == UNDER_DAEMON)


def _device(wanted: str) -> str:
    import torch

    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise click.UsageError("--device cuda: PyTorch finds no graphics card here", click.get_current_context())
    return "cuda" if found and wanted != "cpu" else "cpu"


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[Callable[[], None]]:
    """What ends a process kindly does so as Ctrl+C does: with what there is put aside. Gives what raises
    KeyboardInterrupt if one of both came: where libvips calls back, Python drops it."""
    came = threading.Event()

    def interrupt(*_: object) -> None:
        came.set()
        raise KeyboardInterrupt

    def check() -> None:
        if came.is_set():
            raise KeyboardInterrupt

    heard = [each for each in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(each) is not signal.SIG_IGN]
    before = {each: signal.signal(each, interrupt) for each in heard}
    try:
        yield check
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _overheard(teller: _Bar) -> Iterator[None]:
    """What the training warns of is told."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            teller.say(record.getMessage())

    log, handler = logging.getLogger("samovar.training"), Handler(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


# --- what is told of it ---------------------------------------------------------------------------------------------


class _Bar:
    """To a user: a bar, or a line now and then."""

    def begin(self, wish: Wish) -> None:
        """It is about to begin."""

    def say(self, sentence: str) -> None:
        click.echo(sentence, err=True)

    @contextlib.contextmanager
    def telling(self, training: Training) -> Iterator[Callable[[Training], None]]:
        """Takes the training after each step."""
        began = said = time.monotonic()
        first, trouble = training.step, ""
        steps = training.settings.steps
        with click.progressbar(
            length=steps, label="training", file=sys.stderr, width=24, item_show_func=lambda loss: loss
        ) as bar:
            bar.update(training.step)

            def told(training: Training) -> None:
                nonlocal said, trouble
                now = time.monotonic()
                if sys.stderr.isatty():
                    bar.update(1, f"loss {training.loss:.3f}")
                elif now - said > SAID_SECONDS:
                    said = now
                    left = (now - began) / (training.step - first) * (steps - training.step)
                    self.say(f"step {training.step} of {steps}, loss {training.loss:.3f}, {duration(left)} left")
                if training.at == training.step:
                    self.say(f"after {training.at} steps, on what it never saw: {_listed(training.found)}")
                if training.trouble and training.trouble != trouble:
                    self.say(training.trouble)
                trouble = training.trouble

            yield told

    def end(self, found: dict[str, float], wish: Wish) -> None:
        _tell(found, wish)


class _Lines(_Bar):
    """To the daemon: lines of JSON."""

    def begin(self, wish: Wish) -> None:
        click.echo(json.dumps({"what": f"train {click.get_current_context().info_name}", "model": wish.out.stem}))

    def say(self, sentence: str) -> None:
        click.echo(json.dumps({"note": sentence}))

    @contextlib.contextmanager
    def telling(self, training: Training) -> Iterator[Callable[[Training], None]]:
        began = time.monotonic()
        first, steps = training.step, training.settings.steps
        said = -math.inf

        def told(training: Training) -> None:
            nonlocal said
            now = time.monotonic()
            if now - said < _LINE_SECONDS and training.at != training.step:
                return
            said = now
            stage = f"step {training.step} of {steps}, loss {training.loss:.3f}"
            if training.at == training.step:
                self.say(f"after {training.at} steps, on what it never saw: {_listed(training.found)}")
            if training.trouble:
                self.say(training.trouble)
            left = (now - began) / (training.step - first) * (steps - training.step)
            click.echo(json.dumps({"fraction": training.step / steps, "stage": stage, "left": left}))

        yield told

    def end(self, found: dict[str, float], wish: Wish) -> None:
        click.echo(json.dumps({"found": found}))


def _listed(found: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items())


def _tell(found: dict[str, float], wish: Wish) -> None:
    """How good it became."""
    if wish.as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        if name not in ("steps", "seconds"):
            click.echo(f"{name.replace('_', ' ')}: {value:.3f}")
    size = wish.out.stat().st_size / 1e6
    click.echo(f"{wish.out}: {size:.1f} MB, after {found['steps']:.0f} steps, {duration(found['seconds'])}")


# --- in the daemon --------------------------------------------------------------------------------------------------


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


def _follow(wish: Wish, all_words: list[str], detach: bool) -> None:
    """Have the daemon carry it out, and tell how far it is until it ends. Ctrl+C ends it."""
    job = hashlib.sha256(str(wish.out.absolute()).encode()).hexdigest()[:32]
    store.write_whole(_paper(job), json.dumps(all_words).encode())
    with connect_or_start("cli", samovar.__version__, [sys.executable, "-m", "samovar"]) as client:
        if detach:
            client.send(Train(job))
            while getattr(message := client.receive(ANSWER_SECONDS)[0], "job", "") != job:
                if isinstance(message, Refused):
                    raise remote_error(message.code, message.message, message.hint)
            click.echo(
                f"Job {job[:8]} trains {wish.out}: samovar jobs shows it, samovar jobs cancel {job[:8]} ends it."
            )
            return
        with _Follower() as told:
            answer, _ = client.train(job, told)
    if isinstance(answer, Cancelled):
        raise RemoteError(f"the training of {wish.out} was ended", "the same command goes on from there")
    assert isinstance(answer, Done)
    found = json.loads(answer.report.notes[-1])
    _tell(found, wish)


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
