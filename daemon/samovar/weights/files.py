"""Finding the weight files of installed data packages and of the folder of models, and checking that they are what the
card says.

The packages are never imported: they are data, and their code is none of our business. Whatever is wrong with a file,
the user reads one sentence and the command that puts it right.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
from pathlib import Path

import samovar
from samovar import descriptors
from samovar.card import OURS, WeightFile
from samovar.weights import store
from samovar_link.errors import ModelUnavailable


def locate(weight: WeightFile) -> Path:
    """Path of an installed weight file. Raises ModelUnavailable if the package or the file is missing."""
    if not weight.distribution:
        return _in_folder(weight)
    if weight.distribution == OURS:
        return Path(samovar.__file__).parent / weight.path
    name = weight.distribution.split("==")[0]
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        # Folders that could not be read count as empty there. A method of instances before Python 3.12.
        importlib.metadata.MetadataPathFinder().invalidate_caches()
        raise unavailable(weight, f"the package {name} is not installed") from None
    path = Path(str(distribution.locate_file(weight.path)))
    if not path.is_file():
        raise unavailable(weight, f"{name} has no file {weight.path}")
    return path


def _in_folder(weight: WeightFile) -> Path:
    path = store.folder() / weight.path
    if not path.is_file():
        raise unavailable(weight, f"{path.name} is not in the folder of models")
    return path


def checked(weight: WeightFile) -> Path:
    """Path of a file that is the one the card means. Raises ModelUnavailable."""
    path = locate(weight)
    if not (found := store.sha256(path)).startswith(weight.sha256):
        raise unavailable(weight, f"{path} is damaged or of another version: sha256 {found}, expected {weight.sha256}")
    return path


def read(weight: WeightFile) -> tuple[str, bytes]:
    """Text of the `.param` and bytes of the `.bin` of an ncnn model, the latter with the sha256 of the card."""
    path = locate(weight)
    description = path.with_suffix(".param")
    try:
        data, text = path.read_bytes(), description.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unavailable(weight, f"cannot read {path.with_suffix('')}: {error}") from error
    if (found := hashlib.sha256(data).hexdigest()) != weight.sha256:
        raise unavailable(weight, f"{path} is damaged or of another version: sha256 {found}, expected {weight.sha256}")
    return text, data


def unavailable(weight: WeightFile, message: str) -> ModelUnavailable:
    """The error for a weight file, with the command that repairs it. Raises OSError where no file can be opened."""
    descriptors.need_one()
    if weight.url:
        return ModelUnavailable(message, f"run: samovar models pull {store.id_of(weight)}")
    if not weight.distribution:
        return ModelUnavailable(message, "run: samovar models add FILE")
    return ModelUnavailable(message, f'run: "{sys.executable}" -m pip install --force-reinstall {weight.distribution}')
