"""Finds the command, runs it, and turns what went wrong into one line and an exit code."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

import samovar
from samovar import parent
from samovar_link.errors import DaemonUnavailable, RemoteError

if TYPE_CHECKING:
    from samovar.operation import Operation

COMMANDS = {
    "serve": "samovar.cli.daemon",
    "stop": "samovar.cli.daemon",
    "status": "samovar.cli.daemon",
    "ps": "samovar.cli.daemon",
    "jobs": "samovar.cli.jobs",
    "unload": "samovar.cli.daemon",
    "logs": "samovar.cli.logs",
    "service": "samovar.cli.service",
    "models": "samovar.cli.models",
    "keys": "samovar.cli.keys",
    "install": "samovar.cli.setup",
    "doctor": "samovar.cli.setup",
    "train": "samovar.cli.train",
    "bench": "samovar.cli.bench",
}
"""Command -> module with a function of that name. Every other command is an operation."""


class Program(click.Group):
    """Commands that are imported when asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*(each.id for each in _operations() if not each.hidden), *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
            assert isinstance(command, click.Command)
            return command
        found = [each for each in _operations() if each.id == cmd_name]
        if not found:
            return None
        from .operation import command_for

        return command_for(found[0])

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, own in (("Operations", False), ("Daemon and set-up", True)):
            names = [name for name in self.list_commands(ctx) if (name in COMMANDS) is own]
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(name, each.get_short_help_str(90)) for name, each in commands if each])


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(samovar.__version__, "--version", message="%(prog)s %(version)s")
def program() -> None:
    """Image models kept warm: upscale and clean pictures from the shell, Krita and GIMP.

    \b
    samovar upscale drawing.png -o large.png --scale 2 --noise 1
    samovar upscale scans/ -o clean/
    samovar COMMAND --help tells what can be set.
    """


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return the exit code."""
    try:
        return program.main(list(arguments) or ["--help"], prog_name="samovar", standalone_mode=False) or 0
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "samovar"
        say(f"{error.format_message().rstrip('.')}. See: {path} --help")
        return 2
    except (click.Abort, KeyboardInterrupt):
        return 130
    except click.ClickException as error:
        say(error.format_message())
    except (RemoteError, DaemonUnavailable) as error:
        say(str(error))
    except BrokenPipeError:  # the reader had enough: samovar logs | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _show_trace()
        say(f"{error.filename or 'system'}: {error.strerror or error}; check the path and its permissions.")
    except Exception as error:
        _show_trace()
        say(f"{type(error).__name__}: {error}. This is a defect of Samovar; SAMOVAR_DEBUG=1 shows where.")
    return 1


def say(sentence: str) -> None:
    """One line for the user on stderr."""
    click.echo(f"samovar: {' '.join(sentence.split())}", err=True)


def main() -> None:
    """The entry point of the installed program.

    Whatever a command began is over when it returns, so nothing is taken down piece by piece: that would be a twelfth
    of what a warm command takes.
    """
    if pid := os.environ.pop(parent.VARIABLE, ""):  # an errand of the broker
        parent.die_with(int(pid))
    code = run(sys.argv[1:])
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    os._exit(code)


def _operations() -> list[Operation]:
    from samovar import operation

    return sorted(operation.discover(), key=lambda each: each.id)


def _show_trace() -> None:
    if os.environ.get("SAMOVAR_DEBUG"):
        traceback.print_exc()
