"""What the commands ask of the ledger, and the one transaction that starts a campaign."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from mailer.errors import CampaignError
from mailer.ledger.connection import connect, plain_errors
from mailer.model import (
    CampaignRecord,
    Contact,
    Delivery,
    DeliveryRecord,
    FieldValue,
    Manifest,
    Status,
    Tally,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One contact on its way into the ledger, with what was decided about it before sending."""

    contact: Contact
    message_id: str
    status: Status = Status.QUEUED
    reason: str = ""
    usable_address: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Everything that a campaign is frozen with. `content` gives the bytes of a path in the manifest."""

    campaign: str
    manifest: Manifest
    rows: Iterable[Row]
    content: Callable[[str], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What an earlier preview vouched for. `digests` maps a contact's key to a digest of its details."""

    manifest: Manifest
    made_at: datetime
    digests: Mapping[str, str] = field(default_factory=dict)


class Ledger:
    """One SQLite file. Reads and single decisions happen here; outcomes go through `Writer`."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self.path = path
        self._db = connect(path, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._db.close()

    @property
    def secret(self) -> bytes:
        """Random bytes of this ledger: with them Message-IDs are stable, and tell nobody the address."""
        return bytes(self._one("SELECT value FROM meta WHERE key = 'secret'")[0])

    # -- campaigns

    def campaign(self, name: str) -> CampaignRecord | None:
        """The campaign of this name, as frozen by its newest revision."""
        return next(self._campaigns("WHERE c.name = ?", name), None)

    def campaigns(self) -> list[CampaignRecord]:
        """All campaigns, the newest first."""
        return list(self._campaigns("ORDER BY c.started_at DESC, c.id DESC"))

    def manifest(self, campaign: CampaignRecord, revision: int) -> Manifest:
        """What an earlier revision was frozen with."""
        query = "SELECT manifest FROM revisions WHERE campaign_id = ? AND number = ?"
        return Manifest(**json.loads(self._one(query, campaign.id, revision)[0]))

    def find(self, name: str) -> CampaignRecord:
        """The campaign of this name. Raises CampaignError, naming those that exist."""
        if found := self.campaign(name):
            return found
        known = [record.name for record in self.campaigns()]
        raise CampaignError(
            f"There is no campaign {name!r} in {self.path}.",
            hint=f"campaigns here: {', '.join(known[:10])}" if known else "no campaign has been started here yet",
        )

    def _campaigns(self, clause: str, *values: object) -> Iterator[CampaignRecord]:
        columns = "c.id, c.name, c.revision, r.manifest, c.started_at, c.finished_at, c.owner, c.held_after"
        join = "JOIN revisions r ON r.campaign_id = c.id AND r.number = c.revision"
        for row in self._all(f"SELECT {columns} FROM campaigns c {join} {clause}", *values):
            yield CampaignRecord(
                id=row[0],
                name=row[1],
                revision=row[2],
                manifest=Manifest(**json.loads(row[3])),
                started_at=_moment(row[4]),
                finished_at=_moment(row[5]) if row[5] is not None else None,
                owner=row[6],
                held_after=row[7],
            )

    def start(self, start: Start) -> CampaignRecord:
        """Freeze a campaign and enqueue its deliveries, all in one transaction; repeating it changes nothing.

        A campaign of which nothing was ever tried is frozen anew: its owner is still correcting it.
        """
        with self._transaction():
            existing = self.campaign(start.campaign)
            if existing and self.tried(existing):
                return existing
            if existing:
                self._forget(existing)
            now = time.time()
            cursor = self._db.execute("INSERT INTO campaigns (name, started_at) VALUES (?, ?)", (start.campaign, now))
            campaign_id = cursor.lastrowid or 0
            self._add_revision(campaign_id, 1, start, now)
            self._enqueue(campaign_id, 1, start.rows, now)
        return self.find(start.campaign)

    def revise(self, campaign: CampaignRecord, start: Start) -> CampaignRecord:
        """Continue the unsent rest with a changed letter or list (--update), as a new revision.

        Untried deliveries take the new details, new addresses are added, addresses that left the list are skipped.
        """
        number = campaign.revision + 1
        with self._transaction():
            now = time.time()
            # rows without a usable address have no key to be recognised by: those of the new list replace them
            self._db.execute("DELETE FROM deliveries WHERE campaign_id = ? AND key IS NULL", (campaign.id,))
            self._add_revision(campaign.id, number, start, now)
            self._enqueue(campaign.id, number, start.rows, now)
            self._db.execute(
                "UPDATE deliveries SET status = 'skipped', reason = 'no longer in the list', updated_at = ?"
                " WHERE campaign_id = ? AND revision < ? AND status IN ('queued', 'deferred')",
                (now, campaign.id, number),
            )
            self._db.execute(
                "UPDATE campaigns SET revision = ?, finished_at = NULL WHERE id = ?", (number, campaign.id)
            )
        return self.find(campaign.name)

    def _forget(self, campaign: CampaignRecord) -> None:
        for table, column in (("deliveries", "campaign_id"), ("revisions", "campaign_id"), ("campaigns", "id")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (campaign.id,))

    def _add_revision(self, campaign_id: int, number: int, start: Start, now: float) -> None:
        manifest = json.dumps(asdict(start.manifest), ensure_ascii=False, sort_keys=True)
        self._db.execute("INSERT INTO revisions VALUES (?, ?, ?, ?)", (campaign_id, number, now, manifest))
        for path, digest in {**start.manifest.letter, **start.manifest.attachments}.items():
            if not self._db.execute("SELECT 1 FROM blobs WHERE digest = ?", (digest,)).fetchone():
                self._db.execute("INSERT INTO blobs VALUES (?, ?)", (digest, start.content(path)))

    def _enqueue(self, campaign_id: int, revision: int, rows: Iterable[Row], now: float) -> None:
        self._db.executemany(
            "INSERT INTO deliveries (campaign_id, revision, row, address, key, name, language, fields, message_id,"
            " status, reason, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (campaign_id, key) DO UPDATE SET revision = excluded.revision, row = excluded.row,"
            " address = excluded.address, name = excluded.name, language = excluded.language,"
            " fields = excluded.fields, status = excluded.status, reason = excluded.reason,"
            " updated_at = excluded.updated_at WHERE deliveries.status IN ('queued', 'deferred', 'skipped')",
            (
                (
                    campaign_id,
                    revision,
                    row.contact.row,
                    row.contact.address,
                    row.contact.key if row.usable_address else None,
                    row.contact.name,
                    row.contact.language,
                    json.dumps(row.contact.fields, ensure_ascii=False, separators=(",", ":")),
                    row.message_id,
                    row.status,
                    row.reason,
                    now,
                )
                for row in rows
            ),
        )

    def tried(self, campaign: CampaignRecord) -> bool:
        """Whether any message of the campaign was ever tried, so that what it was frozen with must stand."""
        return bool(
            self._all(
                "SELECT 1 FROM deliveries WHERE campaign_id = ? AND (first_attempt_at IS NOT NULL"
                " OR status NOT IN ('queued', 'suppressed', 'skipped')) LIMIT 1",
                campaign.id,
            )
        )

    def finish(self, campaign: CampaignRecord) -> None:
        """Note the time at which nothing was left to try."""
        self._run("UPDATE campaigns SET finished_at = coalesce(finished_at, ?) WHERE id = ?", time.time(), campaign.id)

    def hold(self, campaign: CampaignRecord, after: int) -> None:
        """Note that the campaign was held once, to be looked at, after this many attempts."""
        self._run("UPDATE campaigns SET held_after = ? WHERE id = ?", after, campaign.id)

    def owner(self, name: str) -> str | None:
        """Who sends the campaign, in words."""
        row = self._all("SELECT owner FROM campaigns WHERE name = ?", name)
        return row[0][0] if row else None

    def set_owner(self, campaign: CampaignRecord, owner: str | None) -> None:
        """Say who sends, for a second starter to read."""
        self._run("UPDATE campaigns SET owner = ? WHERE id = ?", owner, campaign.id)

    def blob(self, digest: str) -> bytes:
        """A frozen file's content. Raises KeyError."""
        rows = self._all("SELECT content FROM blobs WHERE digest = ?", digest)
        if not rows:
            raise KeyError(digest)
        return bytes(rows[0][0])

    # -- deliveries

    def tally(self, campaign: CampaignRecord) -> Tally:
        """Counts per status."""
        query = "SELECT status, count(*) FROM deliveries WHERE campaign_id = ? GROUP BY status"
        return Tally(**dict(self._all(query, campaign.id)))

    def due(self, campaign: CampaignRecord, now: float) -> list[int]:
        """Ids of the deliveries that may be tried now, in the list's order."""
        rows = self._all(
            "SELECT id FROM deliveries WHERE campaign_id = ? AND (status = 'queued' OR"
            " (status = 'deferred' AND next_attempt_at <= ?)) ORDER BY id",
            campaign.id,
            now,
        )
        return [row[0] for row in rows]

    def attempted(self, campaign: CampaignRecord) -> int:
        """How many of the campaign's deliveries were ever tried."""
        query = "SELECT count(*) FROM deliveries WHERE campaign_id = ? AND first_attempt_at IS NOT NULL"
        return int(self._one(query, campaign.id)[0])

    def next_due(self, campaign: CampaignRecord) -> float | None:
        """When the earliest deferred delivery may be tried again."""
        row = self._one(
            "SELECT min(next_attempt_at) FROM deliveries WHERE campaign_id = ? AND status = 'deferred'", campaign.id
        )
        return None if row[0] is None else float(row[0])

    def deliveries(self, ids: Collection[int]) -> list[Delivery]:
        """Deliveries by id, in the order of the ids; those that are gone are left out."""
        marks = ",".join("?" * len(ids))
        rows = self._all(
            "SELECT id, row, address, key, name, language, fields, message_id, status, attempts, revision,"
            f" next_attempt_at, first_attempt_at FROM deliveries WHERE id IN ({marks})",
            *ids,
        )
        found = {row[0]: _delivery(row) for row in rows}
        return [found[number] for number in ids if number in found]

    def contacts(self, campaign: CampaignRecord) -> Iterator[tuple[Contact, Status]]:
        """Every contact with a usable address, as frozen, and its status."""
        query = (
            "SELECT id, row, address, key, name, language, fields, message_id, status, attempts, revision,"
            " next_attempt_at, first_attempt_at FROM deliveries WHERE campaign_id = ? AND key IS NOT NULL ORDER BY id"
        )
        for row in self._each(query, campaign.id):
            delivery = _delivery(row)
            yield delivery.contact, delivery.status

    def records(self, campaign: CampaignRecord, status: Status | None = None) -> Iterator[DeliveryRecord]:
        """A report line per delivery, in the list's order, with the server's last words."""
        only = "AND d.status = ?" if status else ""
        query = (
            "SELECT d.row, d.address, d.key, d.name, d.language, d.status, d.reason, d.attempts, d.updated_at,"
            " d.next_attempt_at, d.message_id, (SELECT a.text FROM attempts a WHERE a.delivery_id = d.id"
            " AND a.text IS NOT NULL ORDER BY a.id DESC LIMIT 1) FROM deliveries d"
            f" WHERE d.campaign_id = ? {only} ORDER BY d.row, d.id"
        )
        for row in self._each(query, campaign.id, *([status] if status else [])):
            yield DeliveryRecord(
                row=row[0],
                address=row[1] or "",
                name=row[3],
                domain=(row[2] or "").rpartition("@")[2],
                language=row[4],
                status=Status(row[5]),
                reason=row[6],
                attempts=row[7],
                updated_at=_moment(row[8]),
                next_attempt_at=_moment(row[9]) if row[9] is not None else None,
                message_id=row[10],
                server_words=row[11] or "",
            )

    def mark_interrupted(self, campaign: CampaignRecord) -> int:
        """Turn what a dead sender left in the middle of a transaction into uncertain. Call only under the lock."""
        return self._run(
            "UPDATE deliveries SET status = 'uncertain', updated_at = ?, reason ="
            " 'the program ended between the message and the server''s answer'"
            " WHERE campaign_id = ? AND status = 'sending'",
            time.time(),
            campaign.id,
        )

    def resolve(self, campaign: CampaignRecord, status: Status, keys: Collection[str] | None) -> int:
        """Write a person's decision on uncertain deliveries (all of them if `keys` is None); returns how many."""
        reason = "decided by hand: it arrived" if status is Status.SENT else "decided by hand: send it again"
        return self._move(campaign, Status.UNCERTAIN, status, reason, keys)

    def requeue_failed(self, campaign: CampaignRecord) -> int:
        """Queue failed deliveries again, with a fresh schedule of retries; returns how many."""
        return self._move(campaign, Status.FAILED, Status.QUEUED, "queued again by hand", None)

    def _move(
        self, campaign: CampaignRecord, before: Status, after: Status, reason: str, keys: Collection[str] | None
    ) -> int:
        moved = 0
        with self._transaction():
            for key in [None] if keys is None else keys:
                moved += self._db.execute(
                    "UPDATE deliveries SET status = ?, reason = ?, token = NULL, updated_at = ?, next_attempt_at = NULL,"
                    " attempts = CASE WHEN ? = 'queued' THEN 0 ELSE attempts END"
                    " WHERE campaign_id = ? AND status = ? AND (? IS NULL OR key = ?)",
                    (after, reason, time.time(), after, campaign.id, before, key, key),
                ).rowcount
            if moved and after is Status.QUEUED:
                self._db.execute("UPDATE campaigns SET finished_at = NULL WHERE id = ?", (campaign.id,))
        return moved

    # -- quotas

    def transactions(self, account: str, since: float) -> list[tuple[float, str]]:
        """When messages were last handed to this account, and for which domain: what quotas count.

        An attempt without an answer counts as ending now, since nobody knows when the server saw it.
        """
        return self._all(
            "SELECT coalesce(finished_at, ?), domain FROM attempts WHERE account = ?"
            " AND coalesce(finished_at, ?) > ? ORDER BY 1",
            time.time(),
            account,
            time.time(),
            since,
        )

    # -- suppressions

    def suppressions(self) -> dict[str, str]:
        """Reason per suppressed address or @domain."""
        return dict(self._all("SELECT key, reason FROM suppressions"))

    def suppression_rows(self) -> list[tuple[str, str, str, datetime]]:
        """Key, reason, source and time of each suppression, the oldest first."""
        query = "SELECT key, reason, source, created_at FROM suppressions ORDER BY created_at, key"
        return [(key, reason, source, _moment(at)) for key, reason, source, at in self._all(query)]

    def suppress(self, entries: Iterable[tuple[str, str]], *, source: str) -> int:
        """Add (key, reason) pairs; returns how many were new."""
        added = 0
        with self._transaction():
            for key, reason in entries:
                added += self._db.execute(
                    "INSERT INTO suppressions VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (key, reason, source, time.time()),
                ).rowcount
        return added

    def unsuppress(self, keys: Iterable[str]) -> int:
        """Remove suppressions; returns how many there were."""
        with self._transaction():
            return sum(self._db.execute("DELETE FROM suppressions WHERE key = ?", (key,)).rowcount for key in keys)

    # -- previews

    def keep_preview(self, manifest: Manifest, digests: Mapping[str, str]) -> None:
        """Remember what a seal vouches for."""
        packed = zlib.compress(json.dumps(dict(digests)).encode())
        self._run(
            "INSERT INTO previews VALUES (?, ?, ?, ?) ON CONFLICT (seal) DO UPDATE SET made_at = excluded.made_at",
            manifest.seal,
            time.time(),
            json.dumps(asdict(manifest), ensure_ascii=False, sort_keys=True),
            packed,
        )

    def preview(self, seal: str) -> Preview | None:
        """What was previewed under this seal, if it was on this ledger."""
        rows = self._all("SELECT manifest, made_at, digests FROM previews WHERE seal = ?", seal)
        if not rows:
            return None
        manifest, made_at, packed = rows[0]
        return Preview(
            manifest=Manifest(**json.loads(manifest)),
            made_at=_moment(made_at),
            digests=json.loads(zlib.decompress(packed)),
        )

    # -- plumbing

    def _all(self, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        with plain_errors(self.path):
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: object) -> tuple:  # type: ignore[type-arg]
        return self._all(query, *values)[0]

    def _each(self, query: str, *values: object) -> Iterator[tuple]:  # type: ignore[type-arg]
        with plain_errors(self.path):
            yield from self._db.execute(query, values)

    def _run(self, statement: str, *values: object) -> int:
        with plain_errors(self.path):
            return self._db.execute(statement, values).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, with the write lock from the beginning."""
        with plain_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _delivery(row: tuple) -> Delivery:  # type: ignore[type-arg]
    number, line, address, key, name, language, fields, message_id, status, attempts, revision, due, first = row
    merge_fields: dict[str, FieldValue] = json.loads(fields)
    return Delivery(
        id=number,
        contact=Contact(
            address=address or "", key=key or "", row=line, name=name, language=language, fields=merge_fields
        ),
        status=Status(status),
        attempts=attempts,
        revision=revision,
        message_id=message_id,
        next_attempt_at=due,
        first_attempt_at=first,
    )
