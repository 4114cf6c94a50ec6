"""The machine and the versions that a measurement belongs to."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import samovar

PACKAGES = ("torch", "openvino", "onnxruntime", "ncnn", "numpy", "pyzmq")
FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "asimd", "bf16")
"""Of the instruction set, what decides how fast networks run."""


def describe() -> dict[str, Any]:
    """Facts about this machine, as JSON."""
    model, flags = _processor()
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "samovar": samovar.__version__,
        "commit": _commit(),
        "packages": _versions(),
        "load_before": load(),
    }


def load() -> float | None:
    """Mean number of runnable processes over the last minute; above 0 before a bench means a shared machine."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _processor() -> tuple[str, set[str]]:
    """Its name and the flags of its instruction set, as far as the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine(), set()
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}
    return fields.get("model name", platform.machine()), set(
        (fields.get("flags") or fields.get("Features", "")).split()
    )


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _commit() -> str:
    """Of the checkout that this runs from, "+" if it has changes; "" for an installed package."""
    here = Path(__file__)
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)  # not a checkout of something else around us
        return _git(here.parent, "describe", "--always", "--dirty=+", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *words: str) -> str:
    ran = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=True, timeout=10)
    return ran.stdout.strip()
