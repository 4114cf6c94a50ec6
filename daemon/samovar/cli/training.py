"""How a training is carried out: in this process, or in one that the daemon runs."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from samovar.picture import PictureError
from samovar.weights import store

from .following import follow, words
from .telling import Bar, Lines

if TYPE_CHECKING:
    from samovar.training.loop import Task

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
            follow(self.out, words(context), detach, self.as_json)

    def _train(self) -> None:
        from samovar.training.loop import Settings, Training, TrainingError

        teller = Lines() if _is_under_daemon() else Bar()
        teller.begin(self.out)
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
            teller.say(f"no better at {patience} looks: ended after {training.step} steps")
        elif not done:
            teller.say(f"stopped after {training.step} of {training.settings.steps} steps; the same command goes on")
        try:
            found = training.finish()
        except TrainingError as error:
            raise click.ClickException(str(error)) from error
        if training.kept != training.step:
            teller.say(f"kept as it was after {training.kept} steps, where it was best")
        if self.add:
            teller.say(f"added as {store.add(self.out).id}")
        teller.end({"steps": training.step, "seconds": round(training.seconds, 1), **found}, self.out, self.as_json)


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
def _overheard(teller: Bar) -> Iterator[None]:
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
