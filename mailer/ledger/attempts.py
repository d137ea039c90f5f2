"""Intents and outcomes as rows, written one statement at a time."""

from __future__ import annotations

from collections.abc import Sequence

from mailer.ledger.database import Connection
from mailer.ledger.entries import Intent, Record
from mailer.ledger.leaving import ADD, LEAVE_ADDRESS, UNLIST_ONE
from mailer.model import EVERYWHERE, OPEN, Reason, Status


def write_one(connection: Connection, records: Sequence[Record], intent: Intent | None) -> bool:
    """Outcomes, then the intent after them, one statement at a time."""
    for record in records:
        write_record(connection, record)
    return write_intent(connection, intent) if intent else True


def write_intent(connection: Connection, intent: Intent) -> bool:
    """Compare and set: only one sender ever moves a delivery from open to sending."""
    changed = connection.execute(
        "UPDATE deliveries SET status = 'sending', token = ?, updated_at = ?,"
        " first_attempt_at = coalesce(first_attempt_at, ?)"
        " WHERE id = ? AND status IN ('queued', 'deferred')",
        (intent.token, intent.at, intent.at, intent.delivery),
    ).rowcount
    if not changed:
        return False
    connection.execute(
        "INSERT INTO attempts (delivery_id, token, account, domain, started_at) VALUES (?, ?, ?, ?, ?)",
        (intent.delivery, intent.token, intent.account, intent.domain, intent.at),
    )
    return True


def write_record(connection: Connection, record: Record) -> None:
    """Write an outcome, and move its delivery if it is still this sender's to move."""
    connection.execute(_MOVE_OWN if record.intended else _MOVE_FREE, _values(record))
    connection.execute(_COMPLETE if record.intended else _ADD, _values(record))
    if record.suppress:
        suppress_dead(connection, record.delivery, record.reason, record.finished_at)
    if record.suppress or record.status in OPEN:
        # dead for other campaigns too; and whoever was suppressed while on the wire does not get back into a queue
        connection.execute(LEAVE_ADDRESS, (record.finished_at, record.delivery))
    if record.status in OPEN:
        connection.execute(UNLIST_ONE, (record.finished_at, record.delivery))


def suppress_dead(connection: Connection, delivery: int | None, note: str, at: float) -> None:
    """Suppress whom a delivery was for, since there is no such address, as its server says."""
    for (key,) in connection.execute(
        "SELECT key FROM deliveries WHERE id = ? AND key IS NOT NULL", (delivery,)
    ).fetchall():
        values = {
            "entry": key,
            "scope": EVERYWHERE,
            "reason": Reason.BOUNCE,
            "note": note,
            "source": "refused",
            "at": at,
        }
        connection.execute(ADD, values)


def _values(record: Record) -> dict[str, object]:
    outcome = record.outcome
    # A delivery that goes back into the queue did not get its try: it keeps its place and its schedule.
    tried = record.status is not Status.QUEUED
    return {
        "delivery": record.delivery,
        "token": record.token,
        "account": record.account,
        "domain": record.domain,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "first_attempt_at": record.started_at if tried else None,
        "tries": int(tried),
        "status": record.status,
        "reason": record.reason,
        "next_attempt_at": record.next_attempt_at,
        "verdict": outcome.verdict,
        "scope": outcome.scope,
        "phase": outcome.phase,
        "code": outcome.reply.code if outcome.reply else None,
        "enhanced": outcome.reply.enhanced if outcome.reply else None,
        "text": outcome.text,
    }


_MOVE = """
UPDATE deliveries SET status = :status, reason = :reason, next_attempt_at = :next_attempt_at, updated_at = :finished_at,
    attempts = attempts + :tries, first_attempt_at = coalesce(first_attempt_at, :first_attempt_at)
WHERE id = :delivery AND """

# after an intent: still by proof that comes late, while nobody else has decided
_MOVE_OWN = _MOVE + "token = :token AND status IN ('sending', 'uncertain')"

# refused before the dot: nobody held it
_MOVE_FREE = _MOVE + "status IN ('queued', 'deferred')"

# who was erased meanwhile has no key; what a server says may name them
_TEXT = "CASE WHEN EXISTS (SELECT 1 FROM deliveries WHERE id = :delivery AND key IS NULL) THEN '' ELSE CAST(:text AS TEXT) END"

# The attempt that this sender began. Another one may have tried the delivery again since.
_COMPLETE = f"""
UPDATE attempts SET finished_at = :finished_at, verdict = :verdict, scope = :scope, phase = :phase, code = :code,
    enhanced = :enhanced, text = {_TEXT}
WHERE id = (SELECT max(id) FROM attempts WHERE delivery_id = :delivery AND token = :token AND verdict IS NULL)
"""

# The delivery may be gone: its campaign was frozen anew while this sender stood still.
_ADD = f"""
INSERT INTO attempts (delivery_id, token, account, domain, started_at, finished_at, verdict, scope, phase, code,
    enhanced, text)
VALUES ((SELECT id FROM deliveries WHERE id = :delivery), :token, :account, :domain, :started_at, :finished_at,
    :verdict, :scope, :phase, :code, :enhanced, {_TEXT})
"""
