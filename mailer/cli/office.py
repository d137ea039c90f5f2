"""Who waits for their office hours, for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailer.times import iso, local_time

if TYPE_CHECKING:
    from mailer.model import CampaignRecord, OutOfHours


def office_hours(campaign: CampaignRecord, waiting: OutOfHours | None) -> dict[str, Any]:
    """The hours for --json, how many wait for theirs, and from when the first of them may be mailed."""
    return {
        "hours": campaign.hours or None,
        "out_of_hours": waiting.people if waiting else 0,
        "hours_from": iso(waiting.since) if waiting else None,
    }


def told_hours(campaign: CampaignRecord, waiting: OutOfHours) -> str:
    """The same for people."""
    return f"Waiting for their office hours ({campaign.hours}, where they live): {waiting.people:,}, from {local_time(waiting.since)}"
