"""Campaigns: the one transaction that freezes and enqueues, and what a campaign was frozen with."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import NamedTuple

from mailer.errors import CampaignError
from mailer.ledger.boot import has_passed, this_start
from mailer.ledger.database import Filling
from mailer.ledger.diary import note
from mailer.ledger.leaving import COUNTED_ALREADY, LEAVE, UNLIST
from mailer.ledger.memory import BEGUN, PREPARED
from mailer.ledger.store import Store, manifest_from, moment
from mailer.model import CampaignRecord, Contact, Happening, Manifest, PackedContact, Status, said
from mailer.suppression import list_name

LISTED = 10

encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Row(NamedTuple):
    """One contact on its way into the ledger, with what was decided about it before sending."""

    contact: Contact | PackedContact
    message_id: str
    status: Status = Status.QUEUED
    reason: str = ""
    digest: int = 0
    usable_address: bool = True
    zone: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Everything that a campaign is frozen with. `content` gives the bytes of a path in the manifest.

    `and_then` is called with the campaign's id at the end of the same transaction. `hours` and `zone` are those of a CampaignRecord.
    """

    campaign: str
    manifest: Manifest
    rows: Iterable[Row]
    content: Callable[[str], bytes]
    and_then: Callable[[int], None] = lambda _: None
    hours: str = ""
    zone: str | None = None

    @property
    def list_key(self) -> str:
        """What its list is called where somebody is suppressed for one list alone."""
        return list_name(self.manifest.list_name)


class Campaigns(Store):
    """The campaigns of a ledger."""

    def campaign(self, name: str) -> CampaignRecord | None:
        """The campaign of this name, as frozen by its newest revision."""
        return next(self._campaigns("WHERE c.name = ?", name), None)

    def campaigns(self) -> list[CampaignRecord]:
        """All campaigns, the newest first."""
        return list(self._campaigns("ORDER BY c.started_at DESC, c.id DESC"))

    def manifest(self, campaign: CampaignRecord, revision: int) -> Manifest:
        """What an earlier revision was frozen with."""
        query = "SELECT manifest FROM revisions WHERE campaign_id = ? AND number = ?"
        return manifest_from(self._one(query, campaign.id, revision)[0])

    def find(self, name: str) -> CampaignRecord:
        """The campaign of this name. Raises CampaignError, naming those that exist; or if it was moved to another ledger."""
        if found := self.campaign(name):
            self.refuse_moved(name)
            return found
        raise CampaignError(
            said("There is no campaign {name!r} in the ledger {place}.", name=name, place=self.place),
            hint=self._those_here(name),
        )

    def alike(self, name: str) -> str | None:
        """The name of a campaign that differs from this one in nothing that a reader sees, but for capital letters."""
        return next((one.name for one in self.campaigns() if _folded(one.name) == _folded(name)), None)

    def _those_here(self, name: str) -> str:
        if meant := self.alike(name):
            return said("did you mean {name}?", name=meant)
        known = [record.name for record in self.campaigns()]
        if not known:
            return said("no campaign has been started here yet")
        if len(known) > LISTED:
            return said(
                "the newest campaigns here: {known}; all of them: mailer status", known=", ".join(known[:LISTED])
            )
        return said("campaigns here: {known}", known=", ".join(known))

    def _campaigns(self, clause: str, *values: object) -> Iterator[CampaignRecord]:
        columns = (
            "c.id, c.name, c.revision, r.manifest, c.started_at, c.finished_at, c.owner, c.held_after, c.hours, c.zone"
        )
        join = "JOIN revisions r ON r.campaign_id = c.id AND r.number = c.revision"
        for row in self._all(f"SELECT {columns} FROM campaigns c {join} {clause}", *values):
            yield CampaignRecord(
                id=row[0],
                name=row[1],
                revision=row[2],
                manifest=manifest_from(row[3]),
                started_at=moment(row[4]),
                finished_at=moment(row[5]) if row[5] is not None else None,
                owner=row[6],
                held_after=row[7],
                hours=row[8],
                zone=row[9],
            )

    def start(self, start: Start) -> CampaignRecord:
        """Freeze a campaign and enqueue its deliveries, all in one transaction; repeating it changes nothing.

        A campaign of which nothing was ever tried is frozen anew: its owner is still correcting it.
        """
        with self._large_transaction():
            existing = self.campaign(start.campaign)
            if existing and self.tried(existing):
                return existing
            if existing:
                self._forget(existing)
            now = time.time()
            adding = "INSERT INTO campaigns (name, started_at, list, hours, zone) VALUES (?, ?, ?, ?, ?) RETURNING id"
            values = (start.campaign, now, start.list_key, start.hours, start.zone)
            [campaign_id] = self._db.execute(adding, values).fetchone()
            self._begin_prepared(start.campaign)
            self._add_revision(campaign_id, 1, start, now)
            self._enqueue(campaign_id, 1, start.rows, now)
            # who was suppressed since the rows were screened
            self._db.execute(LEAVE, (now,))
            start.and_then(campaign_id)
        return self.find(start.campaign)

    def revise(self, campaign: CampaignRecord, start: Start) -> CampaignRecord:
        """Continue the unsent rest with a changed letter or list (--update), as a new revision.

        Who was not reached takes the new details, new addresses are added, addresses that left the list are skipped.
        Who failed stays so, and who is in doubt keeps the message in doubt: both are told of by name.
        """
        number = campaign.revision + 1
        with self._large_transaction():
            now = time.time()
            # Rows without a usable address have no key to be recognised by: those of the new list replace them. Who was erased is in no row.
            self._db.execute("DELETE FROM deliveries WHERE campaign_id = ? AND key IS NULL AND row > 0", (campaign.id,))
            self._add_revision(campaign.id, number, start, now)
            listed: list[str] = []
            newest = self._one("SELECT coalesce(max(id), 0) FROM deliveries")[0]
            self._enqueue(campaign.id, number, _noting(start.rows, listed), now)
            self._db.executemany(
                "UPDATE deliveries SET listed_in = ? WHERE campaign_id = ? AND key = ?",
                ((number, campaign.id, key) for key in listed),
            )
            self._db.execute(
                "UPDATE campaigns SET revision = ?, list = ?, hours = ?, zone = ?, finished_at = NULL WHERE id = ?",
                (number, start.list_key, start.hours, start.zone, campaign.id),
            )
            self._db.execute(COUNTED_ALREADY, (campaign.id, newest))
            self._db.execute(LEAVE, (now,))
            self._db.execute(UNLIST, (now,))
            self._begin_prepared(campaign.name)
            note(self._db, campaign.id, Happening.REVISED, number=number)
            start.and_then(campaign.id)
        return self.find(campaign.name)

    def _begin_prepared(self, campaign: str) -> None:
        """It is no longer among those that have not begun. Call within a transaction."""
        kept = self._all("SELECT value FROM meta WHERE key = ?", PREPARED + campaign)
        if kept:
            self._db.execute("DELETE FROM meta WHERE key IN (?, ?)", (PREPARED + campaign, BEGUN + campaign))
            self._db.execute("INSERT INTO meta VALUES (?, ?)", (BEGUN + campaign, bytes(kept[0][0])))

    def _forget(self, campaign: CampaignRecord) -> None:
        # the relay may have counted attempts that it refused for our sake: they stay on the account's record
        self._db.execute(
            "UPDATE attempts SET delivery_id = NULL WHERE delivery_id IN"
            " (SELECT id FROM deliveries WHERE campaign_id = ?)",
            (campaign.id,),
        )
        for table, column in (
            ("deliveries", "campaign_id"),
            ("diary", "campaign_id"),
            ("revisions", "campaign_id"),
            ("campaigns", "id"),
        ):
            self._db.execute(f"DELETE FROM {table} WHERE {column} = ?", (campaign.id,))

    def _add_revision(self, campaign_id: int, number: int, start: Start, now: float) -> None:
        manifest = json.dumps(asdict(start.manifest), ensure_ascii=False, sort_keys=True)
        self._db.execute("INSERT INTO revisions VALUES (?, ?, ?, ?)", (campaign_id, number, now, manifest))
        for path, digest in {**start.manifest.letter, **start.manifest.attachments}.items():
            if not self._db.execute("SELECT 1 FROM blobs WHERE digest = ?", (digest,)).fetchone():
                self._db.execute("INSERT INTO blobs VALUES (?, ?)", (digest, start.content(path)))

    def _enqueue(self, campaign_id: int, revision: int, rows: Iterable[Row], now: float) -> None:
        otherwise = (
            "ON CONFLICT (campaign_id, key) DO UPDATE SET revision = excluded.revision, row = excluded.row,"
            " address = excluded.address, name = excluded.name, language = excluded.language,"
            " fields = excluded.fields, message_id = excluded.message_id, digest = excluded.digest,"
            # what was known of where somebody lives stays so, as when the column was not named this time
            " zone = coalesce(excluded.zone, deliveries.zone),"
            # who was put off is not tried sooner for a new letter
            " status = CASE WHEN deliveries.status = 'deferred' AND excluded.status = 'queued' THEN 'deferred'"
            # who failed is tried again when a person says so (mailer retry), and then with the new letter
            " WHEN deliveries.status = 'failed' THEN 'failed' ELSE excluded.status END,"
            " reason = CASE WHEN deliveries.status = 'failed' THEN deliveries.reason ELSE excluded.reason END,"
            " updated_at = excluded.updated_at WHERE deliveries.status IN ('queued', 'deferred', 'skipped', 'failed')"
        )
        same = {"campaign_id": campaign_id, "revision": revision, "listed_in": revision, "updated_at": now}
        self._db.fill(Filling("deliveries", same, COLUMNS, otherwise), map(_values, rows))

    def tried(self, campaign: CampaignRecord) -> bool:
        """Whether any message of the campaign was ever tried, so that what it was frozen with must stand."""
        some = "SELECT 1 FROM deliveries WHERE campaign_id = ? AND status IN"
        reached = f"{some} ('sending', 'sent', 'deferred', 'failed', 'uncertain') LIMIT 1"
        # only where there is no such one, those who came back into the queue are looked for
        returned = f"{some} ('queued', 'suppressed', 'skipped') AND first_attempt_at IS NOT NULL LIMIT 1"
        return bool(self._all(reached, campaign.id) or self._all(returned, campaign.id))

    def finish(self, campaign: CampaignRecord) -> None:
        """Note the time at which nothing was left to try."""
        self._run("UPDATE campaigns SET finished_at = coalesce(finished_at, ?) WHERE id = ?", time.time(), campaign.id)

    def set_hours(self, campaign: CampaignRecord, hours: str, zone: str | None) -> None:
        """Have its messages leave within other hours from now on, and who has no time zone of their own count to this one."""
        self._run("UPDATE campaigns SET hours = ?, zone = ? WHERE id = ?", hours, zone, campaign.id)

    def hold(self, campaign: CampaignRecord, after: int) -> None:
        """Note that the campaign was held once, to be looked at, after this many attempts."""
        with self._transaction():
            self._db.execute("UPDATE campaigns SET held_after = ? WHERE id = ?", (after, campaign.id))
            note(self._db, campaign.id, Happening.HELD, number=after)

    def owner(self, name: str) -> str | None:
        """Who sends the campaign, in words."""
        row = self._all("SELECT owner FROM campaigns WHERE name = ?", name)
        return row[0][0] if row else None

    def set_owner(self, campaign: CampaignRecord, owner: str | None) -> None:
        """Say who sends, for a second starter to read, and on which start of the computer."""
        self._run("UPDATE campaigns SET owner = ?, boot = ? WHERE id = ?", owner, owner and this_start(), campaign.id)

    def ask_to_pause(self, name: str) -> None:
        """Ask whoever sends the campaign, in another program, to pause as at Ctrl-C."""
        self._run("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", f"pause:{name}", b"\x01")

    def asked_to_pause(self, name: str) -> bool:
        return bool(self._all("SELECT 1 FROM meta WHERE key = ?", f"pause:{name}"))

    def forget_to_pause(self, name: str) -> None:
        self._run("DELETE FROM meta WHERE key = ?", f"pause:{name}")

    def note_lines(self, campaign: CampaignRecord, account: str, lines: int) -> None:
        """Say over how many connections it is being sent, 0 at a tidy end: what a dead sender may have begun is counted."""
        query = "UPDATE campaigns SET wire_account = ?, wire_lines = ? WHERE id = ?"
        self._run(query, account, lines, campaign.id)

    def went_down(self, campaign: CampaignRecord) -> bool:
        """Whether this computer was started anew since the campaign's last sender, who did not end by itself."""
        owner, boot = self._one("SELECT owner, boot FROM campaigns WHERE id = ?", campaign.id)
        return bool(owner and boot and has_passed(boot))

    def mark_moved(self, name: str | None) -> None:
        """Note that a campaign, or everything, goes on in another ledger: from here nothing of it is sent any more."""
        key = "moved" if name is None else f"moved:{name}"
        self._run("INSERT INTO meta VALUES (?, ?) ON CONFLICT DO NOTHING", key, b"\x01")

    def moved(self) -> set[int]:
        """The campaigns here, by their ids, that go on in another ledger."""
        return set(self._moved())

    def moved_names(self) -> list[str]:
        """The same by their names: they do not hear of whoever is suppressed or erased here."""
        return list(self._moved().values())

    def _moved(self) -> dict[int, str]:
        query = (
            "SELECT c.id, c.name FROM campaigns c JOIN meta m ON m.key IN ('moved', 'moved:' || c.name) ORDER BY c.id"
        )
        return dict(self._all(query))

    def refuse_moved(self, name: str | None = None) -> None:
        """Raises CampaignError if the campaign, or everything, goes on in another ledger."""
        for key in self._all("SELECT key FROM meta WHERE key IN ('moved', ?)", f"moved:{name}"):
            raise CampaignError(
                "Everything in this ledger was moved to PostgreSQL, and goes on there. Nothing was sent from here."
                if key == ("moved",)
                else said(
                    "Campaign {name!r} was moved to PostgreSQL, and goes on there. Nothing was sent from here.",
                    name=name,
                ),
                hint="set MAILER_LEDGER to that database; was the move interrupted? then run it again: mailer ledger copy",
            )

    def blob(self, digest: str) -> bytes:
        """A frozen file's content. Raises KeyError."""
        rows = self._all("SELECT content FROM blobs WHERE digest = ?", digest)
        if not rows:
            raise KeyError(digest)
        return bytes(rows[0][0])


COLUMNS = ("address", "key", "row", "name", "language", "fields", "message_id", "status", "reason", "digest", "zone")
"""As `_values` gives them."""

VALUES = {status: status.value for status in Status}
"""Plain texts: SQLite's module looks longer at an enum."""


def _values(row: Row) -> tuple[object, ...]:
    contact, message_id, status, reason, digest, usable, zone = row
    if not isinstance(contact, PackedContact):
        contact = PackedContact(
            contact.address, contact.key, contact.row, contact.name, contact.language, encoded(contact.fields)
        )
    if not usable:
        contact = contact._replace(key=None)  # type: ignore[arg-type]  # as the table has it; nobody mails such a row
    return (*contact, message_id, VALUES[status], reason, digest, zone)


def _noting(rows: Iterable[Row], listed: list[str]) -> Iterator[Row]:
    """The same rows, with their keys noted."""
    for row in rows:
        if row.usable_address:
            listed.append(row.contact.key)
        yield row


def _folded(name: str) -> str:
    """A name without what nobody tells apart by eye: blanks around and between, capitals, the two forms of an umlaut."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
