"""What came back: events, whom they are about, and how far a mailbox has been read."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence

from mailer.ledger.store import Store
from mailer.model import CampaignRecord, Event, EventKind, Returned, Sent

SENT = (
    "SELECT d.id, d.campaign_id, d.key, d.message_id, d.updated_at FROM deliveries d"
    " WHERE d.first_attempt_at IS NOT NULL AND d.key IS NOT NULL"
)

# a message that never got through cannot come back
HANDED_OVER = "d.status IN ('sent', 'uncertain', 'sending')"

COUNTED = {
    EventKind.BOUNCE: "bounced",
    EventKind.COMPLAINT: "complained",
    EventKind.UNSUBSCRIBE: "unsubscribed",
    EventKind.REPLY: "replied",
}


class Events(Store):
    """Events of a ledger. One delivery counts once under each kind, however many mails tell of it."""

    def by_name(self, names: Collection[str]) -> dict[str, Sent]:
        """Deliveries that were ever tried, by the left part of their Message-IDs. Looks through all: ask for many at once."""
        marks = ",".join("?" * len(names))
        query = f"{SENT} AND substr(d.message_id, 1, instr(d.message_id, '@')) IN ({marks})"
        found = map(_sent, self._all(query, *(f"<{name}@" for name in names))) if names else ()
        return {sent.message_id[1:].partition("@")[0]: sent for sent in found}

    def by_key(self, key: str, *, since: float, until: float) -> list[Sent]:
        """Whatever was handed over to an address between two times (Unix time), the newest first."""
        # by the index (campaign_id, key)
        query = (
            f"{SENT} AND {HANDED_OVER} AND d.campaign_id IN (SELECT id FROM campaigns) AND d.key = ?"
            " AND d.updated_at BETWEEN ? AND ? ORDER BY d.updated_at DESC"
        )
        return [_sent(row) for row in self._all(query, key, since, until)]

    def knows(self, key: str) -> bool:
        """Whether any campaign ever had this address, or may have had it: whoever was tried may have been erased since."""
        ours = "SELECT 1 FROM deliveries WHERE campaign_id IN (SELECT id FROM campaigns) AND"
        erased = f"{ours} key IS NULL AND (first_attempt_at IS NOT NULL OR status = 'sent') LIMIT 1"
        return bool(self._all(f"{ours} key = ? LIMIT 1", key) or self._all(erased))

    def known_sources(self, sources: Sequence[str]) -> set[str]:
        """Which of these mails were counted before."""
        if not sources:
            return set()
        marks = ",".join("?" * len(sources))
        return {row[0] for row in self._all(f"SELECT source FROM events WHERE source IN ({marks})", *sources)}

    def soft_bounces(self, key: str) -> list[tuple[int, float]]:
        """Campaign and time (Unix time) of every soft bounce of an address."""
        query = (
            "SELECT e.campaign_id, e.at FROM deliveries d JOIN events e ON e.delivery_id = d.id"
            " WHERE d.campaign_id IN (SELECT id FROM campaigns) AND d.key = ? AND e.kind = 'bounce' AND e.class = 'soft'"
        )
        return self._all(query, key)

    def add_events(self, events: Iterable[Event]) -> int:
        """Write what came back, in one commit; returns how many were new."""
        added = 0
        with self._transaction():
            for event in events:
                added += self._db.execute(
                    "INSERT INTO events (kind, delivery_id, campaign_id, at, class, status, text, source)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source) DO NOTHING",
                    (
                        event.kind,
                        event.delivery,
                        event.campaign,
                        event.at,
                        event.bounce,
                        event.status,
                        event.text,
                        event.source,
                    ),
                ).rowcount
        return added

    def returned(self, campaign: CampaignRecord) -> Returned:
        """How many of a campaign's deliveries came back, by kind."""
        query = "SELECT kind, count(DISTINCT delivery_id) FROM events WHERE campaign_id = ? GROUP BY kind"
        return Returned(**{COUNTED[EventKind(kind)]: count for kind, count in self._all(query, campaign.id)})

    def complaints(self, campaign: CampaignRecord) -> tuple[int, int]:
        """How many complained of a campaign, and how many of its messages were sent."""
        query = "SELECT count(DISTINCT delivery_id) FROM events WHERE campaign_id = ? AND kind = 'complaint'"
        complained = int(self._one(query, campaign.id)[0])
        if not complained:
            return 0, 0
        sent = self._one("SELECT count(*) FROM deliveries WHERE campaign_id = ? AND status = 'sent'", campaign.id)[0]
        return complained, int(sent)

    def first_start(self) -> float:
        """When the first campaign started (Unix time): nothing older can be an answer. Now, if there was none."""
        return float(self._one("SELECT coalesce(min(started_at), ?) FROM campaigns", time.time())[0])

    def read_up_to(self, mailbox: str, validity: int) -> int:
        """The number of the last mail that was read there; 0 if none was, or if the server counts anew."""
        query = "SELECT last_uid FROM mailboxes WHERE name = ? AND validity = ?"
        return next((int(row[0]) for row in self._all(query, mailbox, validity)), 0)

    def note_read(self, mailbox: str, validity: int, last_uid: int) -> None:
        """All mails up to this one need not be read again."""
        self._run(
            "INSERT INTO mailboxes VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
            " validity = excluded.validity, last_uid = excluded.last_uid",
            mailbox,
            validity,
            last_uid,
        )


def _sent(row: tuple) -> Sent:  # type: ignore[type-arg]
    delivery, campaign, key, message_id, at = row
    return Sent(delivery=delivery, campaign=campaign, key=key, message_id=message_id, at=at)
