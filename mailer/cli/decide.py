"""`mailer resolve` and `mailer retry`: what only a person can decide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.options import CampaignArgument, JsonOption, settings_here
from mailer.cli.standing import command, local_time, send_command, standing
from mailer.errors import UsageError
from mailer.ledger.deliveries import Moved
from mailer.model import Status

if TYPE_CHECKING:
    from mailer.ledger import Ledger
    from mailer.model import CampaignRecord


class Choice(StrEnum):
    """What an uncertain delivery may become."""

    SENT = "sent"
    QUEUED = "queued"


def resolve(
    campaign: CampaignArgument,
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="[ADDRESS]...", help="Only these; without any, all of them.")
    ] = None,
    *,
    decision: Annotated[
        Choice | None,
        typer.Option("--as", help="sent: they arrived. queued: they did not, so send again.", show_default=False),
    ] = None,
    postfix_log: Annotated[
        list[Path] | None,
        typer.Option("--postfix-log", metavar="FILE", help="Decide by the log of our own Postfix; the oldest first."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Decide about messages of which nobody knows whether they arrived.

    A connection that breaks just after a message was handed over leaves it uncertain. mailer never sends such a
    message again by itself. Look in the sent mail of the account, or ask the person; then decide.

    \b
    Example:
      mailer resolve solidarity-appeal--branches
      mailer resolve solidarity-appeal--branches --as sent
      mailer resolve solidarity-appeal--branches --postfix-log /var/log/mail.log
    """  # noqa: D301
    from mailer.ledger import Ledger, settle  # noqa: PLC0415

    with Ledger(settings_here().ledger_path, create=False) as ledger:
        found = settle(ledger, ledger.find(campaign))
        moved = Moved(moved=0)
        if decision is not None:
            keys = chosen(ledger, found, addresses) if addresses else None
            moved = ledger.resolve(found, Status(decision.value), keys)
        elif postfix_log:
            prove(ledger, found, postfix_log, said=console.note if as_json else console.say)
        elif addresses:
            raise UsageError("What became of them?", hint="add --as sent or --as queued")
        left = list(ledger.records(found, Status.UNCERTAIN))
        if as_json:
            uncertain = [
                {
                    "address": r.address,
                    "row": r.row,
                    "message_id": r.message_id,
                    "reason": r.reason,
                    "server": r.server,
                    "server_words": r.server_words,
                    "at": r.updated_at.isoformat() if r.updated_at else None,
                }
                for r in left
            ]
            console.emit(
                {
                    **standing(ledger, found),
                    "resolved": moved.moved,
                    "kept_out": moved.suppressed + moved.unlisted,
                    "deliveries": uncertain,
                }
            )
        else:
            show(found, left, moved, decision)
    raise typer.Exit(1 if left else 0)


def prove(ledger: Ledger, campaign: CampaignRecord, logs: Sequence[Path], *, said: Callable[[str], None]) -> None:
    """Decide what the log of the Postfix that took our messages proves; the rest stays uncertain."""
    from mailer.postfix_log import Proof, verdicts  # noqa: PLC0415

    doubts = ledger.doubts(campaign)
    wanted = {message_id: (began, ended) for message_id, (_, began, ended) in doubts.items()}
    now = datetime.now().astimezone()
    proofs = verdicts(chain.from_iterable(map(lines_of, logs)), wanted, now=now, complete_until=now.timestamp())
    for proof, status, words in (
        (Proof.ACCEPTED, Status.SENT, "proved to have arrived"),
        (Proof.NOT_ACCEPTED, Status.QUEUED, "proved not to have arrived, and to be sent again"),
    ):
        keys = {doubts[message_id][0] for message_id, found in proofs.items() if found is proof}
        moved = ledger.resolve(campaign, status, keys, by="proved by the mail server's log") if keys else Moved(moved=0)
        said(f"{moved.moved} {words}.")
    unknown = sum(found is Proof.UNKNOWN for found in proofs.values())
    if unknown:
        said(f"{unknown} the log says nothing of. A log is whole only a minute after an attempt; try again then.")


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a log. Raises UsageError if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as log:
            yield from log
    except OSError as error:
        raise UsageError(
            f"The log {path} cannot be read: {error.strerror}.", hint="check the name of the file"
        ) from error


def chosen(ledger: Ledger, campaign: CampaignRecord, addresses: list[str]) -> set[str]:
    """The keys of these addresses. Raises UsageError if one of them is not uncertain here."""
    from mailer.suppression import normalise  # noqa: PLC0415

    uncertain = {normalise(record.address) for record in ledger.records(campaign, Status.UNCERTAIN)}
    keys = [normalise(address) for address in addresses]
    unknown = sum(key not in uncertain for key in keys)
    if unknown:
        raise UsageError(
            f"{unknown} of these addresses {'is' if unknown == 1 else 'are'} not among the uncertain ones. Nothing was changed.",
            hint=f"see who is: {command('resolve', campaign)}",
        )
    return set(keys)


def show(campaign: CampaignRecord, left: list, moved: Moved, decision: Choice | None) -> None:  # type: ignore[type-arg]
    """What was decided and what is still open."""
    if decision is not None:
        became = "as sent" if decision is Choice.SENT else "to be sent again"
        console.say(f"{moved.moved} noted {became}.")
        say_kept_out(moved)
        if decision is Choice.QUEUED and moved.moved:
            console.say(f"To send them: {send_command(campaign)}")
    if not left:
        console.say("Nothing is uncertain." if decision is None else "Nothing is uncertain any more.")
        return
    console.say(f"{len(left)} uncertain in {campaign.name}:")
    for record in left:
        when = local_time(record.updated_at) if record.updated_at else ""
        console.say(f"  {record.address}")
        console.say(f"      row {record.row}, {when}, to {record.server}: {record.reason}", sentence=True)
        if record.server_words and record.server_words not in record.reason:
            console.say(f"      Its last words: {record.server_words}", sentence=True)
        console.say(f"      Message-ID {record.message_id}")
    resolve_it = command("resolve", campaign)
    console.say(f"If they arrived:      {resolve_it} --as sent")
    console.say(f"If they did not:      {resolve_it} --as queued")
    console.say("For some of them only, put their addresses behind it.")


def say_kept_out(moved: Moved) -> None:
    """Who stays out, and how that could be changed."""
    if moved.suppressed:
        console.say(
            f"{moved.suppressed} not, since they are suppressed: they asked not to be mailed, or the address is dead.",
            sentence=True,
        )
        console.say("To see why:     mailer suppress list")
    if moved.unlisted:
        console.say(f"{moved.unlisted} not, since they are no longer in the list.")


def retry(campaign: CampaignArgument, *, as_json: JsonOption = False) -> None:
    """Queue failed messages again.

    Use it when the reason is gone: a full mailbox was emptied, the account is trusted again. Then run the send command.

    \b
    Example:
      mailer retry solidarity-appeal--branches
    """  # noqa: D301
    from mailer.ledger import Ledger, settle  # noqa: PLC0415

    with Ledger(settings_here().ledger_path, create=False) as ledger:
        found = settle(ledger, ledger.find(campaign))
        moved = ledger.requeue_failed(found)
        if as_json:
            console.emit(
                {**standing(ledger, found), "requeued": moved.moved, "kept_out": moved.suppressed + moved.unlisted}
            )
            return
    if not moved.moved + moved.suppressed + moved.unlisted:
        console.say("Nothing has failed in this campaign.")
        return
    console.say(f"{moved.moved} queued again. Nothing was sent yet.")
    say_kept_out(moved)
    if moved.moved:
        console.say(f"To send them: {send_command(found)}")
