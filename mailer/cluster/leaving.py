"""Leaving a campaign to workers: planned, sealed and confirmed as any other, and then one transaction."""

from __future__ import annotations

from mailer import crashpoint
from mailer.campaign.send import Prepared, freeze
from mailer.cluster.engine import Jobs
from mailer.ledger import Ledger
from mailer.model import CampaignRecord


def leave(
    prepared: Prepared, ledger: Ledger, *, queue: str, batch_size: int, not_before: float | None = None
) -> CampaignRecord:
    """Freeze a campaign, or take one up that has begun, and give its batches to the queue, all in one transaction.

    Call under the campaign's SenderLock. Repeating it changes nothing, but that a campaign that stood still goes on.
    """
    shared = ledger.shared
    jobs = Jobs(shared)
    jobs.prepare()
    left = False

    def leave_it(campaign: int) -> None:
        nonlocal left
        left = True
        shared.leave(campaign, jobs, name=queue, batch_size=batch_size, not_before=not_before)

    campaign = freeze(prepared, ledger, and_then=leave_it)
    if not left:
        with shared.leaving():
            leave_it(campaign.id)
    crashpoint.pass_through("after-leave")
    return campaign
