"""Set up the editors, and find out what is wrong: install, doctor."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("editor", type=click.Choice(["krita", "gimp"]))
@click.option(
    "--target", metavar="DIR", type=click.Path(path_type=Path, file_okay=False),
    help="The editor's plug-in folder, if it is not the usual one of this user.",
)  # fmt: skip
@click.option("--uninstall", is_flag=True, help="Remove the plug-in again.")
def install(editor: str, target: Path | None, uninstall: bool) -> None:
    """Install the plug-in for Krita or GIMP 3, or bring it up to date."""
    from samovar.install import install_gimp, install_krita, uninstall_gimp, uninstall_krita

    name = {"krita": "Krita", "gimp": "GIMP"}[editor]
    if uninstall:
        removed = (uninstall_krita if editor == "krita" else uninstall_gimp)(target)
        click.echo(f"Removed the {name} plug-in; restart {name}." if removed else f"No {name} plug-in was installed.")
        return
    for folder in (install_krita if editor == "krita" else install_gimp)(target):
        click.echo(f"Installed the {name} plug-in in {folder}")
    click.echo(_next_step(editor, target))


def _next_step(editor: str, target: Path | None) -> str:
    if editor == "gimp":
        return "Restart GIMP, open a picture, then choose Filters > Enhance > Samovar: Upscale..."
    if target is None:
        return "Restart Krita, then choose Settings > Dockers > Samovar."
    return (
        "In Krita switch it on under Settings > Configure Krita > Python Plugin Manager, restart Krita, "
        "then choose Settings > Dockers > Samovar."
    )


@click.command()
@click.option("--quick", is_flag=True, help="Do not let every model show what it makes of a known picture.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(quick: bool, as_json: bool) -> None:
    """Check the whole installation. Made to be pasted into a bug report: it holds no secret."""
    from samovar.doctor import as_text, examine

    facts = examine(run_models=not quick)
    click.echo(json.dumps(facts, indent=1) if as_json else as_text(facts))
    click.get_current_context().exit(1 if facts["problems"] else 0)
