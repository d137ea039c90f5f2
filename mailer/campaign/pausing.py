"""Pausing a campaign from without: whoever sends it, a program or many workers."""

from __future__ import annotations

from enum import Enum

from mailer.errors import Paused
from mailer.ledger import Ledger, SenderLock
from mailer.model import CampaignRecord


class Asked(Enum):
    """Who was asked to pause."""

    NOBODY = "nobody sends it"
    PROGRAM = "a program, which looks for that twice a second"
    PAGE = "a page, which would have gone on with it by itself"
    WORKERS = "all workers, which finish what is on its way"


def pause(ledger: Ledger, campaign: CampaignRecord) -> Asked:
    """Have it paused, as at Ctrl-C; the send command continues."""
    wished = ledger.forget_wish(campaign.name)
    if ledger.is_shared and ledger.shared.standing(campaign):
        ledger.shared.halt(campaign, Paused("Paused at your request."))
        return Asked.WORKERS
    if SenderLock(ledger, campaign.name).is_held():
        ledger.ask_to_pause(campaign.name)
        return Asked.PROGRAM
    return Asked.PAGE if wished else Asked.NOBODY
