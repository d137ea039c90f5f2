"""When a campaign may be sent: shapes no message, so no part of the seal, and yet kept with the campaign."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mailer.hours import UNKNOWN, Hours
from mailer.model import CampaignRecord, TimeZones


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Office hours as somebody asks for them: None where nothing was said, without windows where they were switched off.

    `zone` is that of people whose own is not known, `column` where the list tells it.
    """

    hours: Hours | None = None
    zone: str | None = None
    column: str | None = None

    def beside(self, campaign: CampaignRecord | None) -> Timing:
        """The same, and where nothing was said what the campaign has: who forgets the hours wakes nobody."""
        if campaign is None:
            return self
        hours = Hours.parse(campaign.hours or "off") if self.hours is None else self.hours
        return replace(self, hours=hours, zone=self.zone or campaign.zone)

    @property
    def time_zones(self) -> TimeZones | None:
        """How to find out where people live, if it matters."""
        return TimeZones(default=self.zone or UNKNOWN, column=self.column) if self.hours else None

    @property
    def written(self) -> tuple[str, str | None]:
        """Hours and time zone as the ledger keeps them."""
        return str(self.hours or ""), self.zone or UNKNOWN if self.hours else self.zone

    def comes_late_for(self, campaign: CampaignRecord) -> bool:
        """Whether hours are wanted of a campaign that began without: nobody has looked where its people live."""
        return bool(self.hours) and campaign.zone is None and campaign.finished_at is None


NOTHING_SAID = Timing()
