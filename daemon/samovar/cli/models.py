"""What models there are, and how to get more: models list, info, pull, remove, add, verify."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from samovar import card, checkup, install, operation
from samovar.card import ModelCard, WeightFile
from samovar.weights import download, files, store
from samovar_link import words
from samovar_link.errors import ModelUnavailable

from .daemon import table
from .program import say

_TELL_SECONDS = 0.2
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def models() -> None:
    """List, fetch, add and check models."""


@models.command(name="list")
@click.option("--operation", help="Only models for this operation.")
@_AS_JSON
def list_models(operation: str | None, as_json: bool) -> None:
    """Every model: what it is for, whether it is here, under which licence."""
    refused = _look_at_new()
    cards = [each for each in card.discover() if operation in (None, *each.operations)]
    if as_json:
        click.echo(json.dumps({"models": [_facts(each) for each in cards], "refused": refused}))
        return
    rows = [
        (each.id, _operations(each), f"{each.scale}x", each.speed, state(each), _licence(each), each.title)
        for each in sorted(cards, key=lambda each: (each.operations, each.id))
    ]
    table(
        ("MODEL", "OPERATION", "SCALE", "SPEED", "STATE", "LICENCE", "WHAT IT IS FOR"), rows, "there is no such model"
    )
    for sentence in refused:
        say(sentence)


@models.command()
@click.argument("model")
@_AS_JSON
def info(model: str, as_json: bool) -> None:
    """All that is known of MODEL."""
    _look_at_new()
    facts = _facts(card.discover().get(model))
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        if value not in ("", [], None):
            click.echo(f"{name.replace('_', ' '):<14} {', '.join(value) if isinstance(value, list) else value}")


@models.command()
@click.argument("model", nargs=-1, required=True)
@click.option("--quiet", is_flag=True, help="No progress.")
@click.option("--json", "as_json", is_flag=True, help="Print progress and errors as lines of JSON.")
def pull(model: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Fetch MODELs from where their authors published them. What was broken off goes on where it was."""
    chosen = [card.discover().get(id) for id in model]
    for each in chosen:
        if as_json:
            _pull_for_a_program(each)
            continue
        if not each.missing():
            click.echo(f"{each.id} is here already.")
            continue
        click.echo(f"{each.id}: {_megabytes(each.missing())}, licence {_licence(each)}, from {each.source}")
        for weight in each.missing():
            _fetch(weight, each.id, not quiet)
        click.echo(f"{each.id} is here now.")
    install.refresh()


def _pull_for_a_program(its: ModelCard) -> None:
    """One JSON object a line, not too many: `model`, `have_bytes`, `total_bytes`; or `code`, `message`, `hint`."""
    missing = its.missing()
    total, behind, due = sum(weight.size_bytes for weight in missing), 0, 0.0

    def told(have: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + _TELL_SECONDS
            click.echo(json.dumps({"model": its.id, "have_bytes": behind + have, "total_bytes": total}))

    try:
        for weight in missing:
            _download(weight, told)
            behind += weight.size_bytes
    except ModelUnavailable as error:
        click.echo(json.dumps({"code": error.code, "message": error.message, "hint": error.hint}))
        raise


def _fetch(weight: WeightFile, label: str, shown: bool) -> None:
    with contextlib.ExitStack() as stack:
        told: download.Told = lambda have: None  # noqa: E731
        if shown and weight.size_bytes and sys.stderr.isatty():
            bar = stack.enter_context(
                click.progressbar(length=weight.size_bytes, label=label, file=sys.stderr, width=24)
            )
            told = lambda have: bar.update(have - bar.pos)  # noqa: E731
        _download(weight, told)


def _download(weight: WeightFile, told: download.Told) -> None:
    source = download.Source(weight.url, weight.size_bytes, weight.sha256)
    download.fetch(source, store.folder() / weight.path, told)


@models.command()
@click.argument("model", nargs=-1, required=True)
def remove(model: tuple[str, ...]) -> None:
    """Delete the files of MODELs, fetched or your own. Those of installed packages stay."""
    catalogue = card.discover()
    for each in [catalogue.get(id) for id in model]:
        removed = [weight for weight in each.weights.values() if not weight.distribution and store.has(weight)]
        if not removed:
            raise ModelUnavailable(f"{each.id} has no file that could be removed", "see: samovar models list")
        for weight in removed:
            store.remove(weight)
        click.echo(f"Removed {each.id}.")
    install.refresh()


@models.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", default="", help="What to call it; the file's own name if left out.")
def add(file: Path, name: str) -> None:
    """Take up a model of your own: FILE is a .safetensors or .pth of a network that spandrel knows."""
    added = store.add(file, name)
    install.refresh()
    click.echo(f"Added {added.id}: {added.architecture}, {added.scale}x, for {', '.join(added.operations)}.")
    click.echo(f"Try it: samovar {added.operations[0]} picture.png -o result.png --model {added.id}")


@models.command()
@click.argument("model", nargs=-1)
@click.option("--files-only", is_flag=True, help="Do not run the models.")
@_AS_JSON
def verify(model: tuple[str, ...], files_only: bool, as_json: bool) -> None:
    """Check MODELs, or all that are here: their files against their sha256, then what each makes of a known picture."""
    catalogue = card.discover()
    chosen = [catalogue.get(id) for id in model] or [each for each in catalogue if not each.missing()]
    found = {each.id: list(_faults(each)) for each in chosen}
    sound = [id for id, faults in found.items() if not faults]
    if sound and not files_only:
        for outcome in checkup.selftests(sound):
            if outcome.fault:
                found.setdefault(outcome.model or "self-tests", []).append(outcome.fault)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for id, faults in found.items():
            click.echo(f"{id}: {'; '.join(faults) or 'ok'}")
    click.get_current_context().exit(1 if any(found.values()) else 0)


def _faults(each: ModelCard) -> Iterator[str]:
    for weight in each.weights.values():
        try:
            files.checked(weight)
        except ModelUnavailable as error:
            yield str(error)


def state(each: ModelCard) -> str:
    """In a word or two: whether it can be used at once."""
    if missing := each.missing():
        return f"needs {_megabytes(missing)}"
    return "installed" if any(weight.distribution for weight in each.weights.values()) else "here"


def _operations(each: ModelCard) -> str:
    there = {each.id for each in operation.discover()}
    return ", ".join(name if name in there else f"{name} (to come)" for name in each.operations)


def _megabytes(weights: Iterable[WeightFile]) -> str:
    known = sum(each.size_bytes for each in weights)
    return words.megabytes(known) if known else "a download"


def _licence(each: ModelCard) -> str:
    return f"{each.licence or 'not known'}{'' if each.commercial else ', not commercial'}"


def _facts(each: ModelCard) -> dict[str, Any]:
    return {
        "id": each.id, "title": each.title, "help": each.help, "operations": list(each.operations),
        "architecture": each.architecture or each.network, "scale": each.scale,
        "memory_mb_per_megapixel": each.memory_mb,
        "noise_levels": [str(level) for level in each.noise_levels], "speed": each.speed, "licence": each.licence,
        "commercial": each.commercial, "source": each.source, "available": not each.missing(),
        "download_bytes": sum(weight.size_bytes for weight in each.missing()),
        "files": [weight.path for weight in each.weights.values()],
        "sha256": [weight.sha256 for weight in each.weights.values()],
    }  # fmt: skip


def _look_at_new() -> list[str]:
    """Look at what was dropped into the folder; a sentence for each file there that cannot be used."""
    if fresh := [path for path in store.own_files() if store.finding(path) is None]:
        say(f"looking at {len(fresh)} new file{'s' if len(fresh) > 1 else ''} in {store.folder()}")
        store.examine_new()
        install.refresh()
    found = [store.finding(path) for path in store.own_files()]
    return [each.refused for each in found if each is not None and each.refused]
