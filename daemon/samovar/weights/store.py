"""Samovar's folder of models: what was fetched, and what the user put there.

    models/REALESRGAN...pth        a file of the user's own, added or just dropped in
    models/.REALESRGAN...pth.json  what was found in it
    models/swinir/photo-x4/....pth fetched, in a folder named like the model

What a file of the user's own holds is found out once, in a process of its own: whatever the file does to that process,
it does to no other. A file that was refused is remembered as well, with the reason. No torch here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from samovar import descriptors, surroundings
from samovar.card import ModelCard, WeightFile
from samovar_link import discovery
from samovar_link.errors import BadRequest, ModelUnavailable

SUFFIXES = (".safetensors", ".pth", ".ckpt", ".bin", ".pt")
OWN = "own/"
"""Begins the id of a model of the user's own."""
EXAMINE_SECONDS = 300
_CHUNK_BYTES = 1 << 20
_OPERATIONS = {
    "SR": ("upscale", "foreign"), "Restoration": ("denoise", "foreign"), "Inpainting": ("inpaint", "lama"),
    "Colorization": ("colorize", "ddcolor"), "chroma_unet": ("colorize", "trained"),
    "sizedecoder": ("upscale", "trained"), "upconv7": ("upscale", "trained"), "srcnn": ("upscale", "trained"),
    "dncnn": ("denoise", "trained"), "srvgg": ("upscale", "trained"), "dcgan": ("faces", "trained"),
}  # fmt: skip
"""Purpose, in spandrel's words, or as `networks.trained` tells it -> operation, network."""
_known: tuple[tuple[Path, int], tuple[ModelCard, ...]] | None = None


@dataclass(frozen=True)
class Finding:
    """What a file holds, as `networks.foreign.Description` tells it; or `refused`, a sentence that says why not.

    size_bytes, modified_ns : of the file that was looked at; another one has to be looked at again
    """

    size_bytes: int
    modified_ns: int
    sha256: str = ""
    refused: str = ""
    architecture: str = ""
    purpose: str = ""
    scale: int = 1
    channels: int = 3
    multiple: int = 1
    context: int = 0
    parameters: int = 0


def folder() -> Path:
    return discovery.home() / "models"


def has(weight: WeightFile) -> bool:
    """Whether a file of the folder is there. It may yet be damaged: `files.checked` looks."""
    return os.path.isfile(folder() / weight.path)  # false, not an error, where the folder cannot be entered


def id_of(weight: WeightFile) -> str:
    """Of the model that a fetched file belongs to."""
    return str(PurePosixPath(weight.path).parent)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


# --- the user's own files -------------------------------------------------------------------------------------------


def own_files() -> list[Path]:
    """Files that lie in the folder itself."""
    try:
        return sorted(path for path in folder().iterdir() if _is_model(path))
    except FileNotFoundError:
        return []


def _is_model(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def own_id(path: Path) -> str:
    return OWN + re.sub(r"[^\w.+-]+", "-", path.stem)


def is_own(model: str) -> bool:
    return model.startswith(OWN)


def own_cards() -> tuple[ModelCard, ...]:
    """Of the files that were looked at and can be used. Asked often, so it looks at the folder's time first.

    As they were last where the folder cannot be read just now: a daemon that may open no more files offers them still.
    """
    global _known
    place = folder()
    try:
        state = place, place.stat().st_mtime_ns
        if _known is None or _known[0] != state:
            _known = state, tuple(_cards())
    except FileNotFoundError:
        return ()
    except OSError:  # who looks for new files says so
        return _known[1] if _known is not None and _known[0][0] == place else ()
    return _known[1]


def _cards() -> Iterator[ModelCard]:
    for path in own_files():
        found = finding(path)
        if found is not None and not found.refused:
            yield _card(path, found)


def _card(path: Path, found: Finding) -> ModelCard:
    operation, network = _OPERATIONS[found.purpose]
    whole = operation in ("inpaint", "colorize", "faces")
    return ModelCard(
        id=own_id(path),
        title=f"{path.stem} ({found.architecture})",
        help=f"Your own: {found.architecture}, {found.parameters / 1e6:.1f} million numbers.",
        operations=(operation,),
        network=network,
        whole=whole,
        weights={"": WeightFile("", path.name, found.sha256)},
        scale=found.scale,
        receptive_field=0 if whole else found.context,
        multiple=found.multiple,
        licence="",
        source="",
        architecture=found.architecture,
        speed="",
    )


def finding(path: Path) -> Finding | None:
    """What is known of a file; None if nobody has looked at it as it is now. Raises OSError where no more files may be
    opened."""
    try:
        fields = json.loads(_beside(path).read_text(encoding="utf-8"))
        found = Finding(**fields)
        state = path.stat()
    except (OSError, ValueError, TypeError) as error:
        if descriptors.are_out(error):
            raise
        return None
    return found if (found.size_bytes, found.modified_ns) == (state.st_size, state.st_mtime_ns) else None


def examine(path: Path) -> Finding:
    """Look at a file, in a process of its own, and remember what was found."""
    state = path.stat()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "samovar.weights.examine", str(path.absolute())], capture_output=True, text=True,
            timeout=EXAMINE_SECONDS, check=False, cwd=surroundings.FOLDER, env=surroundings.environment(),
        )  # fmt: skip
        fields = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        fields = {"refused": f"{path.name} could not be read within {EXAMINE_SECONDS} s"}
    except ValueError:
        fields = {"refused": f"{path.name} ended the program that read it ({_end(done)})"}
    found = Finding(state.st_size, state.st_mtime_ns, **fields)
    if found.refused == "" and found.purpose not in _OPERATIONS:
        refused = f"{path.name} is a model for {found.purpose}, for which Samovar has no operation"
        found = Finding(state.st_size, state.st_mtime_ns, refused=refused)
    if path.parent == folder():
        write_whole(_beside(path), json.dumps(asdict(found), indent=1).encode())
    return found


def examine_new() -> list[Path]:
    """Look at what was dropped into the folder since; what was looked at."""
    fresh = [path for path in own_files() if finding(path) is None]
    for path in fresh:
        examine(path)
    return fresh


def has_new(settled_seconds: float) -> bool:
    """Whether there is a file that nobody has looked at, and that nobody has written to for so long. One from the
    future is of another clock, or of this one before it was set back."""
    now = time.time()
    with contextlib.suppress(FileNotFoundError):  # deleted this moment
        return any(abs(now - path.stat().st_mtime) > settled_seconds and finding(path) is None for path in own_files())
    return False


def remove(weight: WeightFile) -> None:
    """Delete a file of the folder, and what is known of it."""
    path = folder() / weight.path
    path.unlink()
    _beside(path).unlink(missing_ok=True)
    if path.parent != folder():
        for each in (path.with_name(f".{path.name}.{suffix}") for suffix in ("lock", "part")):
            each.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # there is another file in it
            path.parent.rmdir()


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.json")


def _end(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name
    words = done.stderr.strip().splitlines()
    return words[-1][:120] if words else f"exit code {done.returncode}"


def write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def add(source: Path, name: str = "") -> ModelCard:
    """Copy a file of the user's own into the folder, if it can be used. Raises ModelUnavailable with the reason, and
    BadRequest for a name that is none."""
    if name.startswith(".") or Path(name).name != name:
        raise BadRequest.field("name", name, "a file name without folders that does not begin with a dot")
    target = folder() / f"{name or source.stem}{source.suffix.lower()}"
    if target.exists() and not (source.exists() and source.samefile(target)):
        raise ModelUnavailable(f"there is a model {own_id(target)} already", "give it another name: --name NAME")
    found = examine(source) if source.is_file() else None
    if found is None:
        raise ModelUnavailable(f"{source} is no file", "name the file of weights")
    if found.refused:
        raise ModelUnavailable(found.refused)
    if not target.exists():
        _copy(source, target)
    state = target.stat()
    write_whole(
        _beside(target),
        json.dumps({**asdict(found), "size_bytes": state.st_size, "modified_ns": state.st_mtime_ns}, indent=1).encode(),
    )
    return _card(target, found)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    try:
        with source.open("rb") as before, temporary.open("wb") as after:
            while chunk := before.read(_CHUNK_BYTES):
                after.write(chunk)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
