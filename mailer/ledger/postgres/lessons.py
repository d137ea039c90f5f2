"""What all senders of an account have learned of what its relay bears, in PostgreSQL, by the clock of the server.

The rule is in mailer/throttle.py, who sees what in mailer/pace/adaptive.py. A look changes nothing and waits for nobody; turns, storms
and good stretches take the account's row for an instant.
"""

from __future__ import annotations

from typing import Any

import psycopg

from mailer.model import Learned, Lesson
from mailer.throttle import OBSERVED_SECONDS, Allowance

FORGOTTEN = 3600.0
"""Seconds: whoever has sent nothing under a pace for so long begins anew. A storm of last week tells nothing."""

NOW = "extract(epoch FROM clock_timestamp())::float8"

LOOK = f"SELECT storms, rate, before, peak, next_at, used_at, {NOW} FROM throttles WHERE account = $1"

KNOWN = "INSERT INTO throttles (account) VALUES ($1) ON CONFLICT DO NOTHING"

KEEP = (
    "UPDATE throttles SET storms = $2, rate = $3, before = $4, peak = $5, next_at = $6, used_at = $7 WHERE account = $1"
)

SEEN = """
SELECT count(*) / greatest($2 - min(finished_at), 1) FROM attempts WHERE account = $1 AND finished_at > $2 - $3::float8
"""
"""Messages a second of all senders, within as many seconds as one alone would look back."""


def learn(connection: psycopg.Connection[Any], account: str, lesson: Lesson) -> Learned:
    """Raises psycopg.Error."""
    if not (lesson.storm or lesson.stretches or lesson.turns):
        storms, allowed, _, _ = _understood(connection.execute(LOOK, (account,)).fetchone())
        return Learned(storms, allowed.rate, [])
    with connection.transaction():
        if lesson.storm:
            connection.execute(KNOWN, (account,))
        storms, allowed, next_at, now = _understood(connection.execute(f"{LOOK} FOR UPDATE", (account,)).fetchone())
        # somebody else has seen this storm before, or sent what fared well at another pace
        if lesson.storms == storms:
            if lesson.storm:
                [seen] = connection.execute(SEEN, (account, now, OBSERVED_SECONDS)).fetchone() or (None,)
                storms, allowed, next_at = storms + 1, allowed.after_storm(seen or 1.0), now
            else:
                allowed = allowed.after_stretches(lesson.stretches)
        turns: list[float] = []
        if allowed.rate:
            first = max(next_at, now)
            turns = [first - now + number / allowed.rate for number in range(lesson.turns)]
            next_at = first + lesson.turns / allowed.rate
        connection.execute(KEEP, (account, storms, allowed.rate, allowed.before, allowed.peak, next_at, now))
    return Learned(storms, allowed.rate, turns)


def _understood(row: Any) -> tuple[int, Allowance, float, float]:
    """How many storms there were, what is allowed, when the next turn is, and the time."""
    if row is None:
        return 0, Allowance(), 0.0, 0.0
    storms, rate, before, peak, next_at, used_at, now = row
    allowed = Allowance(rate=rate, before=before, peak=peak) if now - used_at < FORGOTTEN else Allowance()
    return storms, allowed, next_at, now
