"""What the ledger keeps about a person, and how it forgets one, or everybody of a campaign that is over.

Counts stay, and who was erased is not mailed again, by a hash. Nobody is mailed twice for being forgotten: a campaign in which
nobody is known any more takes no more people.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from mailer.errors import LedgerError
from mailer.ledger.diary import note
from mailer.ledger.leaving import ADD, LEAVE_KEY
from mailer.ledger.memory import Digests
from mailer.ledger.store import Store, manifest_from, moment
from mailer.ledger.suppressions import SUPPRESSION, suppression_of
from mailer.model import (
    EVERYWHERE,
    CampaignRecord,
    Dossier,
    Erased,
    Happening,
    KeptAttempt,
    KeptDelivery,
    KeptEvent,
    Manifest,
    Mention,
    Reason,
    Suppression,
)
from mailer.suppression import normalise

LONGEST_WINDOW = 32 * 86_400.0
"""Seconds: as far back as a quota may count by an attempt's domain."""

ERASED = "erased"
"""The reason of what was erased, and the note of the suppression that stays."""

TABLES = ("deliveries", "attempts", "events", "previews", "suppressions", "blobs")

# Whoever still waited is not mailed any more; the others keep their status, so that counts stay what they were. A reason is in our words, but
# for that of a suppression, which may be anybody's, and of a row that was skipped, which names what stands in it.
_FORGET = (
    "UPDATE deliveries SET address = NULL, key = NULL, row = 0, name = '', language = NULL, zone = NULL, fields = '{}',"
    " message_id = '', digest = 0, next_attempt_at = NULL, reason = CASE WHEN status IN ('queued', 'deferred', 'suppressed', 'skipped')"
    " OR reason LIKE '%@%' THEN 'erased' ELSE reason END,"
    " status = CASE WHEN status IN ('queued', 'deferred') THEN 'suppressed' ELSE status END WHERE"
)
_FORGET_ATTEMPTS = "UPDATE attempts SET text = '' WHERE text <> '' AND"
_FORGET_EVENTS = "UPDATE events SET text = '', source = 'erased ' || CAST(id AS TEXT) WHERE"

# by the index (campaign_id, key)
_OF_KEY = "d.campaign_id IN (SELECT id FROM campaigns) AND d.key = ?"


class Personal(Store):
    """The persons of a ledger, each by the address in its normalised form."""

    def dossier(self, key: str) -> Dossier:
        """Everything that is kept about an address. Looks through all rows for those that name it in a field."""
        return Dossier(
            key=key,
            deliveries=[self._delivery(number) for number in self._numbers(key)],
            suppressions=self._suppressions_of(key),
            mentions=list(self._mentions(key)),
            previews=sum(1 for _ in self._previews_with({key})),
        )

    def undecided(self, keys: Iterable[str]) -> list[str]:
        """The campaigns in which the message to one of these is on its way, or in doubt: erased, it could not be decided about."""
        query = (
            "SELECT DISTINCT c.name FROM campaigns c JOIN deliveries d ON d.campaign_id = c.id"
            f" WHERE d.status IN ('sending', 'uncertain') AND {_OF_KEY}"
        )
        return sorted({name for key in keys for (name,) in self._all(query, key)})

    def erase(self, keys: Sequence[str], *, first: Callable[[], None] = lambda: None) -> Erased:
        """Forget these people, and never mail them again: of each only a hash stays. Repeating it changes nothing.

        `first` is called while nobody else writes; what it raises keeps everything as it is.
        """
        now = time.time()
        with self._db.erasing(), self._transaction():
            first()
            numbers: list[int] = []
            for key in keys:
                known = {
                    "entry": key,
                    "scope": EVERYWHERE,
                    "reason": Reason.MANUAL,
                    "note": ERASED,
                    "source": "by hand",
                }
                self._db.execute(ADD, {**known, "at": now})
                # so that a sender that has it in its hands gives way
                self._db.execute(LEAVE_KEY, (now, key))
                numbers += self._numbers(key)
                self._db.execute("UPDATE suppressions SET entry = NULL, note = ? WHERE entry = ?", (ERASED, key))
            rows = [(number,) for number in numbers]
            attempts = self._count("attempts", "delivery_id = ?", rows)
            events = self._count("events", "delivery_id = ?", rows)
            self._db.executemany(f"{_FORGET} id = ?", rows)
            self._db.executemany(f"{_FORGET_ATTEMPTS} delivery_id = ?", rows)
            self._db.executemany(f"{_FORGET_EVENTS} delivery_id = ?", rows)
            # a test, or a campaign that was frozen anew
            self._db.executemany(
                f"{_FORGET_ATTEMPTS} delivery_id IS NULL AND lower(text) LIKE ? ESCAPE '\\'",
                [(_containing(key),) for key in keys],
            )
            previews = 0
            for seal, digests in self._previews_with(set(keys)):
                left = Digests({key: digest for key, digest in digests.items() if key not in keys}).packed()
                self._db.execute("UPDATE previews SET digests = ? WHERE seal = ?", (left, seal))
                previews += 1
        unwiped = self._wiped()
        return Erased(deliveries=len(numbers), attempts=attempts, events=events, previews=previews, unwiped=unwiped)

    def known_people(self, campaign: CampaignRecord) -> int:
        """Of how many of a campaign's people something is kept."""
        query = "SELECT count(*) FROM deliveries WHERE campaign_id = ? AND (key IS NOT NULL OR address IS NOT NULL)"
        return int(self._one(query, campaign.id)[0])

    def is_purged(self, campaign: CampaignRecord) -> bool:
        """Whether nobody of those who were tried is known any more, so that nobody can tell who has the letter."""
        known = "SELECT 1 FROM deliveries WHERE campaign_id = ? AND key IS NOT NULL LIMIT 1"
        # after a back-up was put back a person may have said that it arrived, where no attempt is known
        tried = "SELECT 1 FROM deliveries WHERE campaign_id = ? AND (first_attempt_at IS NOT NULL OR status = 'sent') LIMIT 1"
        return not self._all(known, campaign.id) and bool(self._all(tried, campaign.id))

    def purge(
        self, campaigns: Sequence[CampaignRecord], *, before: float | None, first: Callable[[], None] = lambda: None
    ) -> Erased:
        """Forget everybody of these campaigns, which are over; counts and letters stay.

        Also previews, and what servers said to tests, from `before` that (Unix time); with None only previews of these campaigns' seals.
        `first` is called while nobody else writes; what it raises keeps everything as it is.
        """
        erased, previews = Erased(), 0
        with self._db.erasing(), self._transaction():
            first()
            for campaign in campaigns:
                ours = "delivery_id IN (SELECT id FROM deliveries WHERE campaign_id = ?)"
                whole = [(campaign.id,)]
                erased = Erased(
                    deliveries=erased.deliveries + self.known_people(campaign),
                    attempts=erased.attempts + self._count("attempts", ours, whole),
                    events=erased.events + self._count("events", ours, whole),
                )
                self._db.execute(f"{_FORGET} campaign_id = ?", whole[0])
                self._db.execute(f"{_FORGET_ATTEMPTS} {ours}", whole[0])
                self._db.execute(f"{_FORGET_EVENTS} {ours}", whole[0])
                note(self._db, campaign.id, Happening.PURGED)
                for manifest in self._manifests(campaign.id):
                    previews += self._db.execute("DELETE FROM previews WHERE seal = ?", (manifest.seal,)).rowcount
            self._forget_files(campaigns)
            if before is not None:
                previews += self._db.execute("DELETE FROM previews WHERE made_at < ?", (before,)).rowcount
                self._db.execute(f"{_FORGET_ATTEMPTS} delivery_id IS NULL AND finished_at < ?", (before,))
            # of whoever is forgotten, one at a time or with a campaign, the domain went on counting towards its quotas
            self._db.execute(
                "UPDATE attempts SET domain = '' WHERE finished_at < ? AND domain <> '' AND delivery_id IN"
                " (SELECT id FROM deliveries WHERE campaign_id IN (SELECT id FROM campaigns) AND key IS NULL)",
                (time.time() - LONGEST_WINDOW,),
            )
        return replace(erased, previews=previews, unwiped=self._wiped())

    def keeps_files(self, keys: Iterable[str]) -> list[str]:
        """The campaigns, of those that have one of these, that keep files which were attached for single rows."""
        query = (
            f"SELECT DISTINCT c.name, c.id FROM campaigns c JOIN deliveries d ON d.campaign_id = c.id WHERE {_OF_KEY}"
        )
        known = {row for key in keys for row in self._all(query, key)}
        return [name for name, number in sorted(known) if self._files_of_rows(number)]

    def mentions(self, keys: Iterable[str]) -> list[Mention]:
        """Rows of others that name one of these in a field. Looks through all rows."""
        return [mention for key in keys for mention in self._mentions(key)]

    def _wiped(self) -> str:
        """See to it that no old bytes are left; why some may be. What was forgotten is so either way."""
        try:
            self._db.wipe(*TABLES)
        except LedgerError as error:
            return error.message
        return ""

    # -- where something stands

    def _manifests(self, campaign: int) -> list[Manifest]:
        query = "SELECT manifest FROM revisions WHERE campaign_id = ? ORDER BY number"
        return [manifest_from(text) for (text,) in self._all(query, campaign)]

    def _forget_files(self, campaigns: Sequence[CampaignRecord]) -> None:
        """Their rows' own attachments, but for what another campaign has, too."""
        gone = {digest for one in campaigns for digest in self._files_of_rows(one.id).values()}
        if gone:
            purged = {one.id for one in campaigns}
            for number, text in self._all("SELECT campaign_id, manifest FROM revisions"):
                if number not in purged:
                    manifest = manifest_from(text)
                    gone -= {*manifest.letter.values(), *manifest.attachments.values()}
            self._db.executemany("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest in sorted(gone)])

    def _files_of_rows(self, campaign: int) -> dict[str, str]:
        """Attachments whose name the letter does not have in it, since each row makes it; their digests by path."""
        found: dict[str, str] = {}
        for manifest in self._manifests(campaign):
            letter = b"".join(
                bytes(content)
                for digest in sorted(set(manifest.letter.values()))
                for (content,) in self._all("SELECT content FROM blobs WHERE digest = ?", digest)
            )
            found |= {
                path: digest
                for path, digest in manifest.attachments.items()
                if path.rpartition("/")[2].encode() not in letter
            }
        return found

    def _numbers(self, key: str) -> list[int]:
        """The ids of a person's deliveries: also of rows whose cell was no usable address, if it is in there."""
        found = [number for (number,) in self._all(f"SELECT d.id FROM deliveries d WHERE {_OF_KEY} ORDER BY d.id", key)]
        cells = (
            "SELECT id, address FROM deliveries WHERE campaign_id IN (SELECT id FROM campaigns) AND key IS NULL"
            " AND address IS NOT NULL ORDER BY id"
        )
        return found + [number for number, cell in self._all(cells) if _names(cell, key)]

    def _delivery(self, number: int) -> KeptDelivery:
        query = (
            "SELECT c.name, d.row, d.address, d.name, d.language, d.fields, d.status, d.reason, d.message_id, d.updated_at"
            " FROM deliveries d JOIN campaigns c ON c.id = d.campaign_id WHERE d.id = ?"
        )
        campaign, row, address, name, language, fields, status, reason, message_id, at = self._one(query, number)
        tries = "SELECT started_at, account, verdict, text FROM attempts WHERE delivery_id = ? ORDER BY id"
        events = "SELECT at, kind, text FROM events WHERE delivery_id = ? ORDER BY at, id"
        return KeptDelivery(
            campaign=campaign,
            row=row,
            address=address or "",
            name=name,
            language=language,
            fields=json.loads(fields),
            status=status,
            reason=reason,
            message_id=message_id,
            updated_at=moment(at),
            attempts=[
                KeptAttempt(at=moment(at), account=account.rpartition("@")[2], verdict=verdict or "", text=text or "")
                for at, account, verdict, text in self._all(tries, number)
            ],
            events=[KeptEvent(at=moment(at), kind=kind, text=text) for at, kind, text in self._all(events, number)],
        )

    def _suppressions_of(self, key: str) -> list[Suppression]:
        query = f"{SUPPRESSION} WHERE s.hash = fingerprint(k.secret, ?1) ORDER BY s.created_at"
        return [suppression_of(row) for row in self._all(query, key)]

    def _mentions(self, key: str) -> Iterator[Mention]:
        """By the text of all fields first: reading each of a million rows would take many times as long."""
        query = (
            "SELECT c.name, d.row, d.fields FROM deliveries d JOIN campaigns c ON c.id = d.campaign_id"
            " WHERE d.key IS NOT NULL AND d.key <> ? AND lower(d.fields) LIKE ? ESCAPE '\\' ORDER BY d.id"
        )
        for campaign, row, fields in self._all(query, key, _containing(key)):
            named = [name for name, value in json.loads(fields).items() if _names(json.dumps(value), key)]
            if named:
                yield Mention(campaign=campaign, row=row, fields=named)

    def _previews_with(self, keys: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
        for (seal,) in self._all("SELECT seal FROM previews ORDER BY seal"):
            packed = self._one("SELECT digests FROM previews WHERE seal = ?", seal)[0]
            digests: dict[str, str] = json.loads(zlib.decompress(packed))
            if not keys.isdisjoint(digests):
                yield seal, digests

    def _count(self, table: str, where: str, rows: Sequence[tuple[int]]) -> int:
        query = f"SELECT count(*) FROM {table} WHERE {where}"
        return sum(int(self._db.execute(query, row).fetchone()[0]) for row in rows)


def _names(text: str, key: str) -> bool:
    """Whether a cell that may hold more than one address names this one."""
    return key in text.casefold() or normalise(text) == key


def _containing(key: str) -> str:
    """A pattern for LIKE."""
    return "%" + key.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
