"""Looking through what was prepared: a page on which a click drops a picture, and the list that it saves.

Nothing is deleted: what is dropped lies in a folder of that name beside the others, which `pictures.files` passes over.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samovar.picture import PictureError
from samovar.training import ledger
from samovar.training.pictures import DROPPED
from samovar.weights import store

PAGE = "review.html"
LIST = "dropped.txt"
_TEMPLATE = Path(__file__).with_name(PAGE)
_PLACE = "PREPARED"


@dataclass(frozen=True)
class Dropping:
    """What became of a list: moved now, dropped before, and names that are nowhere; what is left in the folder"""

    moved: int
    before: int
    missing: Sequence[str]
    left: int


def kept(folder: Path) -> list[str]:
    """File names of what was prepared and is still in the folder, picture by picture. Raises PictureError."""
    _, records = ledger.read(folder)
    here = set(os.listdir(folder))
    return [name for record in records for name in record.parts if name in here]


def write(folder: Path) -> Path:
    """Write the page, of what is in the folder now; an older one goes. Raises PictureError."""
    facts, _ = ledger.read(folder)
    told = {
        "names": kept(folder), "size": facts["size"], "list": LIST,
        "command": f"samovar train drop {shlex.quote(str(folder))} {LIST}",
    }  # fmt: skip
    inside = json.dumps(told).replace("<", "\\u003c")  # nothing in it ends the script
    page = _TEMPLATE.read_text(encoding="utf-8").replace(_PLACE, inside)
    try:
        store.write_whole(folder / PAGE, page.encode())
    except OSError as error:
        raise PictureError(f"{folder / PAGE} could not be written ({error.strerror}); see to that and go on") from error
    return folder / PAGE


def drop(folder: Path, file: Path) -> Dropping:
    """Move what a list names into the folder DROPPED, and write the page anew.

    Raises PictureError, before anything was moved, for a list that cannot be read or names a file elsewhere.
    """
    names = _names(file)
    here = set(kept(folder))
    before = {path.name for path in (folder / DROPPED).glob("*")}
    chosen = [name for name in names if name in here - before]
    for name in chosen:
        (folder / DROPPED).mkdir(exist_ok=True)
        os.replace(folder / name, folder / DROPPED / name)
    write(folder)
    missing = [name for name in names if name not in here | before]
    return Dropping(len(chosen), len(names) - len(chosen) - len(missing), missing, len(here) - len(chosen))


def _names(file: Path) -> list[str]:
    """The lines of a list, each once."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PictureError(f"{file} is no list of names that can be read ({error})") from error
    names = dict.fromkeys(line.strip() for line in lines if line.strip())
    for name in names:
        if "/" in name or "\\" in name or name in (".", ".."):
            raise PictureError(f"{file} names {name}; a name is that of a file in the folder, without folders")
    return list(names)
