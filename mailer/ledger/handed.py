"""What was handed to mail servers lately, as quotas count it."""

from __future__ import annotations

from typing import Any, Protocol

from mailer.ledger.database import Rows
from mailer.ledger.store import ALL

# each found by the index in one step, however many attempts there are
ACCOUNTS = (
    "WITH RECURSIVE known(account) AS (SELECT min(account) FROM attempts UNION ALL"
    " SELECT (SELECT min(a.account) FROM attempts a WHERE a.account > known.account) FROM known"
    " WHERE known.account IS NOT NULL) SELECT account FROM known WHERE account IS NOT NULL"
)


class Answering(Protocol):
    """Where questions are asked in the ledger's words."""

    def execute(self, statement: str, values: Any = (), /) -> Rows: ...


def accounts(connection: Answering) -> list[str]:
    return [row[0] for row in connection.execute(ACCOUNTS).fetchall()]


def under_way(connection: Answering, account: str) -> list[str]:
    """To which domain each attempt goes that has no answer: nobody knows when the server saw it, so it counts as ending now.

    Ask for them before those that have ended, where others send meanwhile: else one that ends in between is in neither.
    """
    query = "SELECT domain FROM attempts WHERE account = ? AND finished_at IS NULL"
    return [row[0] for row in connection.execute(query, (account,)).fetchall()]


def ended(connection: Answering, account: str, since: float, newest: int = ALL) -> list[tuple[float, str]]:
    """When messages were handed to an account, newest first, and for which domain; blank where nobody knows."""
    query = (
        "SELECT finished_at, domain FROM attempts WHERE account = ? AND finished_at > ?"
        " ORDER BY finished_at DESC LIMIT ?"
    )
    return connection.execute(query, (account, since, newest)).fetchall()


def ended_by_domain(connection: Answering, account: str, since: float, newest: int = ALL) -> list[tuple[float, str]]:
    """The same, the `newest` so many to each domain."""
    query = (
        "SELECT finished_at, domain FROM (SELECT finished_at, domain, row_number()"
        " OVER (PARTITION BY domain ORDER BY finished_at DESC) AS place FROM attempts"
        " WHERE account = ? AND finished_at > ?) AS ended WHERE place <= ?"
    )
    return connection.execute(query, (account, since, newest)).fetchall()
