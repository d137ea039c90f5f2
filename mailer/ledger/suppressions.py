"""Who is not to be mailed, kept by a hash of the address that outlives its erasure."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from mailer.ledger.leaving import ADD, LEAVE, LEAVE_KEY
from mailer.ledger.store import Store, moment
from mailer.model import EVERYWHERE, EventKind, Held, Reason, Suppressed, Suppression
from mailer.suppression import fingerprint

FEW = 100
"""So many addresses are looked for one by one; for more, all open deliveries are looked at once."""

_ADD_HASH = """
INSERT INTO suppressions (hash, scope, secret_id, reason, note, source, created_at)
SELECT :hash, :scope, id, :reason, :note, :source, :at FROM suppression_secrets WHERE secret = :secret
ON CONFLICT DO NOTHING
"""

SUPPRESSION = (
    "SELECT s.entry, s.reason, s.note, s.source, s.created_at, s.scope, s.hash, k.secret FROM suppressions s"
    " JOIN suppression_secrets k ON k.id = s.secret_id"
)


class Suppressions(Store):
    """The suppressions of a ledger."""

    def suppressions(self, scope: str = EVERYWHERE) -> Suppressed:
        """Who is not to be mailed from the list of this name (`mailer.suppression.list_name`)."""
        query = "SELECT {} FROM suppressions WHERE entry IS {} AND scope IN ('', ?) ORDER BY scope DESC"
        plain = self._all(query.format("entry, reason, note", "NOT NULL"), scope)
        erased: dict[bytes, dict[bytes, Held]] = {}
        made_by = "(SELECT secret FROM suppression_secrets WHERE id = secret_id)"
        for made_with, digest, *why in self._all(query.format(f"{made_by}, hash, reason, note", "NULL"), scope):
            erased.setdefault(bytes(made_with), {})[bytes(digest)] = Held(*why)
        return Suppressed(entries={entry: Held(reason, note) for entry, reason, note in plain}, erased=erased)

    def suppression_rows(self) -> list[Suppression]:
        """Every suppression, the oldest first."""
        query = f"{SUPPRESSION} ORDER BY s.created_at, s.entry NULLS FIRST, s.hash"
        return [suppression_of(row) for row in self._all(query)]

    def suppress(
        self,
        entries: Iterable[tuple[str, str]],
        *,
        source: str,
        reason: Reason = Reason.MANUAL,
        scope: str = EVERYWHERE,
    ) -> int:
        """Add (address or @domain, note) pairs; returns how many were new. `source` tells by what road they came.

        Who waits in a campaign that has begun is taken out at once, even while it is being sent.
        """
        with self._transaction():
            return self._leave_out(entries, source=source, reason=reason, scope=scope)

    def _leave_out(self, entries: Iterable[tuple[str, str]], *, source: str, reason: Reason, scope: str) -> int:
        keys, added = [], 0
        for key, note in entries:
            keys.append(key)
            values = {"entry": key, "scope": scope, "reason": reason, "note": note, "source": source, "at": time.time()}
            added += self._db.execute(ADD, values).rowcount
        self._take_out(keys)
        return added

    def _take_out(self, keys: Sequence[str | None]) -> None:
        """Out of the queues, at once. None is somebody whose address is not known."""
        now = time.time()
        if len(keys) <= FEW and all(key and not key.startswith("@") for key in keys):
            self._db.executemany(LEAVE_KEY, ((now, key) for key in keys))
        else:
            self._db.execute(LEAVE, (now,))

    def take_over(self, found: Sequence[Suppression]) -> list[bool]:
        """Add suppressions from elsewhere; for each whether it was new.

        Where `entry` is None the hash is kept, and its secret, by which people are recognised from then on.
        """
        with self._transaction():
            for secret in {one.secret for one in found if one.entry is None}:
                self._db.execute(
                    "INSERT INTO suppression_secrets (secret) VALUES (?) ON CONFLICT DO NOTHING", (secret,)
                )
            known = self._known_plainly({one.secret for one in found if one.entry is None})
            new = [one.entry is not None or (one.hash, one.scope) not in known for one in found]
            added = [fresh and self._add(one) for one, fresh in zip(found, new, strict=True)]
            self._take_out([one.entry for one in found])
        return added

    def _add(self, one: Suppression) -> bool:
        values = {
            "entry": one.entry,
            "hash": one.hash,
            "secret": one.secret,
            "scope": one.scope,
            "reason": one.reason,
            "note": one.note,
            "source": one.source,
            "at": one.since.timestamp(),
        }
        return bool(self._db.execute(ADD if one.entry is not None else _ADD_HASH, values).rowcount)

    def _known_plainly(self, secrets: Iterable[bytes]) -> set[tuple[bytes, str]]:
        """Under which hashes, made with these secrets, and for which lists the addresses would stand that are not erased."""
        plain = self._db.execute("SELECT entry, scope FROM suppressions WHERE entry IS NOT NULL").fetchall()
        return {(fingerprint(secret, entry), scope) for secret in secrets for entry, scope in plain}

    def unsuppress(self, keys: Iterable[str], *, scope: str | None = None) -> int:
        """Remove suppressions, for every list if none is named; returns of how many addresses and @domains there were some."""
        query = (
            "DELETE FROM suppressions WHERE hash IN (SELECT fingerprint(secret, ?1) FROM suppression_secrets)"
            " AND (CAST(?2 AS TEXT) IS NULL OR scope = ?2)"
        )
        with self._transaction():
            return sum(bool(self._db.execute(query, (key, scope)).rowcount) for key in keys)

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
            source = f"link in campaign {campaign}"
            with self._transaction():
                self._leave_out([(key, "")], source=source, reason=Reason.UNSUBSCRIBED, scope=EVERYWHERE)
                # mail programs and people click twice
                self._db.execute(
                    "INSERT INTO events (kind, delivery_id, campaign_id, at, source) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (source) DO NOTHING",
                    (EventKind.UNSUBSCRIBE, delivery, number, time.time(), f"link of delivery {delivery}"),
                )
        return bool(found)

    def left_out(self, keys: Iterable[str]) -> list[str]:
        """The names of campaigns, the oldest first, in which somebody is suppressed under one of these addresses or @domains."""
        found: dict[int, str] = {}
        for key in keys:
            # by the index (campaign_id, key), but for a whole domain
            where = "d.key = ?" if not key.startswith("@") else "substr(d.key, length(d.key) - length(?1) + 1) = ?1"
            query = (
                "SELECT c.id, c.name FROM campaigns c WHERE EXISTS (SELECT 1 FROM deliveries d"
                f" WHERE d.campaign_id = c.id AND d.status = 'suppressed' AND {where})"
            )
            found |= dict(self._all(query, key))
        return [found[number] for number in sorted(found)]

    def suppression_secrets(self) -> list[bytes]:
        """The secrets by which erased people are recognised, this ledger's own first."""
        return [bytes(secret) for (secret,) in self._all("SELECT secret FROM suppression_secrets ORDER BY id")]

    def list_names(self) -> set[str]:
        """What the lists of all campaigns are called."""
        return {row[0] for row in self._all("SELECT DISTINCT list FROM campaigns")}


def suppression_of(row: tuple[Any, ...]) -> Suppression:
    """The suppression that a row of SUPPRESSION stands for."""
    entry, reason, note, source, at, scope, digest, secret = row
    return Suppression(
        entry=entry,
        reason=Reason(reason),
        note=note,
        source=source,
        since=moment(at),
        scope=scope,
        hash=bytes(digest),
        secret=bytes(secret),
    )
