"""Runtimes: how a network meets a device. One file each, found by `discover`; none imports its library at the top.

A runtime takes a loaded float32 network and gives one that computes the same: it may change the modules in place, or
put something else where the network's `units` are. What goes in and comes out of a unit are tensors on the CPU, of any
float type, in any memory layout.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from samovar import submodules

if TYPE_CHECKING:
    from samovar.networks import Network


def _free_bytes() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


@dataclass(frozen=True)
class Runtime:
    """One way to run networks on a device.

    name, dtype : for the report, "torch" and "f32"
    exact : computes with all digits of float32, so that layers of more than 8 bits may go through it
    version : of the library, "" where there is none here
    usable : whether this machine can run it, and it may pay
    prepare : network as loaded -> network that runs
    device : where it computes, for the report
    free_bytes : of memory there, that nobody holds
    """

    name: str
    dtype: str
    exact: bool
    version: Callable[[], str]
    usable: Callable[[], bool]
    prepare: Callable[[Network], Network]
    device: str = "cpu"
    free_bytes: Callable[[], int] = _free_bytes

    @property
    def id(self) -> str:
        return f"{self.name} {self.dtype}"


class NotForThis(Exception):
    """A runtime that cannot run a network by its nature: nothing is broken. The message says why."""


def discover() -> tuple[Runtime, ...]:
    """Every `Runtime` listed as `RUNTIMES` in the modules here that this machine can use; torch f32, the plain one,
    comes first. The variable SAMOVAR_RUNTIME, with the id of one, leaves only that and the plain one."""
    modules = submodules.load(__name__)
    wanted = os.environ.get(VARIABLE, "")
    found = [
        runtime
        for module in modules
        for runtime in module.RUNTIMES
        if wanted in ("", runtime.id) or runtime.id == PLAIN
        if runtime.usable()
    ]
    return tuple(sorted(found, key=lambda runtime: (runtime.id != PLAIN, runtime.id)))


VARIABLE = "SAMOVAR_RUNTIME"
TRIALS_FILE = "trials.json"
"""In Samovar's folder: which runtime is fastest for which model here."""
PLAIN = "torch f32"
"""What the others are compared with, and what is always there."""
