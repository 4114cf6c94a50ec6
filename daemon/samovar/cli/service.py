"""Have the daemon started at login: service install, service remove, service status."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import click

from samovar import lock
from samovar.install.service import KINDS, LABEL, LAUNCHD, SYSTEMD, UNIT, Service, describe, kind_here
from samovar_link import discovery

_MANAGER_SECONDS = 30.0
_KIND = click.option(
    "--kind", type=click.Choice(KINDS), default=kind_here(), show_default=True, help="What starts it; of this system."
)


@click.group()
def service() -> None:
    """Have the daemon started at login, and again after a crash. Editors start it without that, too."""


@service.command()
@_KIND
@click.option("--print", "only_print", is_flag=True, help="Show the file, write and start nothing.")
def install(kind: str, only_print: bool) -> None:
    """Write the file that starts the daemon at login, and start it now."""
    found = describe(kind)
    if only_print:
        click.echo(found.text, nl=False)
        return
    found.write()
    click.echo(f"Wrote {found.path}")
    runs = lock.is_held(discovery.home() / lock.NAME)
    if reason := _begin(found, start=not runs):
        raise click.ClickException(f"it will be started at the next login, but not now: {reason}")
    if runs:
        click.echo("Samovar runs already, and goes on as it is; the service starts it the next time.")
    else:
        click.echo("It starts at login from now on. samovar service remove takes that back.")


@service.command()
@_KIND
def remove(kind: str) -> None:
    """Have it started at login no more. A daemon that the service started is ended."""
    found = describe(kind)
    if found.state() == "none":
        click.echo("No service was installed.")
        return
    reason = _end(found)
    found.remove()
    click.echo(f"Removed {found.path}")
    if reason:
        raise click.ClickException(f"the service may still run: {reason}")


@service.command()
@_KIND
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(kind: str, as_json: bool) -> None:
    """Tell whether the file is there, and as it would be written now. Exit code 1 if there is none."""
    found = describe(kind)
    state, active = found.state(), _active(found)
    if as_json:
        click.echo(json.dumps({"kind": kind, "path": str(found.path), "file": state, "active": active}))
    else:
        words = {"none": "is not there", "current": "is there", "other": "is there, but not as it would be written now"}
        click.echo(f"{found.path} {words[state]}")
        click.echo(f"{kind} says: {active}")
    click.get_current_context().exit(1 if state == "none" else 0)


# --- the managers ---------------------------------------------------------------------------------------------------


def _begin(service: Service, *, start: bool) -> str:
    """Tell the manager of a new file. Why that did not go, or ""."""
    if service.kind == SYSTEMD:
        return _run("systemctl", "--user", "daemon-reload") or _run(
            "systemctl", "--user", "enable", *(["--now"] if start else []), UNIT
        )
    if service.kind == LAUNCHD and start:
        return _run("launchctl", "bootstrap", _domain(), str(service.path))
    return ""


def _end(service: Service) -> str:
    if service.kind == SYSTEMD:
        return _run("systemctl", "--user", "disable", "--now", UNIT)
    if service.kind == LAUNCHD:
        return _run("launchctl", "bootout", f"{_domain()}/{LABEL}")
    return ""


def _active(service: Service) -> str:
    """In the manager's word, or "unknown"."""
    if service.kind != SYSTEMD or shutil.which("systemctl") is None:
        return "unknown"
    done = subprocess.run(
        ["systemctl", "--user", "is-active", UNIT], capture_output=True, text=True, timeout=_MANAGER_SECONDS
    )
    return done.stdout.strip() or "unknown"


def _domain() -> str:
    return f"gui/{os.getuid()}" if hasattr(os, "getuid") else "gui"


def _run(*words: str) -> str:
    """Why it failed, or ""."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_MANAGER_SECONDS)
    except FileNotFoundError:
        return f"there is no {words[0]} here; have your session start: samovar serve --detach"
    except subprocess.TimeoutExpired:
        return f"{words[0]} did not answer"
    lines = (done.stderr or done.stdout).strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"{words[0]} ended with {done.returncode}")
