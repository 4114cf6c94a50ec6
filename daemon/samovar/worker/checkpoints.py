"""How far a long job is, put aside in files, so that it goes on from there after the worker died under it.

One file for each part of a job, in a folder of the user's own; written beside and moved, so that a file is whole or
not there. A job that ends, however it ends, takes its files with it; what is left over by a daemon that was killed goes
when a worker starts a day later.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from samovar_link.messages import Run

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
KEPT_SECONDS = 86400.0
SUFFIX = ".safetensors"


def sweep(folder: Path, pattern: str = "*") -> None:
    """Remove what nobody will come back for: files of that pattern that nobody wrote to for a day."""
    with contextlib.suppress(FileNotFoundError):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()


class Checkpoints:
    """Of one job, as a context: they go with the end of the block. folder : None keeps nothing"""

    def __init__(self, folder: Path | None, run: Run, frames: Sequence[memoryview]) -> None:
        self._folder = folder
        state = hashlib.blake2b(digest_size=16)
        state.update(repr((run.job, run.operation, sorted(run.parameters.items()), run.images, run.region)).encode())
        state.update(repr((run.seed, run.wrap_x, run.wrap_y)).encode())
        for each in frames:
            state.update(each)
        self._name = state.hexdigest()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"{self._name}-*"):
                path.unlink(missing_ok=True)

    def write(self, part: str, state: dict[str, Tensor]) -> None:
        """Put a part's tensors aside. A disk that is full costs the checkpoint and nothing else."""
        if self._folder is None:
            return
        from safetensors.torch import save

        path = self._path(part)
        beside = path.with_suffix(f".{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            beside.write_bytes(save(state))
            os.replace(beside, path)
        except OSError as error:
            log.warning("how far the job is cannot be put aside: %s", error)
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)

    def read(self, part: str) -> dict[str, Tensor] | None:
        """A part's tensors, if they were put aside and can be read."""
        if self._folder is None or not (path := self._path(part)).exists():
            return None
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            found: dict[str, Tensor] = load(path.read_bytes())
        except (OSError, SafetensorError) as error:
            log.warning("%s cannot be read, the job begins anew: %s", path, error)
            return None
        return found

    def _path(self, part: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{self._name}-{part}{SUFFIX}"
