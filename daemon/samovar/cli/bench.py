"""Measure how fast this machine is with Samovar: bench."""

from __future__ import annotations

import importlib.util
import json
import signal
from pathlib import Path
from typing import Any

import click

from .program import say

NEEDED = ("rich", "skimage")
"""Without these there is no table and no picture. The peers are each left out if missing."""


@click.group(invoke_without_command=True)
@click.option("--rows", metavar="A,B", default="", help="Only these rows, such as overhead,dirty.")
@click.option("--quick", is_flag=True, help="Smaller pictures, fewer rounds, and no row that takes minutes.")
@click.option("--gpu", is_flag=True, help="The rows for a graphics card instead, saved as bench/gpu-NAME.json.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
@click.option("--quiet", "-q", is_flag=True, help="Do not tell on stderr what is being measured.")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write the JSON there, too."
)
@click.pass_context
def bench(
    context: click.Context, rows: str, quick: bool, gpu: bool, as_json: bool, quiet: bool, output: Path | None
) -> None:
    """Measure Samovar on this machine, beside what others do with the same models."""
    if context.invoked_subcommand is not None:
        return
    from samovar.bench import run

    wanted = [each.strip() for each in rows.split(",") if each.strip()]
    if unknown := [each for each in wanted if each not in run.MODULES]:
        raise click.UsageError(f"no row is called {', '.join(unknown)}; there are {', '.join(run.MODULES)}")
    _require_extra()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the daemons started here end with it
    from samovar.bench import table

    if gpu:
        from samovar.bench import gpu as card

        if not (name := card.name()):
            say(card.NO_GPU)
            return
        output = output or Path("bench") / f"gpu-{name.replace(' ', '-').lower()}.json"
        result = run.run_gpu(quiet)
        _keep(result, output)
    else:
        result = run.run(wanted, quick, quiet, keep=lambda so_far: _keep(so_far, output))
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        table.show(result)
    context.exit(1 if run.failed(result) else 0)


@bench.command()
@click.argument("models", metavar="[MODEL]...", nargs=-1)
def tune(models: tuple[str, ...]) -> None:
    """Try anew which runtime is fastest for each model here, and remember it."""
    from samovar.bench.tune import tune as measure

    for outcome in measure(models):
        model, runtime, time, said = outcome.words()
        click.echo(f"{model:<32}{runtime:<16}{time:>9}  {said}".rstrip())


def _keep(result: dict[str, Any], output: Path | None) -> None:
    from samovar.bench import run

    if output is not None:
        run.write(result, output)


def _require_extra() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise click.ClickException(f"bench needs {' and '.join(missing)}: pip install 'samovar[bench]'")
