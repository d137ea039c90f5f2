"""Who may be mailed now, and from when others may: by their next try, and by the office hours of where they live."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from mailer.hours import UNKNOWN, Hours
from mailer.ledger.deliveries import MOST, Deliveries
from mailer.model import CampaignRecord, OutOfHours, Round, Status, Tally


class Place(NamedTuple):
    """The open deliveries of people in one time zone that stand alike, and when the first of those put off is due again."""

    zone: str | None
    status: Status
    people: int
    due: float | None


class Rounds(Deliveries):
    """Deliveries by time."""

    def round(self, campaign: CampaignRecord, now: float) -> Round:
        """Who may be tried now. When it is over, others may be, or some of these no longer."""
        if not campaign.hours:
            return Round(due=self.due(campaign, now))
        hours, zones = Hours.parse(campaign.hours), {place.zone for place in self._places(campaign)}
        named = {zone: zone or campaign.zone or UNKNOWN for zone in zones}
        here, until = hours.round(set(named.values()), now)
        due = self.due(campaign, now, [zone for zone in zones if named[zone] in here]) if here else []
        return Round(due=due, until=until)

    def next_due(self, campaign: CampaignRecord, now: float | None = None) -> float | None:
        """When the first of those who were put off may be tried again: within their office hours, if it has any.

        A time that has come stays as it is, as long as they may be tried.
        """
        now = time.time() if now is None else now
        if not campaign.hours:
            query = "SELECT min(next_attempt_at) FROM deliveries WHERE campaign_id = ? AND status = 'deferred'"
            [at] = self._one(query, campaign.id)
            return None if at is None else _believed(float(at), now)
        hours, times = Hours.parse(campaign.hours), []
        for place in self._places(campaign):
            if place.due is not None:
                # the hours in which it came may have ended since
                at, zone = _believed(place.due, now), place.zone or campaign.zone or UNKNOWN
                opens = hours.next_open(zone, max(at, now))
                times.append(at if opens <= now else opens)
        return min(times, default=None)

    def out_of_hours(self, campaign: CampaignRecord, now: float) -> OutOfHours | None:
        """Who waits for nothing but their office hours; None if nobody does."""
        if not campaign.hours:
            return None
        hours, waiting = Hours.parse(campaign.hours), []
        for place in self._places(campaign):
            zone = place.zone or campaign.zone or UNKNOWN
            if place.status is Status.QUEUED and not hours.is_open(zone, now):
                waiting.append((place.people, hours.next_change(zone, now)))
        if not waiting:
            return None
        return OutOfHours(people=sum(people for people, _ in waiting), since=min(since for _, since in waiting))

    def next_turn(self, campaign: CampaignRecord, tally: Tally, now: float) -> float | None:
        """When the next of a campaign may be tried; None if somebody may be now, or is being, or nobody is left."""
        away = self.out_of_hours(campaign, now)
        if tally.sending or tally.queued != (away.people if away else 0):
            return None
        times = [at for at in (self.next_due(campaign, now), away.since if away else None) if at is not None]
        return min(times, default=None)

    def _places(self, campaign: CampaignRecord) -> Iterator[Place]:
        query = (
            "SELECT zone, status, count(*), min(CASE WHEN status = 'deferred' THEN next_attempt_at END) FROM deliveries"
            " WHERE campaign_id = ? AND status IN ('queued', 'deferred') GROUP BY zone, status"
        )
        for zone, status, people, due in self._all(query, campaign.id):
            yield Place(zone, Status(status), people, due)


def _believed(due: float, now: float) -> float:
    """A time beyond the longest pause was written by a wrong clock: it has come, as for `due`."""
    return due if due <= now + MOST else now
