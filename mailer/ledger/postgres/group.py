"""What nearly every group is made of, accepted messages and new intents, as one statement and one round trip.

One statement also so that it is whole or has not begun: a transaction of several, even if they leave together, may be cut in its middle by
a process that stands still, and then keeps its locks from everybody. What it leaves in the ledger is what `attempts.write_one` would leave; whatever is not as usual is written that way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from mailer.ledger.together import Usual

TOGETHER = """
WITH sent AS (
    UPDATE deliveries d SET status = 'sent', reason = n.reason, next_attempt_at = NULL, updated_at = n.at,
        attempts = d.attempts + 1, first_attempt_at = coalesce(d.first_attempt_at, n.began)
    FROM unnest($1::text[], $2::float8[], $3::float8[], $4::bigint[], $5::text[]) AS n (reason, at, began, delivery, token)
    WHERE d.id = n.delivery AND d.token = n.token AND d.status || '' IN ('sending', 'uncertain')
), answered AS (
    UPDATE attempts a SET finished_at = n.at, verdict = 'sent', scope = n.scope, phase = n.phase, code = n.code,
        enhanced = n.enhanced, text = n.text
    FROM (
        SELECT w.*, (SELECT b.id FROM attempts b WHERE b.delivery_id = w.delivery AND b.token = w.token
            AND b.verdict IS NULL ORDER BY b.id DESC LIMIT 1) AS attempt
        FROM unnest($6::float8[], $7::text[], $8::text[], $9::bigint[], $10::text[], $11::text[], $4::bigint[], $5::text[])
            AS w (at, scope, phase, code, enhanced, text, delivery, token)
    ) n
    WHERE a.id = n.attempt
), intended AS (
    UPDATE deliveries d SET status = 'sending', token = n.token, updated_at = n.at,
        first_attempt_at = coalesce(d.first_attempt_at, n.at)
    FROM unnest($12::bigint[], $13::text[], $14::text[], $15::text[], $16::float8[])
        AS n (delivery, token, account, domain, at)
    WHERE d.id = n.delivery AND d.status || '' IN ('queued', 'deferred')
    RETURNING n.*
), begun AS (
    INSERT INTO attempts (delivery_id, token, account, domain, started_at)
    SELECT delivery, token, account, domain, at FROM intended
)
SELECT delivery FROM intended
"""


PLANS = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', false), set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false), set_config('enable_seqscan', 'off', false),
    set_config('enable_bitmapscan', 'off', false)
"""
"""For a connection that looks up single rows by their numbers, however many there are. The planner does not know yet how many
attempts there will be, and would read them all; or all that ever were `sending`, which the index of statuses still remembers.
"""


TYPES = (
    "text[]", "float8[]", "float8[]", "bigint[]", "text[]",
    "float8[]", "text[]", "text[]", "bigint[]", "text[]", "text[]",
    "bigint[]", "text[]", "text[]", "text[]", "float8[]", "bigint",
)  # fmt: skip
"""Of the values of TOGETHER, and of the lock `alone`."""

# each of the two sees what was committed before it begins, which a plain statement that takes a lock, too, would not
FUNCTION = f"""
CREATE OR REPLACE FUNCTION write_group({", ".join(TYPES)}) RETURNS SETOF bigint LANGUAGE plpgsql AS $group$
BEGIN
    PERFORM pg_advisory_xact_lock_shared($17);
    RETURN QUERY {TOGETHER};
END
$group$
"""

CALL = f"SELECT write_group({', '.join(f'${number}::{name}' for number, name in enumerate(TYPES, 1))})"


def write(connection: psycopg.Connection[Any], alone: int, usual: Usual) -> set[int]:
    """Write a group in a transaction of its own; the deliveries whose intents were granted. Raises psycopg.Error.

    It shares the ledger with other groups, but not with whoever changes more than single deliveries (`alone`): no group has to
    know what a suppression does meanwhile, and nobody waits for each other in a circle.
    """
    values = [*_columns(usual.sent, 5), *_columns([row[:6] for row in usual.answered], 6), *_columns(usual.begun, 5)]
    return {row[0] for row in connection.execute(CALL, [*values, alone])}


def _columns(rows: Sequence[tuple[object, ...]], number: int) -> list[list[object]]:
    return [[row[place] for row in rows] for place in range(number)]
