"""What happened, the newest first: runs, waits and broken connections; attempts that went wrong; what came back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from mailer.ledger.database import Connection
from mailer.ledger.store import ALL, Store
from mailer.model import (
    Arrival,
    BounceClass,
    CampaignRecord,
    Entry,
    EventKind,
    Happening,
    Outcome,
    Person,
    Phase,
    Quota,
    Reply,
    Scope,
    Status,
    Trouble,
    Verdict,
)

# as the index has it, word for word
IN_TROUBLE = "a.verdict <> 'sent'"


def note(connection: Connection, campaign: int, kind: Happening, *, number: int = 0, text: str = "") -> None:
    """Add a line within a transaction that does what it tells."""
    connection.execute(
        "INSERT INTO diary (campaign_id, at, kind, number, text) VALUES (?, ?, ?, ?, ?)",
        (campaign, time.time(), kind, number, text),
    )


class Diary(Store):
    """The story of a ledger's campaigns."""

    def write_diary(self, campaign: CampaignRecord, entries: Iterable[Entry], *, at_once: bool = False) -> bool:
        """Add lines. With `at_once` nothing is written while another program writes, and it comes to False."""
        statement = "INSERT INTO diary (campaign_id, at, kind, until, number, text) VALUES (?, ?, ?, ?, ?, ?)"
        lines = [(campaign.id, one.at, one.kind, one.until, one.number, one.text) for one in entries]
        if at_once:
            return self._db.jot(statement, lines)
        with self._transaction():
            self._db.executemany(statement, lines)
        return True

    def diary(self, campaign: CampaignRecord, *, most: int = ALL) -> Iterator[Entry]:
        """What was noted of a campaign, the newest first; so many, or all."""
        query = (
            "SELECT at, kind, until, number, text FROM diary WHERE campaign_id = ? ORDER BY at DESC, id DESC LIMIT ?"
        )
        for at, kind, until, number, text in self._each(query, campaign.id, most):
            yield Entry(at=at, kind=Happening(kind), until=until, number=number, text=text)

    def last_entry(self, campaign: CampaignRecord) -> Entry | None:
        """What was noted last."""
        return next(self.diary(campaign, most=1), None)

    def troubles(self, campaign: CampaignRecord) -> Iterator[Trouble]:
        """The attempts of a campaign that did not end with the message sent, the newest first."""
        query = (
            "SELECT a.finished_at, a.verdict, a.scope, a.phase, a.code, a.text, d.row, d.name, d.address, d.status,"
            # +: in the order of their ends, by their own index, however many others there are
            " d.next_attempt_at FROM attempts a JOIN deliveries d ON d.id = +a.delivery_id"
            f" WHERE {IN_TROUBLE} AND d.campaign_id = ? ORDER BY a.finished_at DESC"
        )
        for at, verdict, scope, phase, code, text, row, name, address, status, due in self._each(query, campaign.id):
            reply = Reply(code=code, text=text.removeprefix(f"{code} ")) if code else None
            yield Trouble(
                at=at,
                person=Person(row=row, name=name, address=address or ""),
                outcome=Outcome(
                    verdict=Verdict(verdict), scope=Scope(scope), phase=Phase(phase), text=text, reply=reply
                ),
                status=Status(status),
                next_attempt_at=due,
            )

    def came_back(self, campaign: CampaignRecord | None = None) -> Iterator[Arrival]:
        """What came back to a campaign, or to all, the newest first."""
        query = (
            "SELECT e.at, e.kind, e.class, e.text, d.row, d.name, d.address, c.name FROM events e"
            " LEFT JOIN deliveries d ON d.id = e.delivery_id LEFT JOIN campaigns c ON c.id = e.campaign_id"
            f"{' WHERE e.campaign_id = ?' if campaign else ''} ORDER BY e.at DESC, e.id DESC"
        )
        for at, kind, bounce, text, row, name, address, of in self._each(query, *([campaign.id] if campaign else [])):
            yield Arrival(
                at=at,
                kind=EventKind(kind),
                bounce=BounceClass(bounce) if bounce else None,
                text=text,
                person=Person(row=row, name=name, address=address or "") if row is not None else None,
                campaign=of or "",
            )

    def newest(self, campaign: CampaignRecord) -> tuple[int, ...]:
        """Numbers that change whenever one of the three has something new about a campaign."""
        diary = "SELECT coalesce(max(id), 0) FROM diary WHERE campaign_id = ?1"
        events = "SELECT coalesce(max(id), 0) FROM events WHERE campaign_id = ?1"
        troubles = f"SELECT count(*) FROM attempts a WHERE {IN_TROUBLE}"
        return self._one(f"SELECT ({diary}), ({events}), ({troubles})", campaign.id)

    def newest_arrival(self) -> int:
        """A number that grows with whatever comes back."""
        return int(self._one("SELECT coalesce(max(id), 0) FROM events")[0])

    def used(self, account: str, quota: Quota, now: float) -> tuple[int, float | None]:
        """How much of an account's quota is used, and if it is all, from when on (Unix time) there is some again."""
        since = now - quota.seconds
        used = int(self._one("SELECT count(*) FROM attempts WHERE account = ? AND finished_at > ?", account, since)[0])
        if used < quota.count:
            return used, None
        query = "SELECT finished_at FROM attempts WHERE account = ? AND finished_at > ? ORDER BY finished_at DESC LIMIT 1 OFFSET ?"
        return used, float(self._one(query, account, since, quota.count - 1)[0]) + quota.seconds

    def account_of(self, campaign: CampaignRecord) -> str:
        """Over which account the campaign was sent last; empty if it was never sent."""
        return str(self._one("SELECT coalesce(wire_account, '') FROM campaigns WHERE id = ?", campaign.id)[0])
