"""Deliveries and attempts: who is due, where everybody stands, and what a person decides."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from mailer.ledger import handed
from mailer.ledger.attempts import write_record
from mailer.ledger.diary import note
from mailer.ledger.entries import Record
from mailer.ledger.leaving import IS_SUPPRESSED, IS_UNLISTED, LEAVE, UNLIST
from mailer.ledger.store import ALL, Store, moment
from mailer.model import (
    CampaignRecord,
    Contact,
    Delivery,
    DeliveryRecord,
    Happening,
    RelayFigures,
    Status,
    Tally,
)

MOST = 36_000.0
"""Seconds: beyond the longest pause between two tries (mailer.retry.DELAYS). A later time was written by a wrong clock."""

# said in this order, SQLite finds them by the index of statuses
DUE = "status IN ('queued', 'deferred') AND (status = 'queued' OR next_attempt_at <= ? OR next_attempt_at > ?)"

DELIVERY = (
    # in the order of Delivery
    "SELECT id, row, coalesce(address, ''), coalesce(key, ''), name, language, fields, message_id, status, attempts, revision,"
    " next_attempt_at, first_attempt_at, digest FROM deliveries"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """How many deliveries a person's decision moved, and how many it could not: suppressed, or no longer in the list."""

    moved: int
    suppressed: int = 0
    unlisted: int = 0


class Deliveries(Store):
    """The deliveries of a ledger's campaigns. Outcomes are written by `Writer`, not here."""

    def tally(self, campaign: CampaignRecord) -> Tally:
        """Counts per status."""
        query = "SELECT status, count(*) FROM deliveries WHERE campaign_id = ? GROUP BY status"
        return Tally(**dict(self._all(query, campaign.id)))

    def tallies(self) -> dict[int, Tally]:
        """The same for all campaigns at once, by their ids; a campaign without deliveries is not there."""
        # by the index (campaign_id, status), as long as campaigns are asked for
        query = (
            "SELECT campaign_id, status, count(*) FROM deliveries WHERE campaign_id IN (SELECT id FROM campaigns)"
            " GROUP BY campaign_id, status"
        )
        counts: dict[int, dict[str, int]] = {}
        for campaign, status, number in self._all(query):
            counts.setdefault(campaign, {})[status] = number
        return {campaign: Tally(**found) for campaign, found in counts.items()}

    def due(self, campaign: CampaignRecord, now: float, zones: Collection[str | None] | None = None) -> list[int]:
        """Ids of the deliveries that may be tried now, in the list's order; with `zones`, of people in these.

        Those that were tried and kept their place come last: what a server holds against one of them must not keep it from
        the others.
        """
        named = [zone for zone in zones or () if zone is not None]
        there = ""
        if zones is not None:
            known = f"zone IN ({', '.join('?' * len(named))})" if named else "FALSE"
            there = f"AND ({known} OR zone IS NULL)" if None in zones else f"AND {known}"
        query = f"SELECT id, reason <> '' FROM deliveries WHERE campaign_id = ? AND {DUE} {there} ORDER BY id"
        rows = self._all(query, campaign.id, now, now + MOST, *named)
        return [number for number, tried in rows if not tried] + [number for number, tried in rows if tried]

    def count_due(self, campaign: CampaignRecord, now: float) -> int:
        """How many may be tried now."""
        query = f"SELECT count(*) FROM deliveries WHERE campaign_id = ? AND {DUE}"
        return int(self._one(query, campaign.id, now, now + MOST)[0])

    def settled_keys(self, campaign: CampaignRecord) -> set[str]:
        """The addresses that the campaign holds, but for skipped rows, which a mended list may bring back."""
        query = "SELECT key FROM deliveries WHERE campaign_id = ? AND key IS NOT NULL AND status <> 'skipped'"
        return {row[0] for row in self._each(query, campaign.id)}

    def open_keys(self, campaign: CampaignRecord, due: float | None = None) -> list[str]:
        """The addresses that are still to be mailed; with `due`, those that may be tried at that time."""
        if due is None:
            query = "SELECT key FROM deliveries WHERE campaign_id = ? AND +key IS NOT NULL AND status IN ('queued', 'deferred')"
            return [row[0] for row in self._all(query, campaign.id)]
        # +: by the index of statuses, not by that of keys, in which everybody stands
        query = f"SELECT key FROM deliveries WHERE campaign_id = ? AND +key IS NOT NULL AND {DUE}"
        return [row[0] for row in self._all(query, campaign.id, due, due + MOST)]

    def reached(self, campaign: CampaignRecord) -> set[str]:
        """The addresses that have, or may have, got the campaign's message."""
        query = "SELECT key FROM deliveries WHERE campaign_id = ? AND +key IS NOT NULL AND status IN ('sent', 'uncertain', 'sending')"
        return {row[0] for row in self._all(query, campaign.id)}

    def attempted(self, campaign: CampaignRecord) -> int:
        """How many of the campaign's deliveries were ever tried."""
        query = "SELECT count(*) FROM deliveries WHERE campaign_id = ? AND first_attempt_at IS NOT NULL"
        return int(self._one(query, campaign.id)[0])

    def deliveries(self, ids: Collection[int]) -> list[Delivery]:
        """Deliveries by id, in the order of the ids; those that are gone are left out."""
        if not ids:
            return []
        marks = ",".join("?" * len(ids))
        found = {row[0]: row for row in self._all(f"{DELIVERY} WHERE id IN ({marks})", *ids)}
        return [Delivery._make(found[number]) for number in ids if number in found]

    def contacts(self, campaign: CampaignRecord) -> Iterator[tuple[Contact, Status]]:
        """Every contact with a usable address, as frozen, and its status."""
        for row in self._each(f"{DELIVERY} WHERE campaign_id = ? AND key IS NOT NULL ORDER BY id", campaign.id):
            delivery = Delivery._make(row)
            yield delivery.contact, delivery.status

    def listed(self, campaign: CampaignRecord) -> Iterator[tuple[Contact, bool]]:
        """Those whom the campaign's newest list has, and whether it had them as they stand here: who had their turn before kept older details."""
        query = f"{DELIVERY} WHERE campaign_id = ? AND key IS NOT NULL AND listed_in = ? ORDER BY id"
        for row in self._each(query, campaign.id, campaign.revision):
            delivery = Delivery._make(row)
            yield delivery.contact, delivery.revision == campaign.revision

    def records(
        self, campaign: CampaignRecord, status: Status | None = None, *, most: int = -1
    ) -> Iterator[DeliveryRecord]:
        """A report line per delivery, in the list's order, with the server's last words; the first so many, or all."""
        wanted = f"campaign_id = ? {'AND status = ?' if status else ''}"
        if most >= 0:
            # chosen first, so that words are looked up only for those who are wanted
            wanted = f"id IN (SELECT id FROM deliveries WHERE {wanted} ORDER BY row, id LIMIT ?)"
        query = (
            "SELECT d.row, d.address, d.key, d.name, d.language, d.status, d.reason, d.attempts, d.updated_at,"
            " d.next_attempt_at, d.message_id, (SELECT a.text FROM attempts a WHERE a.delivery_id = d.id"
            " AND a.text IS NOT NULL ORDER BY a.id DESC LIMIT 1), (SELECT a.account FROM attempts a"
            " WHERE a.delivery_id = d.id ORDER BY a.id DESC LIMIT 1), (SELECT group_concat(DISTINCT trim(e.kind || ' ' ||"
            " e.status)) FROM events e WHERE e.delivery_id = d.id) FROM deliveries d"
            f" WHERE {wanted} ORDER BY d.row, d.id"
        )
        for row in self._each(query, campaign.id, *([status] if status else []), *([most] if most >= 0 else [])):
            yield DeliveryRecord(
                # whoever was erased is in no row any more
                row=row[0] or None,
                address=row[1] or "",
                name=row[3],
                domain=(row[2] or "").rpartition("@")[2],
                language=row[4],
                status=Status(row[5]),
                reason=row[6],
                attempts=row[7],
                updated_at=moment(row[8]),
                next_attempt_at=moment(row[9]) if row[9] is not None else None,
                message_id=row[10],
                server_words=row[11] or "",
                server=(row[12] or "").rpartition("@")[2],
                came_back=tuple(sorted(row[13].split(","))) if row[13] else (),
            )

    def mark_interrupted(self, campaign: CampaignRecord, *, what: str = "the program") -> int:
        """Turn what a dead sender left in the middle of a transaction into uncertain. Call only under the lock.

        `what` ended: the program, or the computer under it.

        Their attempts end now at the latest, or they would take up the account's quota for ever.
        """
        now = time.time()
        with self._transaction():
            self._db.execute(
                "UPDATE attempts SET finished_at = ? WHERE finished_at IS NULL AND delivery_id IN"
                " (SELECT id FROM deliveries WHERE campaign_id = ? AND status = 'sending')",
                (now, campaign.id),
            )
            self._charge(campaign, now)
            marked = self._db.execute(
                "UPDATE deliveries SET status = 'uncertain', updated_at = ?, reason = ?"
                " WHERE campaign_id = ? AND status = 'sending'",
                (now, f"{what} ended between the message and the server's answer", campaign.id),
            ).rowcount
            if marked:
                note(self._db, campaign.id, Happening.INTERRUPTED, number=marked, text=what)
            return marked

    def _charge(self, campaign: CampaignRecord, now: float) -> None:
        """Count what a dead sender may have begun without an intent: to no domain that is known, so towards all of them.

        One a connection, beside the attempt that is still open there: its outcome waits for the intent of the next.
        """
        query = "SELECT wire_account, wire_lines FROM campaigns WHERE id = ?"
        account, lines = self._db.execute(query, (campaign.id,)).fetchone()
        self._db.executemany(
            "INSERT INTO attempts (account, domain, started_at, finished_at) VALUES (?, '', ?, ?)",
            [(account, now, now)] * lines,
        )
        self._db.execute("UPDATE campaigns SET wire_lines = 0 WHERE id = ?", (campaign.id,))

    def write_late(self, records: Iterable[Record]) -> None:
        """Record what a sender knows that lost the ledger, unless somebody has decided meanwhile. Repeating it changes nothing."""
        with self._transaction():
            for record in records:
                write_record(self._db, record)

    def resolve(
        self, campaign: CampaignRecord, status: Status, keys: Collection[str] | None, *, by: str = "decided by hand"
    ) -> Moved:
        """Write a decision on uncertain deliveries, all of them if `keys` is None; `by` says on what it rests."""
        reason = f"{by}: it arrived" if status is Status.SENT else f"{by}: send it again"
        return self._move(campaign, Status.UNCERTAIN, status, reason, keys)

    def requeue_failed(self, campaign: CampaignRecord) -> Moved:
        """Queue failed deliveries again, with a fresh schedule of retries, and those who are no longer suppressed.

        Who may not be mailed stays failed: nobody's failure turns into silence.
        """
        now = time.time()
        with self._transaction():
            count = "SELECT count(*) FROM deliveries WHERE campaign_id = ? AND status = 'failed' AND key IS NOT NULL"
            suppressed = self._db.execute(f"{count} AND {IS_SUPPRESSED}", (campaign.id,)).fetchone()[0]
            unlisted = self._db.execute(
                f"{count} AND NOT {IS_SUPPRESSED} AND {IS_UNLISTED}", (campaign.id,)
            ).fetchone()[0]
            moved = self._db.execute(
                "UPDATE deliveries SET status = 'queued', reason = 'queued again by hand', token = NULL, updated_at = ?,"
                " next_attempt_at = NULL, attempts = 0, first_attempt_at = ? WHERE campaign_id = ?"
                # who was erased has no key, and is in no list of those who may not be mailed
                f" AND status IN ('failed', 'suppressed') AND key IS NOT NULL AND NOT {IS_SUPPRESSED} AND NOT {IS_UNLISTED}",
                (now, now, campaign.id),
            ).rowcount
            if moved:
                self._db.execute("UPDATE campaigns SET finished_at = NULL WHERE id = ?", (campaign.id,))
                note(self._db, campaign.id, Happening.QUEUED_AGAIN, number=moved)
        return Moved(moved=moved, suppressed=suppressed, unlisted=unlisted)

    def _move(
        self, campaign: CampaignRecord, before: Status, after: Status, reason: str, keys: Collection[str] | None
    ) -> Moved:
        moved, now = 0, time.time()
        with self._transaction():
            for key in [None] if keys is None else keys:
                moved += self._db.execute(
                    "UPDATE deliveries SET status = ?, reason = ?, token = NULL, updated_at = ?, next_attempt_at = NULL,"
                    " attempts = CASE WHEN ? = 'queued' THEN 0 ELSE attempts END,"
                    # the four days of retries begin again
                    " first_attempt_at = CASE WHEN ? = 'queued' THEN ? ELSE first_attempt_at END"
                    " WHERE campaign_id = ? AND status = ? AND (CAST(? AS TEXT) IS NULL OR key = ?)",
                    (after, reason, now, after, after, now, campaign.id, before, key, key),
                ).rowcount
            result = Moved(moved=moved)
            if moved and after is Status.QUEUED:
                # nobody gets back into a queue who asked not to be mailed, or whose address is known to be dead
                here = (now, campaign.id)
                suppressed = self._db.execute(f"{LEAVE} AND campaign_id = ?", here).rowcount
                unlisted = self._db.execute(f"{UNLIST} AND campaign_id = ?", here).rowcount
                self._db.execute("UPDATE campaigns SET finished_at = NULL WHERE id = ?", (campaign.id,))
                result = Moved(moved=moved - suppressed - unlisted, suppressed=suppressed, unlisted=unlisted)
            if result.moved:
                note(self._db, campaign.id, Happening.DECIDED, number=result.moved, text=after)
        return result

    def handed_over(self, campaign: CampaignRecord, since: float) -> tuple[int, float | None]:
        """How many of a campaign's messages were tried since a time, and when the first of them, to tell its pace."""
        query = (
            "SELECT count(*), min(a.started_at) FROM attempts a JOIN deliveries d ON d.id = a.delivery_id"
            " WHERE d.campaign_id = ? AND a.finished_at > ?"
        )
        count, first = self._one(query, campaign.id, since)
        return count, first

    def has_accounts(self) -> bool:
        """Whether messages were handed to more than one account, in any campaign. An index knows."""
        first, last = self._one("SELECT (SELECT min(account) FROM attempts), (SELECT max(account) FROM attempts)")
        return bool(first != last)

    def by_relay(self, campaign: CampaignRecord, since: float) -> list[RelayFigures]:
        """What a campaign handed to each account, in all and since a time. It looks at every attempt."""
        query = (
            "SELECT a.account, sum(CASE WHEN a.verdict = 'sent' THEN 1 ELSE 0 END),"
            " sum(CASE WHEN a.finished_at > ?1 THEN 1 ELSE 0 END), min(CASE WHEN a.finished_at > ?1 THEN a.started_at END)"
            " FROM attempts a JOIN deliveries d ON d.id = a.delivery_id WHERE d.campaign_id = ?2 GROUP BY a.account ORDER BY 1"
        )
        return [
            RelayFigures(account=account, sent=int(sent), recent=int(recent), first=first)
            for account, sent, recent, first in self._all(query, since, campaign.id)
        ]

    def transactions(self, account: str, since: float, newest: int = ALL) -> list[tuple[float, str]]:
        """When messages were last handed to this account, the `newest` so many, and for which domain: what its quotas count.

        An attempt without an answer counts as ending now, since nobody knows when the server saw it. No domain (''): some
        message that a dead sender may have begun, nobody knows to whom.
        """
        with self._db.plain_errors():
            return [*self._under_way(account), *handed.ended(self._db, account, since, newest)]

    def transactions_to_domains(self, since: float, newest: int = ALL) -> list[tuple[float, str]]:
        """The same for every domain, over whatever account: the `newest` so many to each, which a domain's quotas count."""
        found: list[tuple[float, str]] = []
        with self._db.plain_errors():
            for account in handed.accounts(self._db):
                found += self._under_way(account)
                found += handed.ended_by_domain(self._db, account, since, newest)
        return found

    def _under_way(self, account: str) -> list[tuple[float, str]]:
        return [(time.time(), domain) for domain in handed.under_way(self._db, account)]
