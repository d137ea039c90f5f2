"""What outlives campaigns: who is not to be mailed, and what was previewed."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from mailer.ledger.store import Store, manifest_from, moment
from mailer.model import EventKind, Manifest


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What an earlier preview vouched for. `digests` maps a contact's key to a digest of its details."""

    manifest: Manifest
    made_at: datetime
    digests: Mapping[str, str] = field(default_factory=dict)


class Digests:
    """A digest of each contact's details by key, packed as they come: those of a million are never there at once."""

    def __init__(self, digests: Mapping[str, str] | None = None) -> None:
        self._packer = zlib.compressobj()
        self._parts = [self._packer.compress(b"{")]
        self._mark = b""
        for key, digest in (digests or {}).items():
            self.add(key, digest)

    def add(self, key: str, digest: str) -> None:
        # most calls only fill the packer's own memory, and give nothing
        if part := self._packer.compress(self._mark + f"{json.dumps(key)}:{json.dumps(digest)}".encode()):
            self._parts.append(part)
        self._mark = b","

    def packed(self) -> bytes:
        """All of them; nothing can be added then."""
        return b"".join([*self._parts, self._packer.compress(b"}"), self._packer.flush()])


class Memory(Store):
    """Suppressions and previews."""

    def suppressions(self) -> dict[str, str]:
        """Reason per suppressed address or @domain."""
        return dict(self._all("SELECT key, reason FROM suppressions"))

    def suppression_rows(self) -> list[tuple[str, str, str, datetime]]:
        """Key, reason, source and time of each suppression, the oldest first."""
        query = "SELECT key, reason, source, created_at FROM suppressions ORDER BY created_at, key"
        return [(key, reason, source, moment(at)) for key, reason, source, at in self._all(query)]

    def suppress(self, entries: Iterable[tuple[str, str]], *, source: str) -> int:
        """Add (key, reason) pairs; returns how many were new.

        Who waits in a campaign that has begun is taken out at once, even while it is being sent.
        """
        with self._transaction():
            return self._leave_out(entries, source=source)

    def _leave_out(self, entries: Iterable[tuple[str, str]], *, source: str) -> int:
        added = 0
        for key, reason in entries:
            added += self._db.execute(
                "INSERT INTO suppressions VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (key, reason, source, time.time()),
            ).rowcount
        self._db.execute(LEAVE, (time.time(),))
        return added

    def unsubscribe(self, name: str) -> bool:
        """Suppress whom a delivery was for, named by the left part of its Message-ID, and note the event, once.

        False if there is no such delivery.
        """
        # through all of them, without an index: it would cost every start of a campaign more than all who leave
        found = self._all(
            "SELECT d.id, d.key, c.id, c.name FROM deliveries d JOIN campaigns c ON c.id = d.campaign_id"
            " WHERE d.message_id >= ?1 AND d.message_id < ?2 AND d.key IS NOT NULL ORDER BY d.id LIMIT 1",
            f"<{name}@",
            f"<{name}A",  # the character after the @
        )
        for delivery, key, number, campaign in found:
            with self._transaction():
                self._leave_out([(key, "unsubscribed")], source=f"link in campaign {campaign}")
                # mail programs and people click twice
                self._db.execute(
                    "INSERT INTO events (kind, delivery_id, campaign_id, at, source) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (source) DO NOTHING",
                    (EventKind.UNSUBSCRIBE, delivery, number, time.time(), f"link of delivery {delivery}"),
                )
        return bool(found)

    def unsuppress(self, keys: Iterable[str]) -> int:
        """Remove suppressions; returns how many there were."""
        with self._transaction():
            return sum(self._db.execute("DELETE FROM suppressions WHERE key = ?", (key,)).rowcount for key in keys)

    def left_out(self, keys: Iterable[str]) -> list[str]:
        """The names of campaigns, the oldest first, in which somebody is suppressed under one of these addresses or @domains."""
        found: dict[int, str] = {}
        for key in keys:
            # by the index (campaign_id, key), but for a whole domain
            where = "d.key = ?" if not key.startswith("@") else "substr(d.key, -length(?1)) = ?1"
            query = (
                "SELECT c.id, c.name FROM campaigns c WHERE EXISTS (SELECT 1 FROM deliveries d"
                f" WHERE d.campaign_id = c.id AND d.status = 'suppressed' AND {where})"
            )
            found |= dict(self._all(query, key))
        return [found[number] for number in sorted(found)]

    def keep_preview(self, manifest: Manifest, digests: Mapping[str, str] | Digests) -> None:
        """Remember what a seal vouches for."""
        packed = (digests if isinstance(digests, Digests) else Digests(digests)).packed()
        self._run(
            "INSERT INTO previews VALUES (?, ?, ?, ?) ON CONFLICT (seal) DO UPDATE SET made_at = excluded.made_at, digests = excluded.digests",
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
            manifest=manifest_from(manifest),
            made_at=moment(made_at),
            digests=json.loads(zlib.decompress(packed)),
        )


# '@' to 'A' are the keys of whole domains: few, so that comparing each of them with each delivery costs little
IS_SUPPRESSED = """(key IN (SELECT key FROM suppressions)
    OR EXISTS (SELECT 1 FROM suppressions s
        WHERE s.key >= '@' AND s.key < 'A' AND substr(deliveries.key, -length(s.key)) = s.key))"""

# all open deliveries, by the index (campaign_id, status): most of a million may have been sent
OPEN_ONES = "campaign_id IN (SELECT id FROM campaigns) AND status IN ('queued', 'deferred')"

_LEAVE = """
UPDATE deliveries SET status = 'suppressed', updated_at = ?, reason = (
    SELECT reason FROM suppressions s WHERE s.key = deliveries.key
        OR (s.key >= '@' AND s.key < 'A' AND substr(deliveries.key, -length(s.key)) = s.key))
WHERE """

LEAVE = f"{_LEAVE} {OPEN_ONES} AND EXISTS (SELECT 1 FROM suppressions) AND {IS_SUPPRESSED}"

# Who left the list with --update is not mailed, however the delivery comes back into a queue.
IS_UNLISTED = "listed_in < (SELECT revision FROM campaigns c WHERE c.id = deliveries.campaign_id)"

_UNLIST = """
UPDATE deliveries SET status = 'skipped', reason = 'no longer in the list', updated_at = ?
WHERE """

UNLIST = f"{_UNLIST} {OPEN_ONES} AND {IS_UNLISTED}"

UNLIST_ONE = f"{_UNLIST} status IN ('queued', 'deferred') AND {IS_UNLISTED} AND id = ?"

# One delivery's address, in every campaign, by the index (campaign_id, key): a list may have thousands of dead ones.
LEAVE_ADDRESS = f"""{_LEAVE} +status IN ('queued', 'deferred') AND {IS_SUPPRESSED}
AND campaign_id IN (SELECT id FROM campaigns) AND key = (SELECT key FROM deliveries WHERE id = ?)
"""
