"""`mailer ledger`: the record itself, and where it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mailer.cli import console
from mailer.cli.options import JsonOption, settings_here
from mailer.cli.recipients import each
from mailer.cli.unlocking import open_ledger, secret_of
from mailer.errors import UsageError
from mailer.model import Server

ledger = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Move the ledger from its file to a database on PostgreSQL.",
    epilog="Example: mailer ledger copy mailer.db",
)


@ledger.callback()
def family() -> None:
    """Move the ledger from its file to a database on PostgreSQL."""


@ledger.command("copy")
def copy(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The ledger's file so far, for example mailer.db.", show_default=False),
    ],
    *,
    campaign: Annotated[
        str | None,
        typer.Option(
            "--campaign", metavar="NAME", help="Only this campaign, and what belongs to it.", show_default=False
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy a ledger, or one campaign, from a file into the database that MAILER_LEDGER names, and go on there.

    Suppressions, answers and approvals come along. The file stays as a backup, but nothing is sent from it any more. Interrupted,
    the same command carries on.

    \b
    Example:
      mailer ledger copy mailer.db
      mailer ledger copy mailer.db --campaign appeal--branches
    """  # noqa: D301
    from mailer.ledger import Ledger, cipher  # noqa: PLC0415
    from mailer.ledger.postgres import mover  # noqa: PLC0415

    settings = settings_here()
    if not isinstance(settings.ledger_place, Server):
        raise UsageError(
            "MAILER_LEDGER names no database to copy to. Nothing was copied.",
            hint="set it first, e.g. MAILER_LEDGER=postgresql://mailer@db.example.org/mailer",
        )
    needed = cipher.opener(file)
    key = cipher.key_of(file, secret_of(settings, needed)) if needed else None
    with open_ledger(settings) as target, Ledger(file, create=False, key=key, moved=True) as source:
        moved = mover()(source, target, campaign)
    if as_json:
        console.emit({"campaigns": list(moved.campaigns), "rows": moved.rows})
    elif not moved.campaigns:
        console.say("Everything was there already." if campaign is None else "It was there already.")
    else:
        what = each(len(moved.campaigns), "campaign", "campaigns")
        who = each(moved.rows.get("deliveries", 0), "message", "messages")
        console.say(
            f"Moved to PostgreSQL: {what} with {who}. They go on there; from the file nothing is sent any more."
        )
