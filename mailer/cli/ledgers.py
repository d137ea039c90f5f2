"""`mailer ledger`: the record itself, and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping
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
    help="Move the ledger to PostgreSQL, or say that it was put back from a back-up.",
    epilog="Example: mailer ledger copy mailer.db",
)


@ledger.callback()
def family() -> None:
    """Move the ledger to a database on PostgreSQL; or say that it was put back from a back-up."""


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


@ledger.command("restored")
def restored(
    *,
    nothing_sent_since: Annotated[
        bool,
        typer.Option(
            "--nothing-sent-since",
            help="Surely nothing was sent after the back-up was made: everything goes on as it is.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say that the ledger was put back from a back-up, so that nobody is mailed twice by it.

    The back-up does not know who was mailed after it was made. So everybody who was to be mailed then is in doubt from now on, in
    every campaign, until you decide (mailer resolve). First stop everything that sends from this ledger. A ledger on
    PostgreSQL notices by itself, mostly, and refuses to send until then; a file cannot notice.

    \b
    Example:
      mailer ledger restored
      mailer ledger restored --nothing-sent-since
    """  # noqa: D301
    from mailer.cli.confirming import have_typed  # noqa: PLC0415
    from mailer.ledger import put_back  # noqa: PLC0415

    with open_ledger(settings_here(), create=False) as here:
        open_ones = sum(tally.work_left for tally in here.tallies().values())
        if not yes:
            doubt = "go on as they are" if nothing_sent_since else "are in doubt"
            have_typed(
                "restored",
                f"From now on {each(open_ones, 'message', 'messages')} {doubt}. Type restored to go on",
                nobody="Nobody is there to confirm that the ledger was put back.",
                otherwise="Nothing was changed.",
            )
        doubted = put_back(here, nothing_sent_since=nothing_sent_since)
    if as_json:
        console.emit({"in_doubt": doubted})
    elif nothing_sent_since:
        console.say("Noted: nothing was sent since. Every campaign goes on where it stands, with the same command.")
    else:
        say_doubted(doubted)


def say_doubted(doubted: Mapping[str, int]) -> None:
    """Who is in doubt, how to find out, and what a back-up does not know besides."""
    if not doubted:
        console.say("Nobody was to be mailed when the back-up was made, so nobody is in doubt.")
    for name, number in doubted.items():
        console.say(f"Campaign {name}: {each(number, 'message', 'messages')} in doubt; nothing of it is sent.")
    steps = [
        ("Whom your own Postfix took since, its log proves:", "mailer resolve NAME --postfix-log FILE"),
        ("Whom you know to have it, say from the sent mail of the account:", "mailer resolve NAME --as sent ADDRESS"),
        ("Once you know of the others that they do not have it:", "mailer resolve NAME --as queued"),
        ("Bounces and unsubscribes by mail, as far as they are still in the mailbox:", "mailer inbox"),
    ]
    for sentence, command in steps:
        console.say(sentence)
        console.say(f"  {command}")
    console.say(
        "The back-up knows nobody who left by a link since: put them in again before you send (mailer suppress add). A campaign"
        " that began after the back-up is not in it: do not start it anew before you know who got it. Limits count as used up"
        " for as long as they are.",
        sentence=True,
    )
