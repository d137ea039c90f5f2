"""Sees to it that a quota has as many places as it says, and that they count what was sent without them.

While nobody keeps a quota messages leave without a place of it; and a quota that was smaller for a while has lost the places of some.
So whoever comes with a quota compares its places with what was sent. Of both the newest are put side by side: while at any time no
fewer places are taken than messages count, all is well. It is enough, since a place that is taken longer for one message may stand
for any other. Ranks are worked out here and rows changed by their keys: the server would have to compare each with each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from mailer.ledger.postgres.history import NOW, Sent
from mailer.model import PlaceKey

SENDERS = 0x6D61696C
"""The kind of lock, of two numbers, that a sender of leases holds. Other locks are of one number."""

EVEN = 60
"""Seconds: the places of a shorter window are free one after the other from the beginning. Were all of them free at once, all senders would be busy
in one part of each window, in which messages wait for them, and idle in the other. A minute or more nobody is made to wait for that.
"""

# A sender that has just died may have handed a message over in this instant: its places are taken for a whole window from now on, or from
# when they are free, where that is later: it may live, and not know yet that its session has died.
BURY = f"""
WITH held AS MATERIALIZED (SELECT DISTINCT holder FROM places WHERE holder IS NOT NULL AND holder <> $1),
dead AS MATERIALIZED (SELECT holder FROM held WHERE pg_try_advisory_xact_lock($2, holder))
UPDATE places p SET holder = NULL, free_at = greatest(p.free_at, {NOW}) + p.seconds * $3::float8
FROM dead WHERE p.holder = dead.holder
"""

COUNT = f"""
SELECT {NOW}, count(*), coalesce(max(number), -1), count(holder) FROM places WHERE account = $1 AND domain = $2 AND seconds = $3
"""

# Of a quota that is smaller now those places go that are free first: what was sent still counts.
FIRST = """
SELECT number FROM places WHERE account = $1 AND domain = $2 AND seconds = $3 AND holder IS NULL
ORDER BY free_at LIMIT $4 FOR UPDATE SKIP LOCKED
"""
FEWER = "DELETE FROM places WHERE account = $1 AND domain = $2 AND seconds = $3 AND number = ANY($4::bigint[])"
MORE = """
INSERT INTO places (account, domain, seconds, number, free_at)
SELECT $1, $2, $3, r.number, r.free_at FROM unnest($4::bigint[], $5::float8[]) AS r (number, free_at)
"""

LATEST = """
SELECT number, free_at FROM places WHERE account = $1 AND domain = $2 AND seconds = $3 AND holder IS NULL
ORDER BY free_at DESC, number DESC LIMIT $4
"""
# Nobody is waited for: what somebody leases in this instant was somebody's who knows the quota.
MINE = """
SELECT number FROM places WHERE account = $1 AND domain = $2 AND seconds = $3 AND number = ANY($4::bigint[]) FOR UPDATE SKIP LOCKED
"""
# Until the table is analyzed the planner takes it for almost empty, and would look through it once for each row.
LINED_UP = "SELECT set_config('enable_nestloop', 'off', true)"
# A place that was leased meanwhile may be among them: who has it says when it is free, or has not used it.
LATER = """
UPDATE places p SET free_at = greatest(p.free_at, r.free_at) FROM unnest($4::bigint[], $5::float8[]) AS r (number, free_at)
WHERE p.account = $1 AND p.domain = $2 AND p.seconds = $3 AND p.number = r.number
"""


MANY = 1000
"""So many new places are made known to the planner at once, which would look through all of them for each lease until somebody has."""


class Change(NamedTuple):
    """From when on places are free, by number: of some that there are, and of new ones."""

    later: dict[int, float]
    new: dict[int, float]


def counted(key: PlaceKey, sent: Sent, held: int, now: float) -> list[float]:
    """Until when messages count that have none of the places held, last first.

    What is under way has such a place, where there are as many.
    """
    times = [*[sent.at] * max(0, sent.under_way - held), *sent.ended][: key.places]
    return [at + key.span for at in times if at + key.span > now]


def compared(
    key: PlaceKey, until: Sequence[float], idle: Sequence[tuple[int, float]], new: range, now: float
) -> Change:
    """Have places stand for messages that count `until` then: those that nobody holds, (number, free at) last first, then new ones."""
    later = {number: at for (number, free_at), at in zip(idle, until, strict=False) if free_at < at}
    step = key.seconds / key.places if key.seconds < EVEN else None
    free = [0.0 if step is None else now + nth * step for nth in range(len(new))]
    left = until[len(idle) : len(idle) + len(new)]
    free[len(free) - len(left) :] = reversed(left)
    return Change(later, dict(zip(new, free, strict=True)))


def fit(connection: psycopg.Connection[Any], holder: int, key: PlaceKey, sent: Sent) -> bool:
    """Make a quota's places fit it; whoever says last how many there are decides. `sent` was read before.

    False while there are more than that, since others hold them.
    """
    with connection.transaction():
        fits, made = fit_within(connection, holder, key, sent)
    if made >= MANY:
        connection.execute("ANALYZE places")
    return fits


def fit_within(connection: psycopg.Connection[Any], holder: int, key: PlaceKey, sent: Sent) -> tuple[bool, int]:
    """The same within a transaction, and how many places are new."""
    whose = (key.account, key.domain, key.seconds)
    connection.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", (f"{key.account}\n{key.domain}", key.seconds)
    )
    now, there, last, held = _count(connection, whose)
    if held:
        connection.execute(BURY, (holder, SENDERS, key.span / key.seconds))
        now, there, last, held = _count(connection, whose)
    over = max(0, there - key.places)
    if gone := [row[0] for row in connection.execute(FIRST, (*whose, over))] if over else []:
        connection.execute(FEWER, (*whose, gone))
    until = counted(key, sent, held, now)
    idle = connection.execute(LATEST, (*whose, len(until))).fetchall() if until and there else []
    change = compared(key, until, idle, range(last + 1, last + 1 + max(0, key.places - there)), now)
    if change.new:
        connection.execute(MORE, (*whose, list(change.new), list(change.new.values())))
    if change.later:
        mine = {row[0] for row in connection.execute(MINE, (*whose, list(change.later)))}
        later = {number: at for number, at in change.later.items() if number in mine}
        connection.execute(LINED_UP)
        connection.execute(LATER, (*whose, list(later), list(later.values())))
    return len(gone) == over, len(change.new)


def _count(connection: psycopg.Connection[Any], whose: tuple[str, str, int]) -> tuple[float, int, int, int]:
    row: tuple[float, int, int, int] | None = connection.execute(COUNT, whose).fetchone()
    assert row
    return row
