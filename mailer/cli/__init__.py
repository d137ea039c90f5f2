r"""The command line: one table of commands, one module per family, each imported only when its command runs.

To add a command `greet`: write `mailer/cli/greet.py` with a function `greet` (`new.py` is the model) whose docstring
opens with one sentence for people and ends with an example after a line with only `\b`; add a line to COMMANDS with
the same sentence. A family with sub-commands gives a `typer.Typer` instead of a function. A test compares the sentences.

A command imports settings, contacts and other slow modules inside its function, raises MailerError for whatever must
end it, returns nothing for exit code 0 and raises `typer.Exit(code)` for another. Results go to standard output by
`console.say` or, with --json, by one `console.emit`; everything else goes to standard error by `console.note`.
"""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from mailer.errors import UsageError

COMMANDS = {
    "demo": ("mailer.cli.demo:demo", "Run the sample campaign from end to end on this computer."),
    "new": ("mailer.cli.new:new", "Make a folder for a campaign: a letter, a list and settings to start from."),
    "check": ("mailer.cli.check:check", "Read a list and report every problem in it."),
    "preview": ("mailer.cli.preview:preview", "Show every message as it would be sent. Sends nothing."),
    "test": ("mailer.cli.trial:trial", "Send a few messages to your own address only."),
    "send": ("mailer.cli.send:send", "Send a campaign, or continue it."),
    "status": ("mailer.cli.standing:status", "Show how far a campaign is."),
    "resolve": ("mailer.cli.decide:resolve", "Decide about messages of which nobody knows whether they arrived."),
    "retry": ("mailer.cli.decide:retry", "Queue failed messages again, and people who are no longer suppressed."),
    "report": ("mailer.cli.report:report", "Show and save what became of every message."),
    "suppress": ("mailer.cli.suppress:suppress", "Keep the list of addresses that must not be mailed."),
    "mailbox": ("mailer.cli.mailbox:mailbox", "Run a mail server that only collects, to try things out."),
}
"""Where each command stands and what it does, in the order of a campaign."""


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
    epilog="Every command explains itself: mailer send --help. To see it all work at once: mailer demo",
)


def show_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it so
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415  slow, and seldom needed

        typer.echo(f"mailer {version('solidarity-mailer')}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and end.", callback=show_version, is_eager=True)
    ] = False,
) -> None:
    """Send an e-mail campaign: nobody is missed, and nobody is mailed twice."""


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
