"""A result as a table for the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

MINIMUM_WIDTH = 110


def show(result: dict[str, Any]) -> None:
    """Print the machine, the figures, then what there is to say about them."""
    console = Console(highlight=False)
    if console.width < MINIMUM_WIDTH:
        console = Console(highlight=False, width=MINIMUM_WIDTH)
    for line in _machine(result["machine"]):
        console.print(line, markup=False)
    console.print(_table(result["rows"]))
    for row in result["rows"]:
        if row["note"]:
            console.print(f"{row['id']}: {row['note']}", markup=False)


def _machine(facts: dict[str, Any]) -> list[str]:
    flags = " ".join(facts["flags"]) or "no flags known"
    versions = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    load = f"load {facts['load_before']} before, {facts['load_after']} after"
    return [
        f"{facts['processor']}, {facts['usable_cores']} of {facts['cores']} cores, {flags}; {load}",
        f"samovar {facts['samovar']} {facts['commit']}, python {facts['python']}, {versions}",
    ]


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, justify in (("row", "left"), ("figure", "left"), ("value", "right"), ("", "left"), ("target", "right")):
        table.add_column(title, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("met")
    for row in rows:
        for number, figure in enumerate(row["figures"]):
            met = {True: "yes", False: "no", None: ""}[figure["met"]]
            id = row["id"] if not number else ""
            table.add_row(id, figure["name"], f"{figure['value']:g}", figure["unit"], figure["target"], met)
        if not row["figures"]:
            table.add_row(row["id"], "not measured")
    return table
