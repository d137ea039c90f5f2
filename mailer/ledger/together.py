"""What nearly every group is made of, accepted messages and new intents, written by one statement.

A thread that runs SQL gives up the interpreter's lock for each statement, and gets it back when the event loop has nothing to
do: with eight connections four statements a message would wait longer for the lock than for the disk. So the rows travel as
JSON into a trigger, which is a transaction of its own. Whatever is not as usual aborts it, and is written one by one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from mailer.ledger.attempts import Intent, Record
from mailer.model import Outcome, Status

Item = tuple[Sequence[Record], Intent | None]

_VIEW = "CREATE TEMP VIEW wire AS SELECT NULL AS token, NULL AS account, NULL AS outcomes, NULL AS intents"

_TRIGGER = """
CREATE TEMP TRIGGER write_wire INSTEAD OF INSERT ON wire
BEGIN
    UPDATE deliveries SET status = 'sent', reason = json_extract(o.value, '$[8]'), next_attempt_at = NULL, updated_at = json_extract(o.value, '$[2]'),
        attempts = attempts + 1, first_attempt_at = coalesce(first_attempt_at, json_extract(o.value, '$[1]'))
    FROM json_each(NEW.outcomes) AS o
    WHERE deliveries.id = json_extract(o.value, '$[0]') AND token = NEW.token AND status IN ('sending', 'uncertain');

    UPDATE attempts SET finished_at = json_extract(o.value, '$[2]'), verdict = 'sent',
        scope = json_extract(o.value, '$[3]'), phase = json_extract(o.value, '$[4]'), code = json_extract(o.value, '$[5]'),
        enhanced = json_extract(o.value, '$[6]'), text = json_extract(o.value, '$[7]')
    FROM json_each(NEW.outcomes) AS o
    WHERE attempts.id = (SELECT max(a.id) FROM attempts AS a
        WHERE a.delivery_id = json_extract(o.value, '$[0]') AND a.token = NEW.token AND a.verdict IS NULL);

    UPDATE deliveries SET status = 'sending', token = NEW.token, updated_at = json_extract(i.value, '$[1]'),
        first_attempt_at = coalesce(first_attempt_at, json_extract(i.value, '$[1]'))
    FROM json_each(NEW.intents) AS i
    WHERE deliveries.id = json_extract(i.value, '$[0]') AND status IN ('queued', 'deferred');

    -- somebody else has one of them: who it is comes out one by one
    SELECT raise(ABORT, 'taken') WHERE changes() <> json_array_length(NEW.intents);

    INSERT INTO attempts (delivery_id, token, account, domain, started_at)
    SELECT json_extract(i.value, '$[0]'), NEW.token, NEW.account, json_extract(i.value, '$[2]'),
        json_extract(i.value, '$[1]') FROM json_each(NEW.intents) AS i;
END
"""


def prepare_together(connection: sqlite3.Connection) -> bool:
    """Make the trigger for this connection. False where this SQLite is too old for it (before 3.33, or without JSON)."""
    try:
        connection.execute("SELECT json_array_length('[]')")
        connection.execute(_VIEW)
        connection.execute(_TRIGGER)
    except sqlite3.OperationalError:
        return False
    return True


def write_together(connection: sqlite3.Connection, group: Sequence[Item]) -> bool:
    """Write and commit a whole group. False, with nothing written, if something in it is not as usual."""
    outcomes, intents, senders, ids = [], [], set(), set()
    for records, intent in group:
        for record in records:
            outcome = record.outcome
            if record.status is not Status.SENT or not record.intended or record.suppress:
                return False
            outcomes.append((record.delivery, record.started_at, record.finished_at, *_words(outcome), record.reason))
            senders.add((record.token, record.account))
            ids.add(record.delivery)
        if intent:
            intents.append((intent.delivery, intent.at, intent.domain))
            senders.add((intent.token, intent.account))
            ids.add(intent.delivery)
    if len(senders) != 1 or len(ids) != len(outcomes) + len(intents):
        return False
    token, account = senders.pop()
    try:
        connection.execute(
            "INSERT INTO wire VALUES (?, ?, ?, ?)", (token, account, json.dumps(outcomes), json.dumps(intents))
        )
    except sqlite3.IntegrityError:
        return False
    return True


def _words(outcome: Outcome) -> tuple[str, str, int | None, str | None, str]:
    reply = outcome.reply
    code, enhanced = (reply.code, reply.enhanced) if reply else (None, None)
    return outcome.scope.value, outcome.phase.value, code, enhanced, outcome.text
