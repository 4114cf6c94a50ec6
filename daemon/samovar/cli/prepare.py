"""`samovar train prepare` and `drop`: pictures are cut to train on, and looked through."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from samovar.picture import PictureError

from .program import say
from .progress import duration
from .telling import SAID_SECONDS
from .train import train

if TYPE_CHECKING:
    from samovar.training.prepare import Preparation, Report
    from samovar.training.squares import Way

FEW = 1000
"""Faces. Who first tried it on drawings, with carpedm20's DCGAN, had 1,200 and called them too few; others take tens of
thousands."""
_NAMED = 5
"""Of files that something is wrong with."""
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print what became of the pictures as JSON.")


@train.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", "folder", metavar="FOLDER", required=True,
              type=click.Path(file_okay=False, path_type=Path),
              help="An empty or new one; or one that this command made, to go on with.")  # fmt: skip
@click.option("--size", type=click.IntRange(16, 1024), default=128, show_default=True,
              help="Pixels of a side of what is written.")  # fmt: skip
@click.option("--faces", "way", flag_value="faces", help="Take the drawn faces, found by a cascade.")
@click.option("--whole", "way", flag_value="whole", help="Take the middle of each picture: it is a face already.")
@click.option("--cascade", "file", type=click.Path(path_type=Path), default=None, metavar="FILE",
              help="For --faces.  [default: lbpcascade_animeface.xml in Samovar's folder of models]")  # fmt: skip
@click.option("--per-picture", type=click.IntRange(1, 1000), default=8, show_default=True,
              help="Parts or faces of one picture, at most.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), default=None, help="Stop when there are so many in all.")
@click.option("--alike", type=click.IntRange(-1, 32), default=4, show_default=True,
              help="Bits, of 64, in which two may differ and count as one; -1 keeps all.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True,
              help="Same seed and pictures, same parts.")  # fmt: skip
@_AS_JSON
def prepare(
    sources: tuple[Path, ...], folder: Path, size: int, way: str | None, file: Path | None, per_picture: int,
    limit: int | None, alike: int, seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Cut squares to train on out of your own pictures: folders of them, or tars.

    FOLDER gets PNGs that are named after the pictures, and review.html, a page on which a click drops what is of no
    use. What looks like another is left out. What is broken off goes on where it was when the same command is given
    again.
    """
    if file is not None and way != "faces":
        raise click.UsageError("--cascade is for --faces; give that, too", click.get_current_context())
    from samovar.training import prepare, review
    from samovar.training.loop import TrainingError

    began = time.monotonic()
    settings = prepare.Settings(size, per_picture, limit or 0, alike, compared=way is None)
    try:
        total = prepare.count(sources, folder)
        chosen, facts = _way(way or "parts", size, per_picture, seed, file)
        preparation = prepare.Preparation(folder, settings, chosen, {**facts, "alike": alike})
        _take(preparation, sources, total)
        review.write(folder)
    except (PictureError, TrainingError) as error:
        raise click.ClickException(str(error)) from error
    _tell(preparation.report(), folder, way, time.monotonic() - began, as_json)


def _way(way: str, size: int, per_picture: int, seed: int, file: Path | None) -> tuple[Way, dict[str, object]]:
    """What is looked for in pictures, and all that decides it, by the options' names."""
    from samovar.training import cascade, squares
    from samovar.weights import store

    facts = {"way": way, "size": size, "per-picture": per_picture}
    if way == "faces":
        path = cascade.where(file)
        return cascade.Faces(size, cascade.opened(path)), {**facts, "cascade": store.sha256(path)}
    if way == "whole":
        return squares.Whole(size), facts
    return squares.Patches(size, per_picture, seed), {**facts, "seed": seed}


def _take(preparation: Preparation, sources: Sequence[Path], total: int) -> None:
    from samovar.training import prepare

    began = said = time.monotonic()
    bar = click.progressbar(length=total, label="preparing", file=sys.stderr, width=24)
    try:
        with bar, _interrupted() as interrupted:
            for number, (name, data) in enumerate(prepare.walked(sources), 1):
                if preparation.is_full:
                    break
                preparation.take(name, data)
                if interrupted():
                    raise KeyboardInterrupt
                now = time.monotonic()
                if sys.stderr.isatty():
                    bar.update(1)
                elif now - said > SAID_SECONDS:
                    said = now
                    say(f"{number} of {total} pictures, {duration((now - began) / number * (total - number))} left")
    except KeyboardInterrupt:
        say("stopped; what is written is whole, and the same command goes on")
        raise


@contextlib.contextmanager
def _interrupted() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl+C was pressed, to be asked after each picture: Python drops it in what libvips calls back. A second
    one ends the program at once, as ever."""
    before, pressed = signal.getsignal(signal.SIGINT), threading.Event()

    def press(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(report: Report, folder: Path, way: str | None, seconds: float, as_json: bool) -> None:
    from samovar.training import review

    left = len(review.kept(folder))
    page = folder / review.PAGE
    if as_json:
        told = {**asdict(report), "left": left, "page": str(page), "seconds": round(seconds, 1)}
        click.echo(
            json.dumps({**told, "unreadable": len(report.unreadable), "unreadable_named": _some(report.unreadable)})
        )
    else:
        what = "parts" if way is None else "faces"
        click.echo(
            f"pictures: {report.pictures} read, {len(report.unreadable)} unreadable, "
            f"{report.duplicate_pictures} like another"
        )
        for sentence in _some(report.unreadable):
            click.echo(f"  {sentence}")
        click.echo(
            f"{what}: {report.found} found, {report.too_small} more too small, {report.duplicates} like another, "
            f"{report.left_out} beyond --per-picture or --limit, {report.written} written"
        )
        click.echo(f"{folder}: {left} {what}, {duration(seconds)}; look through them in {page}")
    _warn(left, way is not None)
    if not left:
        raise click.ClickException("there is nothing to train on; give other pictures, or a smaller --size")


def _warn(left: int, faces: bool) -> None:
    if faces and 0 < left < FEW:
        say(f"few faces ({left}): a network that draws them learns fewer than {FEW} by heart; 10,000 are better")


def _some(names: Sequence[str]) -> list[str]:
    return [*names[:_NAMED], *([f"and {len(names) - _NAMED} more"] if len(names) > _NAMED else [])]


@train.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("file", metavar="LIST", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_AS_JSON
def drop(folder: Path, file: Path, as_json: bool) -> None:
    """Move what LIST names out of the way, into FOLDER/dropped.

    LIST is what review.html saves: a name a line. Nothing is deleted, and trainings pass over a folder of that name.
    Move back by hand what you want back.
    """
    from samovar.training import ledger, review

    try:
        done = review.drop(folder, file)
        facts, _ = ledger.read(folder)
    except PictureError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({**asdict(done), "missing": list(done.missing)}))
    else:
        click.echo(f"{folder}: {done.moved} dropped, {done.before} before, {done.left} left")
    _warn(done.left, facts.get("way") != "parts")
    if done.missing:
        raise click.ClickException(f"not in {folder}: {', '.join(_some(done.missing))}; the others were moved")
