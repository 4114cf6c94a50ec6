"""Looks at everything an installation needs and says what is wrong with it.

The result is made to be pasted into a bug report, so the token is never part of it. Facts are plain JSON values;
`problems` holds one sentence for each thing that is wrong, with what to do about it.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import samovar
from samovar import card, checkup, runtimes, surroundings
from samovar.install import gimp, krita, places
from samovar.weights import files as weight_files
from samovar_link import connect, discovery
from samovar_link.discovery import ConnectionFile
from samovar_link.errors import DaemonUnavailable, ModelUnavailable
from samovar_link.messages import PROTOCOL, Status, StatusReport

PACKAGES = ("torch", "numpy", "pyzmq", "msgpack", "pyvips", "click", "filelock", "openvino", "spandrel")
_OPTIONAL = ("openvino", "spandrel")
_DEVICE_SECONDS = 60
_LITTLE_BYTES = 1 << 30

_ASK_TORCH = """
import json, torch
from samovar import runtimes
usable = [each.id for each in runtimes.discover()]
gpu = torch.cuda.is_available()
mps = not gpu and torch.backends.mps.is_available()
name = torch.cuda.get_device_name(0) if gpu else "Apple GPU" if mps else "cpu"
print(json.dumps({"name": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "runtimes": usable}))
"""

Facts = dict[str, Any]


def examine(run_models: bool = True) -> Facts:
    """All facts, as JSON values; see `as_text` for the order in which they matter.

    run_models : let every model show what it makes of a known picture, which takes some ten seconds
    """
    problems: list[str] = []
    return {
        "samovar": samovar.__version__,
        "protocol": PROTOCOL,
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "platform": platform.platform(),
        "packages": _packages(problems),
        "daemon": _daemon(problems),
        "device": _device(problems),
        "trials": list(_trials()),
        "models": list(_models(problems)),
        "self_tests": list(_self_tests(problems)) if run_models else [],
        "editors": [*_kritas(problems), *_gimps(problems)],
        "disk": _disk(problems),
        "log": _log(),
        "problems": problems,
    }


def as_text(facts: Facts) -> str:
    """The facts for a reader."""
    daemon, log = facts["daemon"], facts["log"]
    lines = [
        f"samovar      {facts['samovar']}, protocol {facts['protocol']}",
        f"python       {facts['python']['version']}, {facts['python']['executable']}",
        f"platform     {facts['platform']}",
        f"packages     {', '.join(f'{name} {version}' for name, version in facts['packages'].items() if version)}",
        f"daemon       {_daemon_line(daemon)}",
        f"connection   {daemon['connection_file']}{f', mode {mode}' if (mode := daemon['mode']) else ''}",
        f"device       {_device_line(facts['device'])}",
        *(f"trial        {_trial_line(trial)}" for trial in facts["trials"]),
        *(f"model        {_model_line(model)}" for model in facts["models"] if "needs" not in model["state"]),
        *_self_test_lines(facts["self_tests"]),
        *(f"editor       {_editor_line(editor)}" for editor in facts["editors"]),
        f"disk         {facts['disk']['free_bytes'] / 1e9:.1f} GB free at {facts['disk']['path']}",
        f"log          {log['path']}",
        f"last error   {log['last_error'] or 'none'}",
    ]
    found = [f"PROBLEM      {problem}" for problem in facts["problems"]] or ["No problem found."]
    return "\n".join([*lines, *found])


def _daemon_line(daemon: Facts) -> str:
    if not daemon["running"]:
        return "not running"
    return f"runs, pid {daemon['pid']}, {daemon['endpoint']}, worker {daemon['worker']} {daemon['device']}".rstrip()


def _device_line(device: Facts) -> str:
    facts = {**device, "runtimes": " and ".join(device.get("runtimes", []))}
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value)


def _model_line(model: Facts) -> str:
    return f"{model['id']}: {model['state']}, sha256 {', '.join(each[:12] for each in model['sha256'])}"


def _trial_line(trial: Facts) -> str:
    return f"{trial['model']}: {', '.join(map(_finding, trial['findings']))}"


def _finding(each: Facts) -> str:
    return f"{each['runtime']} {each['refused'] or str(round(each['seconds'] * 1e3)) + ' ms'}"


def _self_test_lines(tests: list[Facts]) -> list[str]:
    if not tests:
        return []
    failed = [each for each in tests if each["fault"]]
    seconds = sum(each["seconds"] for each in tests)
    return [f"self-tests   {len(tests) - len(failed)} of {len(tests)} passed, {seconds:.1f} s"]


def _editor_line(editor: Facts) -> str:
    state = f"plug-in not installed; to do so: samovar install {editor['editor']}"
    if editor["installed"]:
        state = f"plug-in {editor['version']} in {editor['plugin']}"
    return f"{editor['editor']} ({editor['program'] or 'not found in PATH'}): {state}"


def _packages(problems: list[str]) -> Facts:
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
            if name not in _OPTIONAL:
                problems.append(f"the package {name} is missing; run: {sys.executable} -m pip install {name}")
    return found


# --- daemon ---------------------------------------------------------------------------------------------------------


def _daemon(problems: list[str]) -> Facts:
    facts: Facts = {"running": False, "connection_file": str(discovery.candidates()[0]), "mode": ""}
    try:
        path, file = discovery.find()
        facts.update(connection_file=str(path), mode=_mode(path))
        report, endpoint = _status()
    except DaemonUnavailable as error:
        if any(path.exists() for path in discovery.candidates()):  # one that was stopped leaves no file
            problems.append(str(error))
        return facts
    facts.update(
        running=True, endpoint=endpoint, pid=report.pid, version=report.version, worker=report.worker,
        device=report.device, models=len(report.models), jobs=len(report.jobs),
    )  # fmt: skip
    _compare(file, problems)
    return facts


def _status() -> tuple[StatusReport, str]:
    with connect("doctor", samovar.__version__) as client:
        client.send(Status())
        while True:
            try:
                message, _ = client.receive(2.0)
            except TimeoutError:
                raise DaemonUnavailable("The daemon greets but does not answer; restart it.") from None
            if isinstance(message, StatusReport):
                return message, client.endpoint


def _mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o777:04o}" if os.name == "posix" else ""


def _compare(file: ConnectionFile, problems: list[str]) -> None:
    if file.version != samovar.__version__:
        problems.append(
            f"the running daemon is {file.version}, this program {samovar.__version__}; run: samovar stop, "
            "and the next command starts the new one"
        )


def _device(problems: list[str]) -> Facts:
    """What torch finds. In a process of its own: a broken driver may take the process down."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=_DEVICE_SECONDS, check=False,
            cwd=surroundings.FOLDER,
        )  # fmt: skip
        facts: Facts = json.loads(done.stdout)
        return facts
    except subprocess.TimeoutExpired:
        problems.append(f"torch has not loaded within {_DEVICE_SECONDS} s; look at the graphics driver")
    except ValueError:
        words = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        problems.append(
            f"torch does not load ({words[-1]}); run: {sys.executable} -m pip install --force-reinstall torch"
        )
    return {"name": "unknown"}


def _trials() -> Iterator[Facts]:
    """What the trials of runtimes found, those of earlier versions as well."""
    try:
        kept = json.loads((discovery.home() / runtimes.TRIALS_FILE).read_text(encoding="utf-8"))
        for key, findings in kept.items():
            finite = [{name: None if value == math.inf else value for name, value in each.items()} for each in findings]
            yield {"model": key.rpartition(" ")[0].strip(), "findings": finite}
    except (OSError, ValueError, AttributeError):
        return


def _self_tests(problems: list[str]) -> Iterator[Facts]:
    for outcome in checkup.selftests():
        if outcome.fault:
            problems.append(outcome.fault)
        yield asdict(outcome)


# --- files ----------------------------------------------------------------------------------------------------------


def _models(problems: list[str]) -> Iterator[Facts]:
    for each in card.discover():
        if missing := each.missing():
            needed = sum(weight.size_bytes for weight in missing)
            hashes = [weight.sha256 for weight in missing]
            yield {
                "id": each.id, "licence": each.licence, "files": len(missing), "state": f"needs {needed} bytes",
                "sha256": hashes,
            }  # fmt: skip
            continue
        state = "ok"
        for weight in each.weights.values():
            try:
                weight_files.checked(weight)
            except ModelUnavailable as error:
                state = "damaged or missing"
                problems.append(f"model {each.id}: {error}")
                break
        hashes = [weight.sha256 for weight in each.weights.values()]
        yield {"id": each.id, "licence": each.licence, "files": len(each.weights), "state": state, "sha256": hashes}


def _kritas(problems: list[str]) -> Iterator[Facts]:
    for place in places.kritas():
        facts = _editor("krita", ["krita"], place.plugins / krita.NAME, problems)
        facts["enabled"] = krita.is_enabled(place.settings)
        if facts["installed"] and not facts["enabled"]:
            problems.append(
                "Krita will not load the plug-in; switch it on under Settings > Configure Krita > Python Plugin Manager"
            )
        yield {**facts, "kind": place.kind}


def _gimps(problems: list[str]) -> Iterator[Facts]:
    for plugins in places.gimp_plugins():
        folder = plugins / gimp.NAME
        version = plugins.parent.name
        facts = _editor("gimp", [f"gimp-{version}", "gimp-3", "gimp"], folder, problems)
        if facts["installed"] and not os.access(folder / f"{gimp.NAME}.py", os.X_OK):
            problems.append(
                f"GIMP passes over a script that may not be executed; run: chmod +x {folder}/{gimp.NAME}.py"
            )
        yield {**facts, "profile": version}


def _editor(name: str, programs: list[str], folder: Path, problems: list[str]) -> Facts:
    program = next((found for each in programs if (found := shutil.which(each))), None)
    facts = {"editor": name, "program": program, "plugin": str(folder), "installed": folder.is_dir(), "version": ""}
    if folder.is_dir():
        facts["version"] = _field(folder / "operations.json", "version")
        command = _field(folder / "daemon.json", "command")
        if facts["version"] != samovar.__version__ or command != [sys.executable, "-m", "samovar"]:
            problems.append(f"the {name} plug-in belongs to another Samovar; run: samovar install {name}")
    return facts


def _field(path: Path, name: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")).get(name, "")
    except (OSError, ValueError, AttributeError):
        return ""


def _disk(problems: list[str]) -> Facts:
    path = discovery.home()
    existing = next(each for each in (path, *path.parents) if each.is_dir())
    free = shutil.disk_usage(existing).free
    if free < _LITTLE_BYTES:
        problems.append(f"only {free / 1e9:.1f} GB are free at {existing}; make room")
    return {"path": str(existing), "free_bytes": free}


def _log() -> Facts:
    from samovar.broker.serve import log_path

    path = log_path(discovery.home())
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    errors = [line for line in lines if " ERROR " in line or " CRITICAL " in line]
    return {"path": str(path), "last_error": errors[-1] if errors else ""}
