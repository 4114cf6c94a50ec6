"""All modules of a package, for what is found by lying in a folder: operations, models, runtimes."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType


@functools.cache  # asked for with every job, and no file may be there to open by then
def load(package: str) -> tuple[ModuleType, ...]:
    """Import each of them. Raises OSError if the folder cannot be read, over which pkgutil passes in silence."""
    folders = importlib.import_module(package).__path__
    names = [each.name for each in pkgutil.iter_modules(folders)]
    if not names:
        raise OSError(f"{', '.join(folders)} cannot be read, or is empty")
    return tuple(importlib.import_module(f"{package}.{name}") for name in names)
