"""Why a run stops, in words for a person."""

from __future__ import annotations

from mailer.errors import Paused, RelayStopped
from mailer.model import Delivery, Outcome
from mailer.outcome import explain
from mailer.privacy import without_addresses


def stopped_by(outcome: Outcome, delivery: Delivery | None = None) -> RelayStopped:
    words = "the server's own words" if outcome.reply else "in detail"
    row = f" It happened at row {delivery.contact.row} of the list." if delivery else ""
    return RelayStopped(f"{explain(outcome)}{row}", hint=f"{words}: {without_addresses(outcome.text)}")


def unreachable(outcome: Outcome) -> Paused:
    if outcome.reply:
        return Paused(
            f"The mail server takes no messages just now: {without_addresses(outcome.text).rstrip('.')}.",
            hint="run the same command again later; nobody loses their place",
        )
    return Paused(
        f"The mail server cannot be reached: {without_addresses(outcome.text).rstrip('.')}.",
        hint="check the network and the SMTP settings, then run the same command again; nobody loses their place",
    )
