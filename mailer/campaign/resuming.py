"""What becomes next of a campaign that a page was asked to send: it may go on by itself, or a person has to look first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from mailer.campaign.diary import UNDER_WAY
from mailer.ledger import AccountLock, Ledger, SenderLock
from mailer.model import CampaignRecord, Happening, Tally


class Next(Enum):
    """Whether it goes on."""

    NOTHING = "it is done, or a person paused it, or what ended it is for a person to look at"
    SENT = "somebody sends it just now"
    LATER = "those who are to be tried again are not due yet, or it is out of everybody's office hours"
    IN_USE = "its account is in use by another campaign"
    NOW = "it can go on"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What becomes next of a campaign, from when on, and which other one it waits for."""

    next: Next
    due: float | None = None
    other: str = ""


NOTHING, SENT, NOW = Step(next=Next.NOTHING), Step(next=Next.SENT), Step(next=Next.NOW)


def next_step(ledger: Ledger, campaign: CampaignRecord, now: float) -> Step:
    """Whether a campaign whose last run is over, or was killed, goes on by itself, and from when."""
    if ledger.is_shared and ledger.shared.standing(campaign):
        return NOTHING  # workers see to it
    if SenderLock(ledger, campaign.name).is_held():
        return SENT
    tally = ledger.tally(campaign)
    if not _is_willing(ledger, campaign, tally):
        return NOTHING
    due = ledger.next_turn(campaign, tally, now)
    if due is not None and due > now:
        return Step(next=Next.LATER, due=due)
    account = ledger.account_of(campaign)
    if account and not ledger.shares_quotas and AccountLock(ledger, account).is_held():
        return Step(next=Next.IN_USE, other=sent_elsewhere(ledger, campaign))
    return NOW


def _is_willing(ledger: Ledger, campaign: CampaignRecord, tally: Tally) -> bool:
    """Whether its last run left only people who are to be tried again or wait for their office hours, or did not end but was killed.

    Who was not tried yet was left out on purpose: by --limit, or by whoever ended the page.
    """
    last = ledger.last_entry(campaign)
    if not tally.work_left or last is None:
        return False
    return last.kind in UNDER_WAY or (last.kind is Happening.PAUSED and (not tally.queued or last.until is not None))


def sent_elsewhere(ledger: Ledger, campaign: CampaignRecord) -> str:
    """Another campaign that is being sent just now."""
    others = (one for one in ledger.campaigns() if one.owner and one.name != campaign.name)
    return next((one.name for one in others if SenderLock(ledger, one.name).is_held()), "")
