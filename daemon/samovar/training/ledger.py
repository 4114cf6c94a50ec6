"""What a folder of training pictures was made of: `prepared.jsonl`, a line of JSON for each picture that was read.

The first line says how they were cut. A picture's line is written after the last part of it. So whatever ends the
program, what has a line is whole, and the same command goes on behind it; half a line, at the end, is none.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from samovar.picture import PictureError

NAME = "prepared.jsonl"


@dataclass(frozen=True)
class Record:
    """One picture that was read.

    picture : its name, with the folder or tar that it lies in; digest : of its file
    fingerprint : of it as a whole, where that is compared; duplicate : it looks like one before it
    stem : what the names of its parts begin with; parts : their file names, with their fingerprints
    found : how many parts there were to take; too_small : how many more were too small
    left_out : those beyond as many as are taken of one picture; duplicates : those that look like one before them
    """

    picture: str
    digest: str
    fingerprint: int = 0
    duplicate: bool = False
    stem: str = ""
    parts: dict[str, int] = field(default_factory=dict)
    found: int = 0
    too_small: int = 0
    left_out: int = 0
    duplicates: int = 0


def read(folder: Path) -> tuple[dict[str, Any], list[Record]]:
    """How a folder's pictures were cut, and what they were cut from. Raises PictureError if that is not known."""
    path = folder / NAME
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        raise PictureError(f"{folder} was not made by samovar train prepare: there is no {NAME} in it") from None
    try:
        first, *others = (json.loads(line) for line in lines)
        return dict(first), [Record(**each) for each in others]
    except (ValueError, TypeError) as error:
        raise PictureError(f"{path} is damaged ({error}); choose another folder") from error


class Ledger:
    """The lines of one folder, to be added to.

    facts : all that decides how pictures are cut, by the options' names

    Makes the folder. Raises PictureError for one that holds something else, or was made with other options.
    """

    def __init__(self, folder: Path, facts: Mapping[str, object]) -> None:
        self._path = folder / NAME
        self.records: list[Record] = []
        folder.mkdir(parents=True, exist_ok=True)
        if not self._path.exists() and any(not each.name.startswith(".") for each in folder.iterdir()):
            raise PictureError(f"{folder} holds other files; name an empty folder, or a new one")
        if not _end_whole(self._path):
            self._append(dict(facts))
            return
        made, self.records = read(folder)
        for name, value in facts.items():
            if made.get(name) != value:
                raise PictureError(
                    f"{folder} was made with {name} {made.get(name)}, not {value}; give the same, or another folder"
                )

    def add(self, record: Record) -> None:
        self.records.append(record)
        self._append(dataclasses.asdict(record))

    def _append(self, fields: dict[str, object]) -> None:
        line = json.dumps(fields).encode() + b"\n"
        try:
            with self._path.open("ab", buffering=0) as file:
                if file.write(line) == len(line):
                    return
        except OSError as error:
            raise PictureError(
                f"{self._path} could not be written ({error.strerror}); see to that and go on"
            ) from error
        raise PictureError(f"{self._path} could not be written (no space is left); free some and go on")


def _end_whole(path: Path) -> int:
    """Take half a line off the end, which a full disk or a cut of power left; how many bytes there are then."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)
    return whole
