"""What the tests of all editors share: a screen, the Debian 13 root, a place for pictures, what a missing editor means.

A missing editor is a skip that names the command which installs it; under CI=true it is a failure, so that a run that
tested nothing cannot look green.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import debian_root
import pytest
from screen import virtual_screen


def editor_missing(what: str) -> NoReturn:
    """Skip, or fail under CI."""
    message = f"{what}; install the editors with: make editors"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


def need(*programs: str) -> None:
    """Skip, or fail under CI, unless all these programs are there."""
    if missing := [program for program in programs if shutil.which(program) is None]:
        editor_missing(f"{', '.join(missing)} not found")


@pytest.fixture(scope="session")
def require() -> Callable[..., None]:
    """`need`, for fixtures in the folders below."""
    return need


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where tests leave screenshots, to be looked at by a person. Ignored by git."""
    folder = Path(__file__).with_name("artifacts")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def newer_debian() -> Path:
    """The Debian 13 root with GIMP 3 and Krita 5.2, made on first use (some minutes)."""
    try:
        root = debian_root.find()
        if root is None and os.environ.get("CI", "").lower() not in ("1", "true"):
            editor_missing(f"no Debian {debian_root.SUITE} root at {debian_root.place()}")
        root = root or debian_root.ensure()
    except debian_root.NoRoot as error:
        editor_missing(str(error))
    if reason := debian_root.unusable(root):
        editor_missing(reason)
    return root


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """The name of a screen of our own, 1600x1000, like ":7"."""
    need("Xvfb", "xdotool", "import")
    with virtual_screen() as name:
        yield name
