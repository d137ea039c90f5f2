"""Batches: what a job of the queue is about. What stands here is the truth, and the queue only a hint."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple, Protocol

from mailer.errors import MailerError, Paused, RelayStopped
from mailer.hours import UNKNOWN, Hours
from mailer.ledger.deliveries import MOST
from mailer.ledger.diary import note
from mailer.ledger.handed import ACCOUNTS
from mailer.ledger.postgres.database import Postgres
from mailer.ledger.postgres.lessons import NOW
from mailer.ledger.postgres.locks import ServerLock
from mailer.ledger.store import moment
from mailer.model import Batch, CampaignRecord, Detached, Halt, Happening, Overview, Round, Status
from mailer.retry import HOUR

# no other batch is touched: those to either side end before and begin after
PLAN = """
INSERT INTO batches (campaign_id, first_id, last_id)
SELECT $1, min(id), max(id) FROM (
    SELECT id, place, (row_number() OVER (PARTITION BY place ORDER BY id) - 1) / CAST($2 AS bigint) AS part FROM (
        SELECT d.id, b.first_id AS place, b.last_id FROM deliveries d LEFT JOIN LATERAL (
            SELECT first_id, last_id FROM batches WHERE campaign_id = $1 AND first_id <= d.id ORDER BY first_id DESC LIMIT 1
        ) b ON true
        WHERE d.campaign_id = $1 AND d.status IN ('queued', 'deferred')
    ) AS open_one WHERE (last_id IS NULL OR last_id < id) AND EXISTS (SELECT 1 FROM detached WHERE campaign_id = $1)
) AS placed GROUP BY place, part ORDER BY min(id)
"""

# IS TRUE keeps the index of statuses out of it: with some millions in the ledger all open ones of a campaign were looked up there for
# each of its batches
_OF_BATCH = "d.id BETWEEN b.first_id AND b.last_id AND (d.campaign_id = b.campaign_id) IS TRUE"
_OPEN_OF_BATCH = f"{_OF_BATCH} AND (d.status IN ('queued', 'deferred')) IS TRUE"

# Of each batch and each time zone of its people: when somebody may be tried, but for office hours.
# $1 batches, $2 now, $3 beyond which a time was written by a wrong clock. LATERAL: a batch looks at its own deliveries only
WHEN = f"""
SELECT b.id, d.queue, d.not_before, CASE WHEN open_ones.queued OR open_ones.at > $3::float8 THEN $2::float8 ELSE open_ones.at END,
    c.hours, coalesce(open_ones.zone, c.zone)
FROM batches b JOIN detached d USING (campaign_id) JOIN campaigns c ON c.id = b.campaign_id CROSS JOIN LATERAL (
    SELECT zone, bool_or(status = 'queued') AS queued, min(next_attempt_at) AS at FROM deliveries d
    WHERE {_OPEN_OF_BATCH} GROUP BY zone
) open_ones
WHERE b.id = ANY($1::bigint[]) AND d.halted_at IS NULL ORDER BY b.id
"""

# at first without the lock: with a million open deliveries it takes half a second
STRAYS = f"""
SELECT (SELECT count(*) FROM deliveries WHERE campaign_id = $1 AND status IN ('queued', 'deferred')) > coalesce(sum(inside.n), 0)
FROM batches b CROSS JOIN LATERAL (SELECT count(*) AS n FROM deliveries d
    WHERE {_OPEN_OF_BATCH}) inside
WHERE b.campaign_id = $1
"""

# only what nobody has, of which nobody is open
CLEAR = f"""
DELETE FROM batches b WHERE b.id = ANY($1::bigint[]) AND b.token IS NULL AND NOT EXISTS (SELECT 1 FROM deliveries d
    WHERE {_OPEN_OF_BATCH})
"""

# the counts by the index of statuses, however many have been sent
OVERVIEW = """
SELECT c.name, d.halted_at IS NOT NULL, open_ones.status, open_ones.n
FROM detached d JOIN campaigns c ON c.id = d.campaign_id LEFT JOIN LATERAL (
    SELECT status, count(*) AS n FROM deliveries WHERE campaign_id = d.campaign_id
        AND status IN ('queued', 'deferred', 'sending', 'uncertain') GROUP BY status
) AS open_ones ON true
"""

# those who live in the zones $4, or anywhere
DUE = f"""
SELECT d.id FROM batches b JOIN campaigns c ON c.id = b.campaign_id
JOIN deliveries d ON {_OF_BATCH}
WHERE b.id = $1 AND (d.status = 'queued' OR d.status = 'deferred' AND (d.next_attempt_at <= $2 OR d.next_attempt_at > $3)) IS TRUE
    AND ($4::text[] IS NULL OR coalesce(d.zone, c.zone, $5) = ANY($4::text[]))
ORDER BY d.reason <> '', d.id
"""

ZONES = f"""
SELECT c.hours, array_agg(DISTINCT coalesce(d.zone, c.zone, $2)) FROM batches b JOIN campaigns c ON c.id = b.campaign_id
JOIN deliveries d ON {_OPEN_OF_BATCH}
WHERE b.id = $1 AND c.hours <> '' GROUP BY c.hours
"""


LATER = f"d.not_before IS NOT NULL AND d.not_before > {NOW}"
"""Who works for it just now may have begun before that was said."""

FOR_LATER = Paused("It is not to begin yet.")

REFUSED = """
SELECT count(*) FROM detached c JOIN deliveries d USING (campaign_id) JOIN attempts a ON a.delivery_id = d.id
WHERE c.campaign_id = $1 AND a.verdict = 'failed' AND a.scope = 'recipient' AND a.finished_at > greatest($2, c.braked_from)
"""

# by account, since their index is in the order of time
TRIED = f"""
SELECT count(*) FROM (
    SELECT 1 FROM ({ACCOUNTS}) AS known JOIN detached c ON c.campaign_id = $1 CROSS JOIN LATERAL (
        SELECT 1 FROM attempts a JOIN deliveries d ON d.id = a.delivery_id AND d.campaign_id = c.campaign_id
        WHERE a.account = known.account AND a.finished_at > greatest($2, c.braked_from) AND a.verdict IN ('sent', 'failed') LIMIT $3
    ) AS each_account LIMIT $3
) AS counted
"""


class Job(NamedTuple):
    """A batch that is to be run, and not before when (Unix time)."""

    batch: int
    queue: str
    at: float


class Queue(Protocol):
    """The engine that brings batches to workers. It speaks within the transaction under way, and may raise psycopg.Error."""

    def live(self) -> set[int]:
        """The batches that have a job which waits or is being done."""
        ...

    def withdraw(self, batches: Collection[int]) -> None:
        """Take back the jobs of these batches that nobody has begun."""
        ...

    def defer(self, wanted: Sequence[Job], /) -> None:
        """Give each of them a job; none has one that is alive."""
        ...


class Batches:
    """The campaigns of a ledger that are left to workers."""

    def __init__(self, db: Postgres) -> None:
        self._db = db

    # -- what a person does

    def leave(self, campaign: int, queue: Queue, *, name: str, batch_size: int, not_before: float | None = None) -> int:
        """Leave what is open of a campaign to workers, within the transaction that stands around it: how many batches that makes.

        Repeating it changes nothing, but that a campaign that stood still goes on.
        """
        db = self._db
        db.native("SELECT pg_advisory_xact_lock($1)", (self._deferring,))
        moving = "SELECT 1 FROM detached WHERE campaign_id = $1 AND halted_at IS NULL"
        if not db.native(moving, (campaign,)).fetchone() and not self._is_done(campaign):
            tried = "SELECT 1 FROM deliveries WHERE campaign_id = $1 AND first_attempt_at IS NOT NULL LIMIT 1"
            note(db, campaign, Happening.BEGUN, number=int(bool(db.native(tried, (campaign,)).fetchone())))
        db.native(
            "INSERT INTO detached (campaign_id, queue, batch_size, not_before, braked_from) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (campaign_id) DO UPDATE SET queue = excluded.queue, batch_size = excluded.batch_size,"
            " braked_from = CASE WHEN detached.halted_at IS NULL THEN detached.braked_from ELSE excluded.braked_from END,"
            " not_before = excluded.not_before, halted_at = NULL, reason = NULL, hint = NULL, exit_code = NULL",
            (campaign, name, batch_size, not_before, time.time()),
        )
        # another queue or another time may have been wanted before
        queue.withdraw([row[0] for row in db.native("SELECT id FROM batches WHERE campaign_id = $1", (campaign,))])
        db.native(PLAN, (campaign, batch_size))
        numbers = [row[0] for row in db.native("SELECT id FROM batches WHERE campaign_id = $1", (campaign,))]
        self._defer(numbers, queue)
        return len(numbers)

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """A transaction for `leave`, where nothing else is written."""
        with self._db.beside(self._deferring):
            yield

    def take_back(self, campaign: CampaignRecord) -> bool:
        """Take a campaign from the workers, to send it alone. Call it under the campaign's SenderLock."""
        with self._db.beside(self._deferring):
            self._db.native("DELETE FROM batches WHERE campaign_id = $1", (campaign.id,))
            return bool(self._db.native("DELETE FROM detached WHERE campaign_id = $1", (campaign.id,)).rowcount)

    def halt(self, campaign: CampaignRecord, reason: MailerError) -> bool:
        """Have all workers stop at a campaign, until it is left to them again. The first reason counts."""
        with self._db.beside(self._deferring):
            halted = self._db.native(
                "UPDATE detached SET halted_at = $2, reason = $3, hint = $4, exit_code = $5"
                " WHERE campaign_id = $1 AND halted_at IS NULL",
                (campaign.id, time.time(), reason.message, reason.hint, reason.exit_code),
            ).rowcount
            if halted:
                kind = Happening.STOPPED if isinstance(reason, RelayStopped) else Happening.PAUSED
                note(self._db, campaign.id, kind, text="\n".join(filter(None, (reason.message, reason.hint))))
        return bool(halted)

    def standing(self, campaign: CampaignRecord) -> Detached | None:
        """How a campaign is left to workers; None if it is not."""
        with self._db.plain_errors():
            row = self._db.native(
                "SELECT queue, batch_size, not_before, halted_at, reason, hint, exit_code,"
                " (SELECT count(*) FROM batches b WHERE b.campaign_id = c.campaign_id) FROM detached c WHERE campaign_id = $1",
                (campaign.id,),
            ).fetchone()
        if row is None:
            return None
        queue, batch_size, not_before, halted_at, reason, hint, exit_code, batches = row
        halt = None
        if halted_at is not None:
            halt = Halt(at=moment(halted_at), reason=reason, hint=hint, exit_code=exit_code)
        return Detached(
            queue=queue,
            batch_size=batch_size,
            batches=batches,
            not_before=None if not_before is None else moment(not_before),
            halt=halt,
        )

    def overview(self) -> Overview:
        """How many of each status are not settled yet, of every campaign that is left to workers."""
        campaigns: dict[str, dict[Status, int]] = {}
        halted: set[str] = set()
        with self._db.plain_errors():
            [(workers,)] = self._db.native("SELECT count(*) FROM senders").fetchall()
            for name, stands, status, number in self._db.native(OVERVIEW).fetchall():
                counts = campaigns.setdefault(name, {})
                if status:
                    counts[Status(status)] = number
                if stands:
                    halted.add(name)
        return Overview(at=moment(time.time()), campaigns=campaigns, halted=len(halted), workers=workers)

    # -- what a worker does

    def working_on(self, campaign: str) -> ServerLock:
        """Held, together with other workers, while one works for a campaign: nobody sends it alone meanwhile."""
        return self._db.shared_lock(campaign)

    def claim(self, batch: int, token: str) -> Batch | None:
        """Take a batch, also from a worker that stands still. None if it is done, or its campaign stands still or is for later."""
        with self._db.plain_errors():
            row = self._db.native(
                "UPDATE batches b SET token = $2 FROM detached d, campaigns c WHERE b.id = $1 AND d.campaign_id = b.campaign_id"
                f" AND c.id = b.campaign_id AND d.halted_at IS NULL AND NOT ({LATER}) RETURNING c.name",
                (batch, token),
            ).fetchone()
        return Batch(id=batch, campaign=row[0]) if row else None

    def due(self, batch: Batch, now: float) -> list[int]:
        """Ids of a batch's deliveries that may be tried now; those that were tried and kept their place come last."""
        return self.round(batch, now).due

    def round(self, batch: Batch, now: float) -> Round:
        """The same, and until when that is so, by the office hours of these people."""
        here, until = None, math.inf
        with self._db.plain_errors():
            if asked := self._db.native(ZONES, (batch.id, UNKNOWN)).fetchone():
                here, until = Hours.parse(asked[0]).round(asked[1], now)
            due = self._db.native(DUE, (batch.id, now, now + MOST, here, UNKNOWN))
            return Round(due=[row[0] for row in due], until=until)

    def release(self, batch: Batch, token: str, pause: float = 0.0) -> float | None:
        """Give a batch back: when it is to be run again (Unix time), after so many seconds at least, or None where nothing of it is left to try.

        Nothing is said of one that another worker has taken meanwhile, since that one sees to it.
        """
        with self._db.beside(self._deferring):
            released = self._db.native(
                "UPDATE batches SET token = NULL WHERE id = $1 AND token = $2", (batch.id, token)
            )
            if not released.rowcount:
                return None
            times = self._times([batch.id])
            if not times:
                self._db.native(CLEAR, ([batch.id],))
            return max(times[0].at, self._now() + pause) if times else None

    def halted(self, names: Collection[str]) -> dict[str, Halt]:
        """Those of these campaigns at which work is to stop, and why: also one that was left once more, for later."""
        with self._db.plain_errors():
            rows = self._db.native(
                f"SELECT c.name, coalesce(d.halted_at, {NOW}), coalesce(d.reason, $2), d.hint, coalesce(d.exit_code, $3)"
                " FROM detached d JOIN campaigns c ON c.id = d.campaign_id"
                f" WHERE (d.halted_at IS NOT NULL OR {LATER}) AND c.name = ANY($1::text[])",
                (list(names), FOR_LATER.message, FOR_LATER.exit_code),
            ).fetchall()
        return {
            name: Halt(at=moment(at), reason=reason, hint=hint, exit_code=code) for name, at, reason, hint, code in rows
        }

    def too_many_refused(self, campaign: CampaignRecord, failures: int, percent: float) -> bool:
        """Whether so many addresses were refused for good within an hour, and they are that share of all who were tried by anybody.

        No more of those are counted than it takes to tell.
        """
        with self._db.plain_errors():
            [refused] = self._db.native(REFUSED, (campaign.id, time.time() - HOUR)).fetchone()
            if refused < max(1, failures):
                return False
            enough = math.floor(refused * 100 / percent) + 1 if percent else 0
            [tried] = self._db.native(TRIED, (campaign.id, time.time() - HOUR, enough)).fetchone()
        return not percent or tried < enough

    # -- so that no batch is forgotten

    def reconcile(self, queue: Queue, *, strays: bool) -> list[str]:
        """Give every batch that nobody has and no job brings to anybody a job again, and take back those of batches that are gone.

        Returns which campaigns are done.

        `strays`: also look for deliveries that came back into the queue (`mailer retry`, a late answer) and are in no batch.
        """
        left = "SELECT campaign_id, batch_size FROM detached WHERE halted_at IS NULL"
        with self._db.plain_errors():
            wanting = [
                (campaign, batch_size)
                for campaign, batch_size in self._db.native(left).fetchall()
                if (self._db.native(STRAYS, (campaign,)).fetchone()[0] if strays else not self._has_batches(campaign))
            ]
        with self._db.beside(self._deferring):
            for campaign, batch_size in wanting:
                self._db.native(PLAN, (campaign, batch_size))
            free = "SELECT b.id FROM batches b JOIN detached d USING (campaign_id) WHERE b.token IS NULL AND d.halted_at IS NULL"
            self._defer([row[0] for row in self._db.native(free)], queue)
            if live := queue.live():
                gone = (
                    "SELECT n FROM unnest($1::bigint[]) AS n WHERE NOT EXISTS (SELECT 1 FROM batches b WHERE b.id = n)"
                )
                queue.withdraw([row[0] for row in self._db.native(gone, (list(live),))])
            return [
                name
                for number, name in self._db.native(
                    "SELECT c.id, c.name FROM detached d JOIN campaigns c ON c.id = d.campaign_id WHERE NOT EXISTS"
                    " (SELECT 1 FROM batches b WHERE b.campaign_id = c.id)"
                ).fetchall()
                if self._is_done(number)
            ]

    def conclude(self, campaign: str) -> bool:
        """Note that nothing is left to try of a campaign, once for all workers."""
        # nobody is put back into the queue meanwhile
        with self._db.transaction():
            self._db.native("SELECT pg_advisory_xact_lock($1)", (self._deferring,))
            row = self._db.native(
                "SELECT c.id FROM detached d JOIN campaigns c ON c.id = d.campaign_id WHERE c.name = $1", (campaign,)
            ).fetchone()
            if row is None or self._has_batches(row[0]) or not self._is_done(row[0]):
                return False
            self._db.native("DELETE FROM detached WHERE campaign_id = $1", row)
            self._db.native(
                "UPDATE campaigns SET finished_at = coalesce(finished_at, $2) WHERE id = $1", (row[0], time.time())
            )
            note(self._db, row[0], Happening.FINISHED)
        return True

    @property
    def _deferring(self) -> int:
        """Whoever gives jobs to batches holds this lock, so that none has two."""
        return self._db.key("deferring")

    def _has_batches(self, campaign: int) -> bool:
        return bool(self._db.native("SELECT 1 FROM batches WHERE campaign_id = $1 LIMIT 1", (campaign,)).fetchone())

    def _is_done(self, campaign: int) -> bool:
        query = (
            "SELECT 1 FROM deliveries WHERE campaign_id = $1 AND status IN ('queued', 'sending', 'deferred') LIMIT 1"
        )
        return not self._db.native(query, (campaign,)).fetchone()

    def _defer(self, batches: Sequence[int], queue: Queue) -> None:
        live = queue.live() if batches else set()
        idle = [number for number in batches if number not in live]
        if idle:
            jobs = self._times(idle)
            queue.defer(jobs)
            awaited = {job.batch for job in jobs}
            self._db.native(CLEAR, ([number for number in idle if number not in awaited],))

    def _now(self) -> float:
        """By the server's clock, as the queue has it: nobody would fetch before its time a job to which a wrong clock gave that."""
        return float(self._db.native(f"SELECT {NOW}").fetchone()[0])

    def _times(self, batches: Sequence[int]) -> list[Job]:
        """When each of these batches is to be run next, as far as anything of them is open."""
        now = self._now()
        jobs: dict[int, Job] = {}
        next_open = cache(lambda hours, zone, at: Hours.parse(hours).next_open(zone, at))
        for batch, queue, not_before, due, hours, zone in self._db.native(WHEN, (list(batches), now, now + MOST)):
            at = due if not_before is None else max(due, not_before)
            # the hours in which its time came may have ended since
            at = next_open(hours, zone or UNKNOWN, max(at, now)) if hours else at
            if batch not in jobs or at < jobs[batch].at:
                jobs[batch] = Job(batch, queue, at)
        return list(jobs.values())
