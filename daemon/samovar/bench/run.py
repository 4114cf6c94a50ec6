"""Carries a bench through: the rows asked for, one after the other, between two looks at the machine."""

from __future__ import annotations

import importlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import machine
from .plan import FULL, QUICK, Plan, Sizes
from .row import Row, rounded

log = logging.getLogger(__name__)

MODULES = {
    "overhead": "overhead",
    "small": "overhead",
    "warm": "warm",
    "peers": "peers",
    "limit": "limit",
    "dirty": "dirty",
    "memory": "memory",
    "cancel": "response",
    "ping": "response",
    "start": "start",
    "fill": "fill",
    "restore": "restore",
    "colorize": "colorize",
    "texture": "texture",
    "texture-loss": "texture",
    "beside": "beside",
}
"""Row -> the module of this package that measures it, in the order of the table."""
LONG = ("memory",)
"""Left out of a quick run unless asked for."""

Result = dict[str, Any]
"""{"machine": …, "rows": […]}, JSON values."""


def run(
    rows: Sequence[str] = (),
    quick: bool = False,
    quiet: bool = False,
    sizes: Sizes | None = None,
    keep: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Measure the rows asked for; none means all, less the long ones if it is to be quick.

    keep : called with what there is after each module, since all of it may take long
    """
    wanted = rows or [id for id in MODULES if not (quick and id in LONG)]
    modules = list(dict.fromkeys(MODULES[id] for id in MODULES if id in wanted))
    return _measured(modules, wanted, sizes or (QUICK if quick else FULL), quick, quiet, keep)


def run_gpu(quiet: bool = False) -> Result:
    """The rows for a graphics card, which must be there."""
    return _measured(["gpu"], (), FULL, False, quiet, lambda result: None)


def _measured(
    modules: Sequence[str],
    wanted: Sequence[str],
    sizes: Sizes,
    quick: bool,
    quiet: bool,
    keep: Callable[[Result], None],
) -> Result:
    began = time.perf_counter()
    facts = machine.describe() | {"quick": quick}
    result: Result = {"machine": facts, "rows": []}
    with tempfile.TemporaryDirectory(prefix="samovar-bench-") as home:
        plan = Plan(Path(home), sizes, quick, quiet)
        before = os.environ.get("SAMOVAR_HOME")
        os.environ["SAMOVAR_HOME"] = home  # what the engine in this process keeps is not the user's either
        try:
            for name in modules:
                plan.say(name)
                at = time.perf_counter()
                rows = [row.fields() for row in _rows(name, plan, wanted)]
                for row in rows:
                    row["seconds"] = rounded(time.perf_counter() - at)
                result["rows"] += rows
                facts |= {"load_after": machine.load(), "seconds": round(time.perf_counter() - began)}
                keep(result)
        finally:
            if before is None:
                del os.environ["SAMOVAR_HOME"]
            else:
                os.environ["SAMOVAR_HOME"] = before
    return result


def _rows(module: str, plan: Plan, wanted: Sequence[str]) -> list[Row]:
    """What a module measured; of one that failed, rows that say so: the others still count."""
    try:
        rows: list[Row] = importlib.import_module(f"samovar.bench.{module}").measure(plan)
    except Exception as error:  # whatever it is, an hour's measurements are not to be lost for it
        log.warning("%s failed", module, exc_info=True)
        why = (str(error) or type(error).__name__).splitlines()[0]
        plan.say(f"{module} failed: {why}")
        ids = [id for id, its in MODULES.items() if its == module] or [module]
        rows = [Row(id, "", note=f"Failed: {why}") for id in ids]
    return [row for row in rows if not wanted or row.id in wanted]


def failed(result: Result) -> bool:
    """Whether a row could not be measured. A target that was missed is no failure."""
    return any(row["note"].startswith("Failed: ") for row in result["rows"])


def write(result: Result, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
