"""`mailer resolve` and `mailer retry`: what only a person can decide."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailer.cli import console
from mailer.cli.options import CampaignArgument, JsonOption, settings_here
from mailer.cli.standing import command, send_command, standing
from mailer.cli.unlocking import open_ledger
from mailer.errors import UsageError, quoted
from mailer.ledger.deliveries import Moved
from mailer.model import Status
from mailer.times import local_time

if TYPE_CHECKING:
    from mailer.ledger import Ledger
    from mailer.model import CampaignRecord, DeliveryRecord


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
        typer.Option(
            "--postfix-log", metavar="FILE", help="Decide by our own Postfix's log. Several files: once each."
        ),
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
    from mailer.ledger import settle  # noqa: PLC0415

    if decision is not None and postfix_log:
        raise UsageError(
            "Either you decide, or the log does.",
            hint="leave out --as to go by the log, or --postfix-log to decide yourself",
        )
    for path in postfix_log or ():
        next(lines_of(path), "")  # before anything is decided by the others
    with open_ledger(settings_here(), create=False) as ledger:
        found = settle(ledger, ledger.find(campaign))
        moved = Moved(moved=0)
        if decision is not None or postfix_log:
            keys = chosen(ledger, found, addresses) if addresses else None
            if decision is not None:
                moved = ledger.resolve(found, Status(decision.value), keys)
            else:
                said = console.note if as_json else console.say
                moved = prove(ledger, found, postfix_log or [], keys, said=said)
        elif addresses:
            raise UsageError("What became of them?", hint="add --as sent or --as queued")
        left = list(ledger.records(found, Status.UNCERTAIN))
        if as_json:
            console.emit({**standing(ledger, found), **as_data(left, moved)})
        else:
            show(found, left, moved, decision, go_on=send_command(found, ledger))
    raise typer.Exit(1 if left else 0)


def as_data(left: Sequence[DeliveryRecord], moved: Moved) -> dict[str, object]:
    """What was decided and what is still open, for --json."""
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
    return {"resolved": moved.moved, "kept_out": moved.suppressed + moved.unlisted, "deliveries": uncertain}


def prove(
    ledger: Ledger,
    campaign: CampaignRecord,
    logs: Sequence[Path],
    keys: Collection[str] | None,
    *,
    said: Callable[[str], None],
) -> Moved:
    """Decide what the log of the Postfix that took our messages proves, of these keys only; the rest stays uncertain."""
    from mailer.postfix_log import Proof, verdicts  # noqa: PLC0415

    doubts = [doubt for doubt in ledger.doubtful(campaign) if keys is None or doubt.key in keys]
    proofs = verdicts(map(lines_of, logs), doubts)
    total = Moved(moved=0)
    for proof, status, words in (
        (Proof.ACCEPTED, Status.SENT, "taken by the mail server, as its log proves: noted as sent."),
        (Proof.NOT_ACCEPTED, Status.QUEUED, "not taken by the mail server, as its log proves: noted to be sent again."),
    ):
        proved = {doubt.key for doubt in doubts if proofs[doubt.message_id] is proof}
        if proved:
            moved = ledger.resolve(campaign, status, proved, by="proved by the mail server's log")
            said(f"{moved.moved} {words}")
            if status is Status.QUEUED and moved.moved:
                said(f"To send them: {send_command(campaign, ledger)}")
            total = Moved(
                moved=total.moved + moved.moved,
                suppressed=total.suppressed + moved.suppressed,
                unlisted=total.unlisted + moved.unlisted,
            )
    for proof, number in Counter(proofs.values()).items():
        for sentence in unproved(number).get(proof.name, ()):
            said(sentence)
    return total


def unproved(number: int) -> dict[str, tuple[str, ...]]:
    """Why a log leaves so many uncertain, and what would help."""
    return {
        "ABSENT": (
            f"{number} not in this log. That proves nothing: it may be another server's, or not all of it.",
            "Give all its files: --postfix-log FILE for each. After less than a minute, wait and try again.",
        ),
        "UNFINISHED": (
            f"{number} in this log, but not what became of them.",
            "Wait a minute and try again. If lines or files are missing, give them too: --postfix-log FILE for each.",
        ),
        "UNWITNESSED": (
            f"{number} broken off in this log, but nothing shows that this server is the one we handed them to.",
            "For that it must hold a message that arrived safely: send one by `mailer test` or `mailer send`, try again.",
        ),
        "MISTIMED": (
            f"{number} broken off in this log, but at another time than ours: it may have been another attempt.",
            "Give all its files: --postfix-log FILE for each. Also compare the clocks of the two computers.",
        ),
    }


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a log, also of one that was compressed when it was put away. Raises UsageError if it cannot be read."""
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8", errors="replace")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8", errors="replace")
        ) as log:
            yield from log
    except (OSError, EOFError, zlib.error) as error:
        raise no_log(path, error) from error


def no_log(path: Path, error: Exception) -> UsageError:
    """Why a log cannot be read, and what to do."""
    if path == Path():  # nothing was written, or a dot
        return UsageError("--postfix-log names no file.", hint="for example: --postfix-log /var/log/mail.log")
    if path.is_dir():
        inside = sorted((one for one in path.glob("mail*log*") if one.is_file()), key=lambda one: one.name)
        example = inside[0] if inside else path / "mail.log"
        return UsageError(
            f"--postfix-log names a folder, not a log: {path}.",
            hint=f"name the file in it, for example: --postfix-log {quoted(example)}",
        )
    if isinstance(error, FileNotFoundError):
        return UsageError(f"There is no file {path}.", hint="check its name, and the folder that you are in")
    why = getattr(error, "strerror", None) or "it is not whole"
    return UsageError(f"The log {path} cannot be read: {why}.", hint="copy it anew, and check the name of the file")


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


def show(
    campaign: CampaignRecord,
    left: Sequence[DeliveryRecord],
    moved: Moved,
    decision: Choice | None,
    *,
    go_on: str,
) -> None:
    """What was decided and what is still open. `go_on` is the command that sends."""
    if decision is not None:
        became = "as sent" if decision is Choice.SENT else "to be sent again"
        console.say(f"{moved.moved} noted {became}.")
        say_kept_out(moved)
        if decision is Choice.QUEUED and moved.moved:
            console.say(f"To send them: {go_on}")
    else:
        say_kept_out(moved)
    if not left:
        decided = decision is not None or moved != Moved(moved=0)
        console.say("Nothing is uncertain any more." if decided else "Nothing is uncertain.")
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
    """Queue failed messages again, and people who are no longer suppressed.

    Use it when the reason is gone: a full mailbox was emptied, the account is trusted again, somebody wants our mail after
    all. Then run the send command.

    \b
    Example:
      mailer retry solidarity-appeal--branches
    """  # noqa: D301
    from mailer.ledger import settle  # noqa: PLC0415

    with open_ledger(settings_here(), create=False) as ledger:
        found = settle(ledger, ledger.find(campaign))
        moved = ledger.requeue_failed(found)
        go_on = send_command(found, ledger)
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
        console.say(f"To send them: {go_on}")
