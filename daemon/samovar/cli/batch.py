"""Carries a task through all its pictures.

One picture that fails does not stop the others; each failure is a line on stderr and the exit code is 1 at the end.
The daemon is connected to, and started if need be, when the first picture has been read: a mistyped name starts none.
If the daemon dies under a job, that picture has failed and the next one starts the daemon again.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import samovar
from samovar.picture import FORMATS, Picture, PictureError
from samovar_link import Client, connect_or_start
from samovar_link.errors import DaemonUnavailable, RemoteError
from samovar_link.messages import BATCH, Cancelled, Limits, Raster, Report, Run
from samovar_link.request import MASK

from . import progress
from .operation import Task
from .program import say


@dataclass(frozen=True)
class Pair:
    """A picture to read, None for what is made of nothing, and the one to write."""

    source: Path | None
    target: Path

    @property
    def name(self) -> str:
        """For the user."""
        return str(self.source or self.target)


def pair(inputs: Sequence[Path], output: str) -> list[Pair]:
    """Each input with its output. Raises UsageError where OUT must be a folder and is not, or names would clash.

    output : as typed, because a slash at its end means a folder
    """
    folder = Path(output)
    if not is_several(inputs) and not (folder.is_dir() or output.endswith(("/", "\\"))):
        return [Pair(inputs[0], folder)]
    if folder.is_file() or (folder.suffix.lower() in FORMATS and not folder.is_dir()):
        raise click.UsageError(f"several pictures need a folder to go to, and -o {output} is a file")
    sources = [path for each in inputs for path in _pictures(each)]
    name, count = Counter(path.name for path in sources).most_common(1)[0]
    if count > 1:
        raise click.UsageError(f"{count} pictures are named {name} and would go to the same file in {output}")
    folder.mkdir(parents=True, exist_ok=True)
    return [Pair(path, folder / path.name) for path in sources]


def made(name: str, output: str) -> Pair:
    """Where what is made of nothing goes: to a file, or into a folder, as `name`."""
    target = Path(output)
    if target.is_dir() or output.endswith(("/", "\\")):
        target.mkdir(parents=True, exist_ok=True)
        target = target / f"{name}.png"
    return Pair(None, target)


def is_several(inputs: Sequence[Path]) -> bool:
    """Whether the command line asks for any number of pictures rather than for one."""
    return len(inputs) > 1 or any(each.is_dir() for each in inputs)


def run(task: Task, pairs: Sequence[Pair], *, several: bool, as_json: bool, quiet: bool) -> int:
    """Do the task for every pair; returns the exit code.

    several : more than one picture was asked for, so the JSON is a list even if one was found
    """
    results = []
    with closing(_Link()) as link:
        for index, each in enumerate(pairs):
            label = Path(each.name).name
            label = label if len(pairs) == 1 else f"{index + 1}/{len(pairs)} {label}"
            with progress.bar(label, enabled=not quiet) as bar:
                result = _outcome(task, each, link, bar, BATCH if len(pairs) > 1 else "interactive")
            results.append(result)
            _tell(result, as_json, quiet)
    if as_json:
        click.echo(json.dumps([result.fields() for result in results] if several else results[0].fields()))
    return 1 if any(result.error for result in results) else 0


@dataclass(frozen=True)
class _Result:
    """What became of one picture: a report, or an error."""

    pair: Pair
    before: Raster | None = None
    after: Raster | None = None
    report: Report | None = None
    notices: tuple[str, ...] = ()
    error: Exception | None = None

    def fields(self) -> dict[str, Any]:
        names = {"input": self.pair.source and str(self.pair.source), "output": str(self.pair.target)}
        if self.report is None or self.after is None:
            code = self.error.code if isinstance(self.error, RemoteError) else type(self.error).__name__
            return {**names, "error": {"code": code, "message": str(self.error)}}
        return {**names, "width": self.after.width, "height": self.after.height, **dataclasses.asdict(self.report)}


class _Link:
    """The connection, made at first use and again after it was lost."""

    def __init__(self) -> None:
        self._client: Client | None = None

    def client(self) -> Client:
        if self._client is None:
            self._client = connect_or_start("cli", samovar.__version__, [sys.executable, "-m", "samovar"])
        return self._client

    @property
    def was_made(self) -> bool:
        return self._client is not None

    def limits(self) -> Limits:
        known = self._client and self._client.welcome
        return known.limits if known else Limits()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


def _pictures(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(each for each in path.iterdir() if each.suffix.lower() in FORMATS and each.is_file())
    if not found:
        raise click.UsageError(f"{path} holds no pictures ({', '.join(FORMATS)})")
    yield from found


def _outcome(task: Task, each: Pair, link: _Link, bar: progress.Bar, priority: str) -> _Result:
    try:
        return _process(task, each, link, bar, priority)
    except (PictureError, RemoteError) as error:
        return _Result(each, error=error)
    except DaemonUnavailable as error:
        if not link.was_made:
            raise  # it does not start: nor would it for the next picture
        link.close()
        return _Result(each, error=error)


def _process(task: Task, each: Pair, link: _Link, bar: progress.Bar, priority: str) -> _Result:
    from samovar.picture import reading, writing

    writing.check_output(each.target)
    first = task.operation.roles[0]
    roles = task.extra if each.source is None else {first: each.source, **task.extra}
    pictures = {} if each.source else {first: Picture(Raster(1, 1, 3), memoryview(bytes(3)))}
    pictures |= {role: reading.read(path, link.limits()) for role, path in roles.items()}
    layer = pictures[first]
    if MASK in pictures or task.transparent:
        from samovar.picture import mask  # numpy, which takes a while

        if task.transparent:
            pictures[MASK] = mask.of_transparency(layer, each.name)
        else:
            pictures[MASK] = mask.of_file(pictures[MASK], str(roles[MASK]), layer)
    rasters = {
        role: dataclasses.replace(picture.raster, frame=index) for index, (role, picture) in enumerate(pictures.items())
    }
    request = Run(
        job=secrets.token_hex(16), operation=task.operation.id, parameters=task.parameters, images=rasters,
        wrap_x=task.wrap_x, wrap_y=task.wrap_y, priority=BATCH if task.operation.live else priority,
        keep_alive_seconds=task.keep_alive_seconds, seed=task.seed, keep_result=task.operation.live,
    )  # fmt: skip
    bar.stage("starting")
    answer, frames = link.client().run(request, [picture.pixels for picture in pictures.values()], bar.update)
    if isinstance(answer, Cancelled):
        raise RemoteError(f"the daemon ended the job of {each.name}", "it is being stopped; run the command again")
    notices = list(layer.notices)
    variants = [raster for role, raster in answer.images.items() if role != MASK]
    for index, raster in enumerate(variants):
        result = Picture(raster, frames[raster.frame], layer.metadata)
        notices += writing.write(result, _variant(each.target, index))
    notices += [*answer.report.retries, *answer.report.notes]
    return _Result(each, layer.raster, answer.images["image"], answer.report, tuple(notices))


def _variant(target: Path, index: int) -> Path:
    """Where a variant goes: the first where it was asked for, the others beside it."""
    return target if not index else target.with_stem(f"{target.stem}-{index + 1}")


def _tell(result: _Result, as_json: bool, quiet: bool) -> None:
    if result.error is not None:
        named = isinstance(result.error, PictureError)  # these begin with the file's name
        say(str(result.error) if named else f"{result.pair.name}: {result.error}")
        return
    if quiet:
        return
    for notice in result.notices:
        say(notice)
    if not as_json and result.report and result.before and result.after:
        click.echo(_line(result.pair, result.before, result.after, result.report))


def _line(pair: Pair, before: Raster, after: Raster, report: Report) -> str:
    how = " ".join(part for part in (report.model, report.runtime, report.dtype, report.device) if part)
    tiles = f", {report.tiles.total} tiles ({report.tiles.cached} cached)" if report.tiles.total else ""
    size = f"{after.width}x{after.height}"
    if pair.source is not None:
        size = f"{before.width}x{before.height} -> {size}"
    seconds = f"{report.seconds.total:.2f} s, {report.seconds.load:.2f} of it loading"
    return f"{click.format_filename(pair.target)}: {size}, {how}{tiles}, {seconds}"
