"""Show the daemon's log, and go on showing it: logs.

A record is a line with time and level, and all lines after it that have none, as of a traceback. The file is rotated
under us: what was written to the old one before is read to its end, then the new one from its beginning.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import IO

import click

from samovar_link import discovery

LOOK_SECONDS = 0.2
_LEVELS = ("debug", "info", "warning", "error")
_RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* ([A-Z]+) ")


@click.command()
@click.option(
    "-n", "--lines", type=click.IntRange(0), default=40, show_default=True, help="How many of the last lines."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--level", type=click.Choice(_LEVELS), default="debug", help="Only what is at least that grave.")
@click.option("--path", "only_path", is_flag=True, help="Print where the log is, not what it says.")
def logs(lines: int, follow: bool, level: str, only_path: bool) -> None:
    """Print the end of the daemon's log. What its worker writes, also as it crashes, is in there."""
    from samovar.broker.serve import log_path

    path = log_path(discovery.home())
    if only_path:
        click.echo(str(path))
        return
    least = logging.getLevelName(level.upper())
    file = _opened(path)
    if file is None and not follow:
        raise click.ClickException(f"there is no log at {path} yet; the daemon writes it when it starts.")
    click.echo("".join(deque(grave(_older(path), file or (), least=least), maxlen=lines)), nl=False)
    if follow:
        for line in grave(written(path, file), least=least):
            click.echo(line, nl=False)
    elif file is not None:
        file.close()


def _older(path: Path) -> Iterator[str]:
    """The file before this one: after a rotation the last lines are in there."""
    before = path.with_name(path.name + ".1")
    if before.exists():
        with before.open(encoding="utf-8", errors="replace") as file:
            yield from file


def grave(*parts: Iterable[str], least: int) -> Iterator[str]:
    """Lines of records of at least this level."""
    shown = True
    for part in parts:
        for line in part:
            if found := _RECORD.match(line):
                level = logging.getLevelName(found[1])
                shown = not isinstance(level, int) or level >= least
            if shown:
                yield line


def written(path: Path, file: IO[str] | None) -> Generator[str, None, None]:
    """Whole lines as they come, from where `file` is read to; None waits for one. Does not end."""
    rest = ""
    try:
        while True:
            if file is None:
                file, rest = _opened(path), ""
            if file is not None:
                replaced = _is_replaced(path, file)  # asked first: after that nothing goes to the old one
                while text := file.readline():
                    rest += text
                    if rest.endswith("\n"):
                        yield rest
                        rest = ""
                if replaced:
                    file.close()
                    file = None
                    continue
            time.sleep(LOOK_SECONDS)
    finally:
        if file is not None:
            file.close()


def _opened(path: Path) -> IO[str] | None:
    try:
        return path.open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _is_replaced(path: Path, file: IO[str]) -> bool:
    """Whether another file has its name now."""
    try:
        there, here = path.stat(), os.fstat(file.fileno())
    except FileNotFoundError:  # in the middle of a rotation
        return False
    return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)
