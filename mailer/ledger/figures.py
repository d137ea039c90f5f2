"""Counts for a report, made by the database: a million deliveries take no more memory than ten."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

from mailer.ledger.store import Store
from mailer.model import CampaignRecord, EventKind, Status

LOOKED_AT = 50
"""Contacts whose fields tell which fields there are: all rows of a list have the same, but for look-up tables without a match."""


class Grouped(NamedTuple):
    """So many deliveries of a group stand so."""

    group: str
    status: Status
    number: int


class Figures(Store):
    """What a report counts. Rows come group by group, so that nobody has to hold all groups at once."""

    def snapshot(self) -> AbstractContextManager[None]:
        """All that is read inside is of one moment, also while somebody sends: numbers add up."""
        return self._db.snapshot()

    def by_domain(self, campaign: CampaignRecord) -> Iterator[Grouped]:
        """By destination domain; '' are rows without a usable address."""
        return self._grouped(campaign, "coalesce(substr(key, instr(key, '@') + 1), '')")

    def by_language(self, campaign: CampaignRecord) -> Iterator[Grouped]:
        """By the language of the letter; '' where the list names none."""
        return self._grouped(campaign, "coalesce(language, '')")

    def by_field(self, campaign: CampaignRecord, field: str) -> Iterator[Grouped]:
        """By what stands in a merge field, named as `field_names` names it; '' where nothing does."""
        return self._grouped(campaign, "trim(coalesce(json_extract(fields, ?), ''))", _path(field))

    def refusals(self, campaign: CampaignRecord) -> Iterator[tuple[str, str, Status, int]]:
        """Of the failed and the deferred: our reason, the server's last words, status, how many."""
        query = (
            "SELECT d.reason, (SELECT a.text FROM attempts a WHERE a.delivery_id = d.id AND a.text IS NOT NULL"
            " ORDER BY a.id DESC LIMIT 1) AS words, d.status, count(*) FROM deliveries d"
            " WHERE d.campaign_id = ? AND d.status IN ('failed', 'deferred') GROUP BY 1, 2, 3 ORDER BY 1, 2 NULLS FIRST, 3"
        )
        for reason, words, status, count in self._each(query, campaign.id):
            yield reason, words or "", Status(status), count

    def field_names(self, campaign: CampaignRecord) -> list[str]:
        """The merge fields of the list, in its order; a look-up table's columns as `embassy.country`."""
        query = "SELECT fields FROM deliveries WHERE campaign_id = ? AND key IS NOT NULL ORDER BY id DESC LIMIT ?"
        names: dict[str, None] = {}
        for (text,) in self._all(query, campaign.id, LOOKED_AT):
            for name, value in json.loads(text).items():
                names |= dict.fromkeys([f"{name}.{column}" for column in value] if isinstance(value, dict) else [name])
        return list(names)

    def distinct(self, campaign: CampaignRecord, field: str) -> int:
        """How many different values a merge field has, '' not counted."""
        value = "trim(json_extract(fields, ?))"
        query = f"SELECT count(DISTINCT nullif({value}, '')) FROM deliveries WHERE campaign_id = ?"
        return int(self._one(query, _path(field), campaign.id)[0])

    def span(self, campaign: CampaignRecord, statuses: Sequence[Status]) -> tuple[float, float] | None:
        """When the first and the last came to stand so (Unix time)."""
        marks = ",".join("?" * len(statuses))
        query = f"SELECT min(updated_at), max(updated_at) FROM deliveries WHERE campaign_id = ? AND status IN ({marks})"
        first, last = self._one(query, campaign.id, *statuses)
        return None if first is None else (first, last)

    def course(self, campaign: CampaignRecord, status: Status, step: float) -> list[tuple[float, int]]:
        """How many came to stand so in each step of so many seconds: its end (Unix time), and the number."""
        query = (
            f"SELECT ({self._db.whole('updated_at / ?1')} + 1) * ?1, count(*) FROM deliveries"
            " WHERE campaign_id = ?2 AND status = ?3 GROUP BY 1 ORDER BY 1"
        )
        return self._all(query, step, campaign.id, status)

    def arrivals_span(self, campaign: CampaignRecord) -> tuple[float, float] | None:
        """When the first and the last thing came back (Unix time)."""
        query = "SELECT min(at), max(at) FROM events WHERE campaign_id = ? AND delivery_id IS NOT NULL"
        first, last = self._one(query, campaign.id)
        return None if first is None else (first, last)

    def arrivals(self, campaign: CampaignRecord, kind: EventKind, step: float) -> list[tuple[float, int]]:
        """Of how many deliveries the first event of a kind came in each step, as `course`; they add up to `returned`."""
        query = (
            f"SELECT ({self._db.whole('at / ?1')} + 1) * ?1, count(*) FROM (SELECT min(at) AS at FROM events"
            " WHERE campaign_id = ?2 AND kind = ?3 AND delivery_id IS NOT NULL GROUP BY delivery_id) AS firsts"
            " GROUP BY 1 ORDER BY 1"
        )
        return self._all(query, step, campaign.id, kind)

    def _grouped(self, campaign: CampaignRecord, what: str, *values: object) -> Iterator[Grouped]:
        query = f"SELECT {what}, status, count(*) FROM deliveries WHERE campaign_id = ? GROUP BY 1, 2 ORDER BY 1, 2"
        for group, status, count in self._each(query, *values, campaign.id):
            yield Grouped(str(group), Status(status), count)


def _path(field: str) -> str:
    """A field's place in the JSON of fields."""
    return "$" + "".join('."' + part.replace('"', "") + '"' for part in field.split("."))
