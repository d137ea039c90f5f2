"""The commands as typer runs them."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mailer.cli import COMMANDS, EPILOG, OPTIONS, PURPOSE
from mailer.errors import UsageError


def load(name: str) -> Any:
    """Import a command."""
    target, _ = COMMANDS[name]
    module_name, _, attribute = target.partition(":")
    command = getattr(importlib.import_module(module_name), attribute)
    if isinstance(command, typer.Typer):
        return typer.main.get_command(command)
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    alone.command(name)(command)
    return typer.main.get_command(alone)


class Commands(TyperGroup):
    """Shows all commands from the table, and imports the one that is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, sentence) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=sentence, short_help=sentence))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else command, rest


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    # Plain help: it needs no rich (fast), and it is readable on any terminal.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def show_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it so
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  slow, and seldom needed

        typer.echo(f"mailer {version('solidarity-mailer')}")
        raise typer.Exit


@app.callback(help=PURPOSE)
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help=OPTIONS["--version"], callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """All that is said before the name of a command."""


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code. Raises MailerError, UsageError for a wrong command line."""
    try:
        result = typer.main.get_command(app).main(arguments, prog_name="mailer", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        from mailer.cli.misuse import explained  # noqa: PLC0415  seldom needed

        message, hint = explained(error.format_message(), context)
        raise UsageError(message, hint=hint) from error
    except typer.Abort as error:
        # A question was asked and nobody is there to answer it.
        raise UsageError("No answer, so nothing was done.", hint="Where nobody can answer, use --yes.") from error
    return result if isinstance(result, int) else 0
