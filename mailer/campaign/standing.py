"""Where a campaign stands, in a word: the same one for the terminal, for programs and for the page."""

from __future__ import annotations

from mailer.errors import RelayStopped
from mailer.ledger import Ledger, SenderLock
from mailer.model import CampaignRecord, Detached, Entry, Happening, Tally


def state_of(ledger: Ledger, campaign: CampaignRecord, tally: Tally) -> str:
    """One word: sending, waiting (left to workers, and none is at it), stopped, paused or finished."""
    if not tally.work_left and ledger.is_shared and not campaign.owner:
        # workers, who are never its owner, keep its lock for some seconds more
        return "finished"
    if SenderLock(ledger, campaign.name).is_held():
        return "sending"
    if not tally.work_left:
        return "finished"
    left = left_to_workers(ledger, campaign)
    if left is None:
        return "stopped" if stop_of(ledger, campaign) else "paused"
    if left.halt:
        return "stopped" if left.halt.exit_code == RelayStopped.exit_code else "paused"
    return "waiting"


def left_to_workers(ledger: Ledger, campaign: CampaignRecord) -> Detached | None:
    """How it stands with workers; None if a sender has it, or nobody."""
    return ledger.shared.standing(campaign) if ledger.is_shared else None


def stop_of(ledger: Ledger, campaign: CampaignRecord) -> Entry | None:
    """That the last run was stopped by the mail server, or a brake, and why; None if anything has happened since."""
    last = ledger.last_entry(campaign)
    return last if last and last.kind is Happening.STOPPED else None
