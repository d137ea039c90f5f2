"""`mailer setup --seed-test`: one letter to oneself, and how it arrived."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import typer

from mailer.cli import console
from mailer.cli.asking import ask, require_somebody, yes
from mailer.cli.doctor import as_data, show
from mailer.cli.inbox import access_of
from mailer.cli.options import limits_of, relay_of, signer_of
from mailer.cli.send import loop_factory
from mailer.cli.trial import own_address
from mailer.cli.unlocking import open_ledger
from mailer.errors import Paused, RelayStopped, SettingsError

if TYPE_CHECKING:
    from mailer.inbox.mailbox import OpenMailbox
    from mailer.model import Message
    from mailer.preflight import Check
    from mailer.settings import Settings

EXAMPLE = "mailer setup --seed-test --yes"


def seed_test(settings: Settings, *, to: str | None, confirmed: bool, as_json: bool) -> None:
    """Ask, mail oneself, and say what became of it. Raises typer.Exit with 1 if something must be mended."""
    from mailer.inbox.mailbox import OpenMailbox  # noqa: PLC0415 - imports imap_tools

    settings.over().require_sending()  # what is missing is said before anything is asked
    address = own_address(to or settings.identity().sender.address)
    if not confirmed:
        require_somebody(EXAMPLE)
        if not ask(f"Mail one test letter to {address} only? yes or no", yes, "no"):
            console.note("Nobody was mailed.")
            return
    if settings.imap_host is None:
        checks = sent_and_judged(settings, address, None)
    else:
        # the mailbox first: who cannot look for the letter would send it for nothing
        with OpenMailbox(access_of(settings)) as box:
            checks = sent_and_judged(settings, address, box)
    if as_json:
        console.emit({"to": address, **as_data(checks)})
    else:
        console.say()
        show(checks, "Only you were mailed.")
    if any(check.level == "fail" for check in checks):
        raise typer.Exit(1)


def sent_and_judged(settings: Settings, address: str, box: OpenMailbox | None) -> list[Check]:
    """Send the letter, wait for it, and say how it arrived."""
    from mailer.campaign import seed  # noqa: PLC0415 - imports imap_tools

    accepted = False
    try:
        message = sent(settings, address)
        accepted = True
        if box is None:
            return [seed.unread()]
        console.note(f"Sent. Waiting until it arrives, {seed.PATIENCE / 60:.0f} minutes at most; Ctrl-C ends it ...")
        since, patience = time.monotonic(), seed.PATIENCE
        found = seed.wait_for(box, message.message_id, since=since, patience=patience, polling=seed.POLLING)
    except KeyboardInterrupt:
        raise Paused(
            f"Stopped waiting. The letter {'was' if accepted else 'may have been'} sent to you, and to nobody else.",
            hint=f'look for "{seed.SUBJECT}" in your mail program',
        ) from None
    return [seed.lost(patience)] if found is None else seed.judge(found, settings.identity().sender.domain)


def offer(settings: Settings) -> None:
    """The same as a question after the account was set up; not where something else is missing for sending."""
    try:
        settings.over().require_sending()
        settings.identity()
    except SettingsError:
        return
    console.note()
    seed_test(settings, to=None, confirmed=False, as_json=False)


def sent(settings: Settings, address: str) -> Message:
    """The letter, once the mail server has accepted it. Raises RelayStopped, Paused."""
    from mailer.campaign import seed  # noqa: PLC0415
    from mailer.campaign.trial import send_messages  # noqa: PLC0415
    from mailer.model import Verdict  # noqa: PLC0415
    from mailer.outcome import explain  # noqa: PLC0415

    account = settings.over()
    with open_ledger(settings) as ledger:
        message = seed.letter_to(address, settings.identity(), ledger.secret, signer_of(account))
        sending = send_messages([message], ledger=ledger, relay=relay_of(account), limits=limits_of(account))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            [outcome] = runner.run(sending)
    if outcome.verdict is not Verdict.SENT:
        kind = Paused if outcome.verdict in {Verdict.DEFERRED, Verdict.UNCERTAIN} else RelayStopped
        raise kind(f"The test letter did not go out. {explain(outcome)}", hint=f"what happened: {outcome.text}")
    return message
