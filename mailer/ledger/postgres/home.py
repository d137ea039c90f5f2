"""Whether a database is the one that it was: a copy of it that was put back may not know who was mailed since.

A row of the ledger holds the number of the transaction that wrote it, which PostgreSQL notes beside every row as well (`xmin`). In a copy
by pg_dump another transaction has written it; a copy within the same server has another number as a database; and a server that
was put back to a moment, or a stand-by that has taken over, goes on in a new timeline. What none of them tells is a copy of
the server's files from when it stood still: only a worker that was there remembers what was durable (`Ledger.refuse_without`).
"""

from __future__ import annotations

from typing import Any, Protocol

import psycopg

HERE = "SELECT CAST(oid AS text) FROM pg_database WHERE datname = current_database()"

# of a number of 64 bits a row has the lower half
STANDS = f"""
SELECT CAST(split_part(mark, ' ', 1) AS numeric) % 4294967296 = CAST(CAST(written AS text) AS numeric)
    AND split_part(mark, ' ', 2) = ({HERE}), split_part(mark, ' ', 3)
FROM (SELECT convert_from(value, 'UTF8') AS mark, xmin AS written FROM meta WHERE key = 'home') AS home
"""

MARK = f"""
INSERT INTO meta (key, value)
SELECT 'home', convert_to(pg_current_xact_id()::text || ' ' || ({HERE}) || ' ' || CAST($1 AS text), 'UTF8')
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""

# a stand-by has no timeline of its own yet, and nobody sends from it
TIMELINE = """
SELECT CASE WHEN pg_is_in_recovery() THEN '' ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END
"""


class Session(Protocol):
    def native(self, statement: str, values: Any = ()) -> Any: ...


def is_home(session: Session) -> bool | None:
    """None where no mark stands yet. Call it outside of a transaction."""
    row = session.native(STANDS).fetchone()
    if row is None:
        return None
    unmoved, before = row
    now = timeline(session)
    return bool(unmoved and (not before or not now or before == now))


def timeline(session: Session) -> str:
    """In which history of its own the server is; nothing where it does not tell. Call it outside of a transaction."""
    try:
        return str(session.native(TIMELINE).fetchone()[0])
    except (psycopg.errors.InsufficientPrivilege, psycopg.NotSupportedError, psycopg.errors.UndefinedFunction):
        return ""


ABROAD = "UPDATE meta SET value = convert_to('0', 'UTF8') WHERE key = 'home'"
"""No transaction has this number: for all who come, it is a copy."""


def mark(session: Session, line: str) -> None:
    """Here it is at home from now on, in this timeline. Within a transaction, and never within a savepoint, which has a number of its own."""
    session.native(MARK, (line,))
