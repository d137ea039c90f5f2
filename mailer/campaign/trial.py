"""A test: real renderings of some rows, marked [TEST], to one's own address only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mailer import mime
from mailer.campaign.limits import Limits, alone, make_pace
from mailer.campaign.plan import Plan
from mailer.errors import ListError, Paused, RelayStopped
from mailer.ledger import Ledger, Record, Writer
from mailer.model import Action, Contact, Identity, Mailbox, Message, Outcome, Status, as_said, said
from mailer.outcome import explain
from mailer.pace import Pace, SharedPace, Slot
from mailer.smtp import Connection, Relay, connect

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer

STATUS = {"sent": Status.SENT, "uncertain": Status.UNCERTAIN, "deferred": Status.DEFERRED}


def pick(plan: Plan, rows: Sequence[int]) -> list[Contact]:
    """The contacts of these rows, or the first one. Raises ListError for a row that gets no message."""
    if not rows:
        first = next(plan.ready(), None)
        if first is None:
            raise ListError("Not one row of the list can be mailed, so there is nothing to test.")
        return [first]
    found = {contact.row: contact for contact in plan.ready() if contact.row in set(rows)}
    for row in rows:
        if row not in found:
            raise ListError(
                said(
                    "Row {row} of the list gets no message: it is the header, blank, a duplicate, or has a problem.",
                    row=row,
                ),
                hint="choose another row with --row",
            )
    return [found[row] for row in rows]


async def send_test(
    plan: Plan,
    people: Sequence[Contact],
    to: str,
    *,
    ledger: Ledger,
    relay: Relay,
    limits: Limits,
    signer: Signer | None = None,
) -> list[Outcome]:
    """Send one message per contact to `to`. They count towards the quotas, but no delivery of the campaign changes.

    Raises RelayStopped or Paused if there is no connection to be had, CampaignError while the account sends a campaign.
    """
    # made one by one: the Date is that at which each leaves
    identity = plan.identity.over(relay.name)
    messages = (_message(plan, identity, contact, to, signer) for contact in people)
    return await send_messages(messages, ledger=ledger, relay=relay, limits=limits)


async def send_messages(messages: Iterable[Message], *, ledger: Ledger, relay: Relay, limits: Limits) -> list[Outcome]:
    """Send messages that are of no campaign, under the quotas. Raises as `send_test`."""
    with alone(ledger, relay, limits):
        return await _send_all(messages, ledger=ledger, relay=relay, limits=limits)


async def _send_all(messages: Iterable[Message], *, ledger: Ledger, relay: Relay, limits: Limits) -> list[Outcome]:
    pace = make_pace(ledger, relay, limits)
    connection = await connect(relay)
    if isinstance(connection, Outcome):
        stopped = connection.action in {Action.STOP, Action.PAUSE}
        raise (RelayStopped if stopped else Paused)(
            said("No test was sent. {why}", why=as_said(explain(connection))),
            hint=said("what happened: {text}", text=as_said(connection.text)),
        )
    try:
        async with pace, Writer(ledger) as writer:
            trial = _Trial(connection=connection, account=relay.account, pace=pace, writer=writer)
            return [await trial.send(message) for message in messages]
    finally:
        await connection.quit()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Trial:
    connection: Connection
    account: str
    pace: Pace | SharedPace
    writer: Writer

    async def send(self, message: Message) -> Outcome:
        domain = message.envelope.rcpt_to.rpartition("@")[2].lower()
        slot: Slot | None = None
        # it may first be told that the domain has to wait, so that others could go on meanwhile; there are no others
        while slot is None:
            slot = await self.pace.reserve(domain)
        started_at = time.time()
        outcome = await self.connection.transmit(message, _go_ahead)
        slot.done()
        assert outcome is not None
        record = Record(
            delivery=None,
            token="",
            account=self.account,
            domain=domain,
            started_at=started_at,
            finished_at=time.time(),
            outcome=outcome,
            status=STATUS.get(outcome.verdict, Status.FAILED),
            intended=False,
        )
        await self.writer.write(records=[record])
        return outcome


async def _go_ahead() -> bool:
    return True


def _message(plan: Plan, identity: Identity, contact: Contact, to: str, signer: Signer | None) -> Message:
    now = datetime.now(UTC)
    # a new one each time: mail programs hide a second message with an identifier that they know; and its tokens are those
    # of no delivery, so that trying the links of a test unsubscribes nobody
    recipient = replace(contact, address=to, key=f"test {contact.key} {now.timestamp()}")
    letter = plan.template.merge(contact, identity, plan.marker(identity=identity)(recipient))
    letter = letter._replace(subject=f"[TEST] {letter.subject}", to=Mailbox(address=to, name=letter.to.name))
    identifier = plan.message_id(recipient)
    message = mime.compose(letter, contact=recipient, message_id=identifier, date=now)
    return signer.sign(message, now) if signer else message
