"""`samovar train`: the small networks trained on the user's own pictures, in this process."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from samovar.picture import PictureError

from .progress import duration

if TYPE_CHECKING:
    from samovar.training.loop import Settings, Task, Training

SAID_SECONDS = 60.0
"""Between two lines where there is no bar."""
_LARGEST = 1024
"""Pixels of the shorter side that pictures for upscale and denoise are shrunk to: they are held in memory."""
_SOURCE = click.Path(exists=True, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def train() -> None:
    """Train a small network on your own pictures.

    What is broken off goes on where it was when the same command is given again. Beside OUT.safetensors lie OUT.png, a
    sheet of pictures to look at that were not trained on, and OUT.checkpoint.safetensors, which may be deleted
    when all is done.
    """


def _common(steps: int, batch: int, rate: float) -> Callable[[Any], Any]:
    """Options that every training has, with its own defaults."""
    file = click.Path(path_type=Path)
    options = (
        click.argument("sources", metavar="FOLDER...", nargs=-1, required=True, type=_SOURCE),
        click.option("-o", "--output", "out", metavar="OUT", required=True, type=file, help="Weights to make."),
        click.option("--steps", type=click.IntRange(1), default=steps, show_default=True, help="How many."),
        click.option("--batch", type=click.IntRange(1, 999), default=batch, show_default=True, help="Pictures a step."),
        click.option(
            "--rate", type=click.FloatRange(0, 1, min_open=True), default=rate, show_default=True,
            help="The highest learning rate.",
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
            help="Same seed and pictures, same weights.",
        ),
        click.option(
            "--minutes", type=click.FloatRange(0, min_open=True), default=math.inf,
            help="Stop after so long; the same command goes on from there.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print how good it became as JSON."),
    )  # fmt: skip

    def add(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@train.command()
@_common(steps=6000, batch=32, rate=1e-3)
@click.option("--size", "side", type=click.IntRange(32, 512), default=96, show_default=True,
              help="Pixels of a side that the network sees; a multiple of 16.")  # fmt: skip
@click.option("--line-art", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of pictures that are seen as lines alone.")  # fmt: skip
@click.option("--from", "start", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              metavar="FILE", help="Weights to begin with.")  # fmt: skip
def colorize(
    sources: tuple[Path, ...], out: Path, side: int, line_art: float, start: Path | None, seed: int, minutes: float,
    as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """The colorizer, on coloured pictures: folders of them, or tars."""
    if side % 16:
        raise click.UsageError(f"--size {side} is no multiple of 16", click.get_current_context())

    def task() -> Task:
        from samovar.training import colorize, pictures

        return colorize.Colorize(pictures.read(sources, side * 3 // 2), side, line_art, seed, start)

    _train(task, out, minutes, as_json, seed=seed, decay=0.05, **settings)


@train.command()
@_common(steps=600, batch=100, rate=1e-3)
def sizedecoder(
    sources: tuple[Path, ...], out: Path, seed: int, minutes: float, as_json: bool, **settings: Any
) -> None:
    """SizeDecoder, which enlarges by two, on coloured pictures."""

    def task() -> Task:
        from samovar.training import pictures, sizedecoder

        return sizedecoder.SizeDecoder(pictures.read(sources, sizedecoder.SIDE * 5 // 4), seed)

    _train(task, out, minutes, as_json, seed=seed, decay=1e-5, falls=False, **settings)


_PART = click.option("--size", "side", type=click.IntRange(16, 256), default=64, show_default=True,
                     help="Pixels of a side that the network makes in a step; even.")  # fmt: skip
_SHRINK = click.option("--shrink", type=click.FloatRange(0.1, 1), default=1.0, show_default=True,
                       help="Share of their size that pictures are shrunk to, to rid them of JPEG.")  # fmt: skip
_START = click.option("--from", "start", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
                      metavar="FILE", help="Weights to begin with.")  # fmt: skip


@train.command()
@_common(steps=20000, batch=16, rate=1e-3)
@_PART
@_SHRINK
@_START
@click.option("--network", type=click.Choice(["upconv7", "srcnn"]), default="upconv7", show_default=True,
              help="upconv7: waifu2x's; srcnn: the first of all, lightness alone.")  # fmt: skip
@click.option("--noise", "level", type=click.IntRange(-1, 3), default=-1, show_default=True,
              help="Of JPEG, to be cleaned on the way; -1 for none.")  # fmt: skip
def upscale(
    sources: tuple[Path, ...], out: Path, side: int, shrink: float, start: Path | None, network: str, level: int,
    seed: int, minutes: float, as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """A network that makes pictures twice as large, for pictures like yours: folders of them, or tars."""
    if side % 2:
        raise click.UsageError(f"--size {side} is not even", click.get_current_context())

    def task() -> Task:
        from samovar.training import pictures, upscale

        return upscale.Upscale(pictures.read(sources, _LARGEST, shrink), network, level, side, seed, start)

    _train(task, out, minutes, as_json, seed=seed, decay=0.0, **settings)


@train.command()
@_common(steps=20000, batch=16, rate=1e-3)
@_PART
@_SHRINK
@_START
def denoise(
    sources: tuple[Path, ...], out: Path, side: int, shrink: float, start: Path | None, seed: int, minutes: float,
    as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """A network that takes grain and the roughness of paper away, on clean pictures: folders of them, or tars."""

    def task() -> Task:
        from samovar.training import denoise, pictures

        return denoise.Denoise(pictures.read(sources, _LARGEST, shrink), side, seed, start)

    _train(task, out, minutes, as_json, seed=seed, decay=0.0, **settings)


@train.command()
@_common(steps=20000, batch=16, rate=2e-3)
@click.option("--network", type=click.Choice(["style", "dcgan"]), default="style", show_default=True,
              help="style: small, of 128 pixels, knows styles apart; dcgan: the first of all, 64 pixels.")  # fmt: skip
@click.option("--leave-out", multiple=True, metavar="NAME", help="A folder in FOLDER that is not wanted.")
def faces(
    sources: tuple[Path, ...], out: Path, network: str, leave_out: tuple[str, ...], seed: int, minutes: float,
    as_json: bool, **settings: Any,
) -> None:  # fmt: skip
    """A generator of faces, on pictures of one face each: folders of them, or tars.

    Pictures in a folder of their own are a style of their own.
    """

    def task() -> Task:
        from samovar.training import dcgan, faces, pictures

        found = [each for each in pictures.read(sources, 128) if not set(leave_out).intersection(each.folders)]
        return faces.Faces(found, seed) if network == "style" else dcgan.DCGAN(found, 64, seed)

    betas = (0.0, 0.99) if network == "style" else (0.5, 0.999)
    _train(task, out, minutes, as_json, seed=seed, decay=0.0, falls=False, betas=betas, **settings)


def _train(make: Callable[[], Task], out: Path, minutes: float, as_json: bool, **settings: Any) -> None:
    if out.suffix != ".safetensors":
        raise click.UsageError(f"-o {out} does not end in .safetensors", click.get_current_context())
    if not out.parent.is_dir():
        raise click.UsageError(f"the folder {out.parent} does not exist; create it first", click.get_current_context())
    from samovar.training.loop import Settings, Training, TrainingError

    try:
        training = Training(make(), Settings(**settings), out)
        if training.resume():
            _say(f"going on after {training.step} steps")
        done = _run(training, training.settings, minutes)
    except (PictureError, TrainingError) as error:
        raise click.ClickException(str(error)) from error
    if not done:
        _say(f"stopped after {training.step} of {training.settings.steps} steps; the same command goes on")
    found = training.finish()
    if as_json:
        click.echo(json.dumps({"steps": training.step, "seconds": round(training.seconds, 1), **found}))
    else:
        for name, value in found.items():
            click.echo(f"{name.replace('_', ' ')}: {value:.3f}")
        click.echo(
            f"{out}: {out.stat().st_size / 1e6:.1f} MB, after {training.step} steps, {duration(training.seconds)}"
        )


def _run(training: Training, settings: Settings, minutes: float) -> bool:
    began = said = time.monotonic()
    first, trouble = training.step, ""
    with click.progressbar(
        length=settings.steps, label="training", file=sys.stderr, width=24, item_show_func=lambda loss: loss
    ) as bar:
        bar.update(training.step)

        def told(training: Training) -> None:
            nonlocal said, trouble
            now = time.monotonic()
            if sys.stderr.isatty():
                bar.update(1, f"loss {training.loss:.3f}")
            elif now - said > SAID_SECONDS:
                said = now
                left = (now - began) / (training.step - first) * (settings.steps - training.step)
                _say(f"step {training.step} of {settings.steps}, loss {training.loss:.3f}, {duration(left)} left")
            if training.at == training.step:
                _say(f"after {training.at} steps, on what it never saw: {_told(training.found)}")
            if training.trouble and training.trouble != trouble:
                trouble = training.trouble
                _say(trouble)

        return training.run(minutes * 60, told)


def _told(found: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in found.items())


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


from . import prepare  # noqa: E402, F401  its commands stand beside those above
