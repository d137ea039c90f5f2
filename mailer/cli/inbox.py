"""`mailer inbox`: what came back to the mailbox, counted, and whoever is not to be mailed again suppressed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailer.cli import console
from mailer.cli.options import JsonOption, settings_here, tokens_of
from mailer.cli.recipients import each
from mailer.cli.unlocking import open_ledger
from mailer.errors import Paused, SettingsError, quoted

if TYPE_CHECKING:
    from mailer.campaign.intake import Intake
    from mailer.inbox.mailbox import Access
    from mailer.ledger import Ledger
    from mailer.settings import Settings

POLLING = 60.0
"""Seconds between two looks, where the server does not tell by itself, and before a server that was away is tried again."""


def inbox(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Stay, and take in what comes until Ctrl-C.")] = False,
    beside_page: Annotated[bool, typer.Option("--beside-page", hidden=True)] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch what came back: bounces, complaints, unsubscribes and replies.

    Reads the mailbox of the IMAP_ settings. Whoever complains or unsubscribes, and whose address is dead, is never mailed
    again. What was counted is moved into the folder mailer-done; replies, and whatever is not understood, stay where they are.

    \b
    Example:
      mailer inbox
    """  # noqa: D301
    from mailer.campaign.intake import Intake  # noqa: PLC0415 - imports imap_tools

    settings = settings_here()
    access = access_of(settings)
    total = Intake()
    with open_ledger(settings, create=False) as ledger:
        if watch:
            keep_watching(ledger, access, total, as_json=as_json, parent=os.getppid() if beside_page else None)
        else:
            look(ledger, access, total)
        show(ledger, access, total, as_json=as_json)


def access_of(settings: Settings) -> Access:
    """The mailbox that the settings describe. Raises SettingsError for what is missing."""
    from mailer.inbox.mailbox import Access  # noqa: PLC0415

    settings.require_reading()
    if settings.imap_done_folder == settings.imap_folder:
        raise SettingsError(
            "MAILER_IMAP_DONE_FOLDER is the folder that is read, MAILER_IMAP_FOLDER.",
            hint="imap_done_folder = mailer-done",
        )
    assert settings.imap_host is not None
    assert settings.imap_username is not None
    return Access(
        host=settings.imap_host,
        port=settings.imap_port,
        security=settings.imap_security,
        username=settings.imap_username,
        password="" if settings.reads_with_tokens else settings.mailbox_password or "",
        folder=settings.imap_folder,
        done=settings.imap_done_folder,
        tokens=tokens_of(settings) if settings.reads_with_tokens else None,
        proxy=settings.way,
    )


def look(ledger: Ledger, access: Access, total: Intake) -> None:
    """Take in what is there now; `total` has it even if the server breaks off."""
    from mailer.campaign.intake import take_in  # noqa: PLC0415
    from mailer.inbox.mailbox import OpenMailbox  # noqa: PLC0415

    with OpenMailbox(access) as box:
        for intake in take_in(ledger, box, access.name):
            total.add(intake)


def keep_watching(ledger: Ledger, access: Access, total: Intake, *, as_json: bool, parent: int | None = None) -> None:
    """Until Ctrl-C, or the end of the page that is the `parent`, also if that was killed.

    A server that is away is tried again, unless it was never met; what else is wrong ends it.
    """
    with suppress(KeyboardInterrupt):
        look(ledger, access, total)
        console.note(f"Watching {access.folder}; Ctrl-C ends it.")
        while not orphaned(parent):
            try:
                stay(ledger, access, total, as_json=as_json, parent=parent)
            except Paused as error:
                console.note(f"{error.message} Trying again in {POLLING:.0f} seconds.", style="yellow")
                time.sleep(POLLING)
    console.note("Stopped watching. Everything that was read is recorded.")


def orphaned(parent: int | None) -> bool:
    """Whether the page that began this has gone. Windows does not tell."""
    return parent is not None and os.getppid() != parent


def stay(ledger: Ledger, access: Access, total: Intake, *, as_json: bool, parent: int | None = None) -> None:
    """Take in what comes, as long as the connection lasts. Raises Paused when it ends."""
    from mailer.campaign.intake import take_in  # noqa: PLC0415
    from mailer.inbox.mailbox import OpenMailbox  # noqa: PLC0415

    with OpenMailbox(access) as box:
        while not orphaned(parent):
            for new in take_in(ledger, box, access.name):
                total.add(new)
                if not as_json:
                    for line in told(new):
                        console.say(line)
                if new.events:
                    warn_of_complaints(ledger, new)
            box.wait(POLLING)


def show(ledger: Ledger, access: Access, total: Intake, *, as_json: bool) -> None:
    """What was found, and what to do about it."""
    warnings = warn_of_complaints(ledger, total)
    if as_json:
        console.emit({"folder": access.folder, **counts(total), "moved_to": access.done, "warnings": warnings})
        return
    if not total.read:
        console.say(f"Nothing new in {access.folder}.")
        return
    mails = each(total.read, "mail was", "mails were")
    console.say(f"{mails} read in {access.folder}.", sentence=True)
    for line in told(total):
        console.say(line)
    if total.moved:
        console.say(f"Moved into the folder {access.done}: {total.moved:,}", sentence=True)
    if total.suppressed:
        console.say("Who is suppressed, and why: mailer suppress list")


def counts(total: Intake) -> dict[str, Any]:
    """The figures for --json."""
    from mailer.inbox import Kind  # noqa: PLC0415
    from mailer.model import BounceClass, EventKind  # noqa: PLC0415

    return {
        "read": total.read,
        "bounces": {one.value: total.bounces[one] for one in BounceClass},
        "complaints": total.events[EventKind.COMPLAINT],
        "unsubscribes": total.events[EventKind.UNSUBSCRIBE],
        "replies": total.events[EventKind.REPLY],
        "delays": total.mails[Kind.DELAY],
        "automatic": total.mails[Kind.AUTOMATIC],
        "known": total.known,
        "not_ours": total.strange,
        "not_understood": total.mails[Kind.PUZZLE],
        "something_else": total.other,
        "suppressed": total.suppressed,
        "moved": total.moved,
    }


def told(total: Intake) -> list[str]:
    """A line for each kind of which there was something."""
    figures = counts(total)
    bounces = figures["bounces"]
    lines = [
        (bounces["hard"], "bounced: the address does not exist"),
        (bounces["soft"], "bounced: could not be reached this time"),
        (bounces["other"], "bounced for a reason that is not the recipient's"),
        (figures["complaints"], "reported as spam"),
        (figures["unsubscribes"], "unsubscribed"),
        (figures["replies"], "replied; the replies stay in the mailbox"),
        (figures["suppressed"], "of these people are now suppressed"),
        (figures["known"], "had been counted before"),
        (figures["delays"], "are only delayed so far"),
        (figures["automatic"], "automatic answers, left alone"),
        (figures["not_ours"], "bounces or reports about no message from here, left alone"),
        (figures["something_else"], "about something else, left alone"),
        (figures["not_understood"], "from a mail server, but not understood: left alone"),
    ]
    return [f"{number:>8,}  {words}" for number, words in lines if number]


def warn_of_complaints(ledger: Ledger, total: Intake) -> list[str]:
    """Say of which campaigns too many complain; the same sentences for --json."""
    from mailer.campaign.intake import complained_of  # noqa: PLC0415
    from mailer.reaction import Complaints  # noqa: PLC0415

    sentences = []
    for campaign, verdict, complained, sent in complained_of(ledger, total.complained):
        sentence = (
            f"Campaign {campaign.name}: {complained:,} of {sent:,} reported it as spam ({100 * complained / max(sent, 1):.1f} %)."
            " Providers begin to refuse senders between 0.1 and 0.3 %."
        )
        if verdict is Complaints.STOP:
            sentence += f" Sending it stops. Look who: mailer report {quoted(campaign.name)}"
        console.warn(sentence)
        sentences.append(sentence)
    return sentences
