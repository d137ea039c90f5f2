"""What nearly every group is made of, accepted messages and new intents, each kind written by one statement for all.

What they leave in the ledger is what `write_one` would leave. Whatever is not as usual is written one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mailer.ledger.attempts import write_one
from mailer.ledger.database import Connection
from mailer.ledger.entries import Item
from mailer.model import Outcome, Status

_SENT = """
UPDATE deliveries SET status = 'sent', reason = ?, next_attempt_at = NULL, updated_at = ?, attempts = attempts + 1,
    first_attempt_at = coalesce(first_attempt_at, ?)
WHERE id = ? AND token = ? AND status IN ('sending', 'uncertain')
"""

_ANSWERED = """
UPDATE attempts SET finished_at = ?, verdict = 'sent', scope = ?, phase = ?, code = ?, enhanced = ?, text = ?
WHERE id = (SELECT id FROM attempts WHERE delivery_id = ? AND token = ? AND verdict IS NULL ORDER BY id DESC LIMIT 1)
"""

_INTENDED = """
UPDATE deliveries SET status = 'sending', token = ?, updated_at = ?, first_attempt_at = coalesce(first_attempt_at, ?)
WHERE id = ? AND status IN ('queued', 'deferred')
"""

_BEGUN = "INSERT INTO attempts (delivery_id, token, account, domain, started_at) VALUES (?, ?, ?, ?, ?)"


SENT = Status.SENT


class Unusual(Exception):
    """Something in a group must be written one by one; a part of the group may have been written already."""


def write_each(connection: Connection, group: Sequence[Item]) -> list[bool]:
    """Write a group one by one. For each whether its intent was granted."""
    return [write_one(connection, *item) for item in group]


class Usual(NamedTuple):
    """A group by kinds of statements: each has the values of its rows."""

    sent: list[tuple[object, ...]]
    answered: list[tuple[object, ...]]
    intended: list[tuple[object, ...]]
    begun: list[tuple[object, ...]]


def sorted_out(group: Sequence[Item]) -> Usual:
    """Raises Unusual if something is neither an accepted message nor an intent, or if a delivery comes twice."""
    sent, answered, intended, begun = found = Usual([], [], [], [])
    told: Outcome | None = None
    words: tuple[object, ...] = ()
    for records, intent in group:
        for delivery, token, _, _, started_at, at, outcome, status, intended_before, reason, _, suppress in records:
            if status is not SENT or not intended_before or suppress:
                raise Unusual
            if outcome is not told:
                told, words = outcome, _words(outcome)
            sent.append((reason, at, started_at, delivery, token))
            answered.append((at, *words, delivery, token))
        if intent:
            delivery, token, account, domain, at = intent
            intended.append((token, at, at, delivery))
            begun.append((delivery, token, account, domain, at))
    if len({*(row[3] for row in sent), *(row[0] for row in begun)}) != len(sent) + len(begun):
        raise Unusual
    return found


def _words(outcome: Outcome) -> tuple[object, ...]:
    """Plain text: sqlite3 looks for an adapter of any other type, each time anew."""
    reply = outcome.reply
    code, enhanced = (reply.code, reply.enhanced) if reply else (None, None)
    return outcome.scope.value, outcome.phase.value, code, enhanced, outcome.text


def write_together(connection: Connection, group: Sequence[Item]) -> list[bool]:
    """Write a group of which every intent is granted. Raises Unusual: roll back, and write one by one."""
    sent, answered, intended, begun = sorted_out(group)
    if sent:
        connection.executemany(_SENT, sent)
        connection.executemany(_ANSWERED, answered)
    if intended:
        if connection.executemany(_INTENDED, intended).rowcount != len(intended):
            # somebody else has one of them: who it is comes out one by one
            raise Unusual
        connection.executemany(_BEGUN, begun)
    return [True] * len(group)
