"""What a training says of itself while it goes on: to a user, or to the daemon that runs it."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .progress import duration

if TYPE_CHECKING:
    from samovar.training.loop import Training

SAID_SECONDS = 60.0
"""Between two lines where there is no bar."""
_LINE_SECONDS = 0.5
"""Between two lines to the daemon."""


class Bar:
    """To a user: a bar, or a line now and then."""

    def begin(self, out: Path) -> None:
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

    def end(self, found: dict[str, float], out: Path, as_json: bool) -> None:
        """It is over, and this good."""
        tell(found, out, as_json)


class Lines(Bar):
    """To the daemon: lines of JSON."""

    def begin(self, out: Path) -> None:
        click.echo(json.dumps({"what": f"train {click.get_current_context().info_name}", "model": out.stem}))

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

    def end(self, found: dict[str, float], out: Path, as_json: bool) -> None:
        click.echo(json.dumps({"found": found}))


def _listed(found: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items())


def tell(found: dict[str, float], out: Path, as_json: bool) -> None:
    """How good it became."""
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        if name not in ("steps", "seconds"):
            click.echo(f"{name.replace('_', ' ')}: {value:.3f}")
    size = out.stat().st_size / 1e6
    click.echo(f"{out}: {size:.1f} MB, after {found['steps']:.0f} steps, {duration(found['seconds'])}")
