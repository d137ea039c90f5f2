"""Who works, who is dead, and what becomes of what a dead worker left.

A worker holds a lock of the server's with its session, the one that it writes intents over. Whose lock is free has lost that
session: nothing of it can be written any more, no final dot leaves, and what it wrote last is either there or never will be. A worker
that only stands still keeps its lock, and what it has on the wire stays its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mailer.ledger.diary import note
from mailer.ledger.lock import owner
from mailer.ledger.postgres import opening
from mailer.ledger.postgres.database import Postgres
from mailer.ledger.postgres.lessons import NOW
from mailer.ledger.postgres.locks import ServerLock
from mailer.ledger.store import moment
from mailer.model import MAIN_RELAY, CampaignRecord, Happening, Presence, Rest

ENDED = "a worker ended between the message and the server's answer"

KIND = "sender"

LONGEST_REST = 7200.0
"""Seconds: beyond the longest pause of an account (mailer.cluster.rhythm). A later end was written by a wrong clock."""

RESTS = f"r.until > {NOW} AND r.until <= {NOW} + {LONGEST_REST}"
"""Whether it is under way, by the server's clock: that of one worker may be wrong, and all keep to what it writes."""

REST_COLUMNS = f"r.account, r.until, r.until - {NOW}, r.times, r.reason, r.relay, r.owner"

# whoever comes while it rests already has met the same trouble; $2 pauses
REST = f"""
INSERT INTO rests AS r (account, until, times, reason, relay) VALUES ($1, {NOW} + ($2::float8[])[1], 1, $3, $4)
ON CONFLICT (account, owner) DO UPDATE SET
    until = CASE WHEN {RESTS} THEN r.until ELSE {NOW} + ($2::float8[])[least(r.times + 1, cardinality($2::float8[]))] END,
    times = CASE WHEN {RESTS} THEN r.times ELSE r.times + 1 END, reason = excluded.reason, relay = excluded.relay
RETURNING {REST_COLUMNS}
"""

REST_HERE = f"""
INSERT INTO rests AS r (account, owner, relay, until, times, reason) VALUES ($1, $2, $3, {NOW} + $4::float8, 1, $5)
ON CONFLICT (account, owner) DO UPDATE SET until = excluded.until, reason = excluded.reason, relay = excluded.relay
RETURNING {REST_COLUMNS}
"""


class Senders:
    """The workers of a ledger, and the accounts that rest."""

    def __init__(self, db: Postgres) -> None:
        self._db = db

    def hold_up_nobody(self) -> None:
        """For a session of a worker, whose transactions are short."""
        with self._db.plain_errors():
            opening.hold_up_nobody(self._db.connection)

    def join(
        self, token: str, *, account: str, lines: int, queues: Sequence[str], relay: str = MAIN_RELAY
    ) -> ServerLock:
        """Say that a worker is there, until the lock is released or this ledger closed.

        Raises LedgerError. Call it before `Ledger.pen`, which then writes over the session that holds the lock.
        """
        lock = self._db.lock(token, KIND)
        # first the lock: a row whose lock is free is that of a dead worker
        lock.acquire(0)
        with self._db.plain_errors():
            self._db.native(
                "INSERT INTO senders (token, owner, relay, account, lines, queues, since) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                (token, owner(), relay, account, lines, "\n".join(queues), time.time()),
            )
        return lock

    def part(self, token: str) -> None:
        """A tidy end: nothing is on the wire, nothing left to count."""
        with self._db.plain_errors():
            self._db.native("DELETE FROM senders WHERE token = $1", (token,))

    def is_there(self, token: str) -> bool:
        """Whether a worker holds its lock."""
        return self._db.lock(token, KIND).is_held()

    def note_engine(self, token: str, number: int) -> None:
        """By which number the queue knows a worker."""
        with self._db.plain_errors():
            self._db.native(
                "UPDATE senders SET engine = $2 WHERE token = $1 AND engine IS DISTINCT FROM $2", (token, number)
            )

    def presences(self) -> list[Presence]:
        """The workers that are alive, the longest there first."""
        with self._db.plain_errors():
            rows = self._db.native(
                "SELECT s.token, s.owner, s.relay, s.account, s.lines, s.queues, s.since, array_remove(array_agg(DISTINCT c.name), NULL),"
                " count(b.id) FROM senders s LEFT JOIN batches b ON b.token = s.token LEFT JOIN campaigns c"
                " ON c.id = b.campaign_id GROUP BY s.token ORDER BY s.since, s.token"
            ).fetchall()
        return [
            Presence(
                token=token,
                owner=words,
                relay=relay,
                account=account,
                lines=lines,
                queues=tuple(queues.split("\n")),
                since=moment(since),
                campaigns=tuple(campaigns),
                batches=batches,
            )
            for token, words, relay, account, lines, queues, since, campaigns, batches in rows
            if self._db.lock(token, KIND).is_held()
        ]

    def others_serve(self, campaign: CampaignRecord, account: str) -> bool:
        """Whether workers with other accounts, which do not rest, take from the queue of a campaign."""
        with self._db.plain_errors():
            row = self._db.native("SELECT queue FROM detached WHERE campaign_id = $1", (campaign.id,)).fetchone()
        resting = {account, *(rest.account for rest in self.rests())}
        return row is not None and any(one.account not in resting and row[0] in one.queues for one in self.presences())

    def bury(self) -> list[int]:
        """See to what dead workers left. By which numbers the queue knows them: what they had there is free again."""
        with self._db.plain_errors():
            rows = self._db.native("SELECT token, engine, account, lines FROM senders ORDER BY since").fetchall()
        engines = []
        for token, engine, account, lines in rows:
            if not self._db.lock(token, KIND).is_held() and self._buried(token, account, lines) and engine is not None:
                engines.append(engine)
        return engines

    def _buried(self, token: str, account: str, lines: int) -> bool:
        """All that a dead worker left, in one transaction: what nobody knows, what quotas count, and its batches."""
        now = time.time()
        with self._db.transaction():
            key = self._db.key("lock", KIND, token)
            if not self._db.native("SELECT pg_try_advisory_xact_lock($1)", (key,)).fetchone()[0]:
                return False
            if not self._db.native("DELETE FROM senders WHERE token = $1", (token,)).rowcount:
                return False  # another worker was quicker
            left = "SELECT id FROM deliveries WHERE campaign_id IN (SELECT id FROM campaigns) AND status = 'sending' AND token = $1"
            self._db.native(
                f"UPDATE attempts SET finished_at = $2 WHERE finished_at IS NULL AND token = $1 AND delivery_id IN ({left})",
                (token, now),
            )
            # one a connection that no intent tells of: nobody knows to whom, so it counts towards every domain
            self._db.native(
                "INSERT INTO attempts (account, domain, started_at, finished_at)"
                " SELECT $1, '', CAST($2 AS float8), CAST($2 AS float8) FROM generate_series(1, CAST($3 AS bigint))",
                (account, now, lines),
            )
            marked = self._db.native(
                f"UPDATE deliveries SET status = 'uncertain', updated_at = $2, reason = $3 WHERE id IN ({left}) RETURNING campaign_id",
                (token, now, ENDED),
            ).fetchall()
            for campaign, number in Counter(row[0] for row in marked).items():
                note(self._db, campaign, Happening.INTERRUPTED, number=number, text="a worker")
            self._db.native("UPDATE batches SET token = NULL WHERE token = $1", (token,))
        return True

    # -- accounts that rest

    def rest(self, account: str, pauses: Sequence[float], reason: str, *, relay: str = MAIN_RELAY) -> Rest:
        """Keep all workers off an account for a while: each time in a row for the next of these pauses, and then for the last."""
        with self._db.plain_errors():
            rows = self._db.native(REST, (account, list(pauses), reason, relay)).fetchall()
        return _understood(rows)[0]

    def rest_here(self, account: str, seconds: float, reason: str, *, relay: str = MAIN_RELAY) -> Rest:
        """Say that the worker here keeps off an account for a while; nobody else need to."""
        with self._db.plain_errors():
            rows = self._db.native(REST_HERE, (account, owner(), relay, seconds, reason)).fetchall()
            # nobody else clears away what workers left that were ended meanwhile
            self._db.native(f"DELETE FROM rests r WHERE r.owner <> '' AND NOT ({RESTS})")
        return _understood(rows)[0]

    def resting(self, account: str) -> Rest | None:
        """Whether the account rests just now for everybody, and why."""
        found = [rest for rest in self.rests() if rest.account == account and not rest.owner]
        return found[0] if found else None

    def rests(self) -> list[Rest]:
        """The accounts that rest just now."""
        with self._db.plain_errors():
            return _understood(
                self._db.native(
                    f"SELECT {REST_COLUMNS} FROM rests r WHERE {RESTS} ORDER BY r.account, r.owner"
                ).fetchall()
            )

    def wake(self, account: str) -> None:
        """A message was accepted: the account is well again."""
        with self._db.plain_errors():
            self._db.native("DELETE FROM rests WHERE account = $1 AND owner = ''", (account,))


def _understood(rows: Sequence[Any]) -> list[Rest]:
    return [
        Rest(account=account, until=until, left=left, times=times, reason=reason, relay=relay, owner=words)
        for account, until, left, times, reason, relay, words in rows
    ]
