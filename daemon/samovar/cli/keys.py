"""Keys of this machine and of others: keys, keys show, keys allow, keys remove."""

from __future__ import annotations

import json

import click

from samovar_link import discovery

_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(invoke_without_command=True)
@_AS_JSON
@click.pass_context
def keys(context: click.Context, as_json: bool) -> None:
    """Say which machines may use this one: list their public keys and this machine's own.

    \b
    On the machine with the graphics card:       samovar keys allow KEY laptop
                                                 samovar serve --listen tcp://0.0.0.0:7700 --curve
    KEY is the client key that `samovar keys` prints on the laptop. A change counts at once, without a restart.
    """
    if context.invoked_subcommand is None:
        _list(as_json)


@keys.command("list")
@_AS_JSON
def list_keys(as_json: bool) -> None:
    """List this machine's public keys, and whose are allowed."""
    _list(as_json)


@keys.command()
@_AS_JSON
def show(as_json: bool) -> None:
    """Print this machine's public keys, to be told to others; they are made if there are none."""
    own = _own()
    if as_json:
        click.echo(json.dumps(own))
        return
    click.echo(f"server key  {own['server']}   who connects to this machine has to know it")
    click.echo(f"client key  {own['client']}   a machine that this one connects to has to allow it")


@keys.command()
@click.argument("key")
@click.argument("name")
def allow(key: str, name: str) -> None:
    """Let the machine NAME in, whose `samovar keys` printed the client key KEY."""
    from samovar.keys import AllowList

    AllowList(discovery.home()).allow(key, name)
    click.echo(f"{name} may use this machine's Samovar, where it listens: samovar serve --listen ADDRESS --curve")


@keys.command()
@click.argument("name")
def remove(name: str) -> None:
    """Let the machine NAME in no longer; where it is connected, that ends within a second."""
    from samovar.keys import AllowList

    AllowList(discovery.home()).remove(name)
    click.echo(f"{name} is not let in any more.")


def _own() -> dict[str, str]:
    from samovar.keys import CLIENT, SERVER, own, shown

    return {which: shown(own(which, discovery.home()).public) for which in (SERVER, CLIENT)}


def _list(as_json: bool) -> None:
    from samovar.keys import AllowList, shown

    from .daemon import table

    own = _own()
    allowed = {shown(key): name for key, name in AllowList(discovery.home()).names().items()}
    if as_json:
        click.echo(json.dumps({**own, "allowed": {name: key for key, name in allowed.items()}}))
        return
    click.echo(f"server key  {own['server']}")
    click.echo(f"client key  {own['client']}")
    table(("ALLOWED", "KEY"), ((name, key) for key, name in allowed.items()), "no other machine is allowed")
