"""`samovar train`: the small networks trained on the user's own pictures."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .following import given
from .training import UNDER_DAEMON, Wish

if TYPE_CHECKING:
    from samovar.training.loop import Task
    from samovar.training.pictures import Photo

_LARGEST = 1024
"""Pixels of the shorter side that pictures for upscale and denoise are shrunk to: they are held in memory."""
_NICE = 10
"""How much a training in the background gives way to whatever else wants the processor."""
_SOURCE = click.Path(exists=True, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def train() -> None:
    """Train a small network on your own pictures.

    It is done in the background: `samovar jobs` lists it, whatever takes a moment goes ahead of it, and it goes on
    when this terminal is closed. Ctrl+C ends it. What is broken off goes on where it was when the same command is
    given again. Beside OUT.safetensors lie OUT.png, a sheet of pictures to look at that were not trained on, and
    OUT.checkpoint.safetensors, which may be deleted when all is done.
    """


def _common(steps: int, batch: int, rate: float, **fixed: Any) -> Callable[[Any], Any]:
    """Options that every training has, with its own defaults. fixed : more of `Settings`

    The decorated function takes the others, and returns what makes the task.
    """
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
        click.option(
            "--patience", type=click.IntRange(0), default=0, show_default=True,
            help="End when it became no better at so many looks, of which there are twenty; 0 never.",
        ),
        click.option(
            "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
            help="Where: on a graphics card if there is one.",
        ),
        click.option("--add", is_flag=True, help="Make it a model for the shell and the editors, when it is trained."),
        click.option("--detach", is_flag=True, help="Do not wait for it."),
        click.option("--here", is_flag=True, help="Train in this process, not in the background."),
        click.option("--json", "as_json", is_flag=True, help="Print how good it became as JSON."),
    )  # fmt: skip

    def add(function: Callable[..., Callable[[], Task]]) -> Any:
        @functools.wraps(function)
        def command(
            out: Path, steps: int, batch: int, rate: float, minutes: float, patience: int, device: str, add: bool,
            detach: bool, here: bool, as_json: bool, **own: Any,
        ) -> None:  # fmt: skip
            settings = {"steps": steps, "batch": batch, "rate": rate, "patience": patience, "seed": own["seed"]}
            Wish(function(**own), out, {**settings, **fixed}, minutes, device, add, as_json).carry_out(here, detach)

        found: Any = command
        for option in reversed(options):
            found = option(found)
        return found

    return add


@train.command()
@_common(steps=6000, batch=32, rate=1e-3, decay=0.05)
@click.option("--size", "side", type=click.IntRange(32, 512), default=96, show_default=True,
              help="Pixels of a side that the network sees; a multiple of 16.")  # fmt: skip
@click.option("--line-art", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of pictures that are seen as lines alone.")  # fmt: skip
@click.option("--from", "start", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              metavar="FILE", help="Weights to begin with.")  # fmt: skip
def colorize(
    sources: tuple[Path, ...], side: int, line_art: float, start: Path | None, seed: int,
) -> Callable[[], Task]:  # fmt: skip
    """The colorizer, on coloured pictures: folders of them, or tars."""
    if side % 16:
        raise click.UsageError(f"--size {side} is no multiple of 16", click.get_current_context())

    def task() -> Task:
        from samovar.training import colorize, pictures

        return colorize.Colorize(pictures.read(sources, side * 3 // 2), side, line_art, seed, start)

    return task


@train.command()
@_common(steps=600, batch=100, rate=1e-3, decay=1e-5, falls=False)
def sizedecoder(sources: tuple[Path, ...], seed: int) -> Callable[[], Task]:
    """SizeDecoder, which enlarges by two, on coloured pictures."""

    def task() -> Task:
        from samovar.training import pictures, sizedecoder

        return sizedecoder.SizeDecoder(pictures.read(sources, sizedecoder.SIDE * 5 // 4), seed)

    return task


_UPSCALERS = {"upconv7": "upconv7", "srcnn": "srcnn", "compact": "srvgg"}
"""As they are called -> architecture."""
_PART = click.option("--size", "side", type=click.IntRange(16, 256), default=64, show_default=True,
                     help="Pixels of a side that the network makes in a step; even.")  # fmt: skip
_SHRINK = click.option("--shrink", type=click.FloatRange(0.1, 1), default=1.0, show_default=True,
                       help="Share of their size that pictures are shrunk to, to rid them of JPEG.")  # fmt: skip
_LEFT_OUT = click.option("--leave-out", multiple=True, metavar="NAME", help="A folder in FOLDER that is not wanted.")
_START = click.option("--from", "start", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
                      metavar="FILE", help="Weights to begin with.")  # fmt: skip


@train.command()
@_common(steps=20000, batch=16, rate=1e-3, decay=0.0)
@_PART
@_SHRINK
@_START
@click.option("--network", type=click.Choice(list(_UPSCALERS)), default="upconv7", show_default=True,
              help="upconv7: waifu2x's; srcnn: the first of all, lightness alone; compact: Real-ESRGAN's.")  # fmt: skip
@click.option("--noise", "level", type=click.IntRange(-1, 3), default=-1, show_default=True,
              help="Of JPEG, to be cleaned on the way; -1 for none.")  # fmt: skip
def upscale(
    sources: tuple[Path, ...], side: int, shrink: float, start: Path | None, network: str, level: int,
    seed: int,
) -> Callable[[], Task]:  # fmt: skip
    """A network that makes pictures twice as large, for pictures like yours: folders of them, or tars."""
    if side % 2:
        raise click.UsageError(f"--size {side} is not even", click.get_current_context())

    def task() -> Task:
        from samovar.training import pictures, upscale

        return upscale.Upscale(pictures.read(sources, _LARGEST, shrink), _UPSCALERS[network], level, side, seed, start)

    return task


@train.command()
@_common(steps=20000, batch=16, rate=1e-3, decay=0.0)
@_PART
@_SHRINK
@_START
def denoise(
    sources: tuple[Path, ...], side: int, shrink: float, start: Path | None, seed: int,
) -> Callable[[], Task]:  # fmt: skip
    """A network that takes grain and the roughness of paper away, on clean pictures: folders of them, or tars."""

    def task() -> Task:
        from samovar.training import denoise, pictures

        return denoise.Denoise(pictures.read(sources, _LARGEST, shrink), side, seed, start)

    return task


@train.command()
@_common(steps=6000, batch=64, rate=2e-4, decay=0.0, falls=False)
@_LEFT_OUT
def faces(sources: tuple[Path, ...], leave_out: tuple[str, ...], seed: int) -> Callable[[], Task]:
    """A generator of faces of 128 pixels, on pictures of one face each: folders of them, or tars.

    Pictures in a folder of their own are a style of their own.
    """

    def task() -> Task:
        from samovar.training import faces

        return faces.Faces(_faces(sources, leave_out), seed)

    return task


@train.command()
@_common(steps=2500, batch=64, rate=2e-4, decay=0.0, falls=False)
@_LEFT_OUT
@click.option("--size", "side", type=click.IntRange(32, 128), default=64, show_default=True,
              help="Pixels of a side of a face.")  # fmt: skip
def dcgan(sources: tuple[Path, ...], leave_out: tuple[str, ...], side: int, seed: int) -> Callable[[], Task]:
    """DCGAN as it was published, on pictures of one face each: folders of them, or tars. For comparison."""

    def task() -> Task:
        from samovar.training import dcgan

        return dcgan.DCGAN(_faces(sources, leave_out), side, seed)

    return task


def _faces(sources: tuple[Path, ...], leave_out: tuple[str, ...]) -> list[Photo]:
    from samovar.training import pictures

    return [each for each in pictures.read(sources, 128) if not set(leave_out).intersection(each.folders)]


@train.command(hidden=True)
@click.argument("job")
def carry_out(job: str) -> None:
    """What the daemon runs: the training whose words lie in Samovar's folder, told of in lines of JSON."""
    with contextlib.suppress(AttributeError):  # there is none on Windows
        os.nice(_NICE)
    train.main(given(job), prog_name="train", standalone_mode=False, obj=UNDER_DAEMON)


from . import prepare  # noqa: E402, F401  its commands stand beside those above
