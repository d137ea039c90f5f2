"""What all parts of the ledger share: one connection, plain errors, whole transactions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from mailer.ledger.cipher import LedgerKey
from mailer.ledger.connection import connect, plain_errors
from mailer.model import Manifest

LARGE = (
    # the index of addresses is written all over: with SQLite's 2 MB each of its pages goes to the disk many times
    "PRAGMA cache_size = -65536",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA ignore_check_constraints = ON",
)
USUAL = (
    "PRAGMA cache_size = -2000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA ignore_check_constraints = OFF",
    "PRAGMA shrink_memory",
)


class Store:
    """An open ledger file; an encrypted one has a key. Raises LedgerError for whatever SQLite says."""

    def __init__(self, path: Path, *, create: bool = True, key: LedgerKey | None = None) -> None:
        # the file itself, not a link to it: the locks of senders stand beside it
        self.path = path.resolve() if path.is_symlink() else path
        self.key = key
        self._db = connect(self.path, create=create, key=key)

    def close(self) -> None:
        self._db.close()

    def _all(self, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        with plain_errors(self.path):
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: object) -> tuple:  # type: ignore[type-arg]
        return self._all(query, *values)[0]

    def _each(self, query: str, *values: object) -> Iterator[tuple]:  # type: ignore[type-arg]
        with plain_errors(self.path):
            yield from self._db.execute(query, values)

    def _run(self, statement: str, *values: object) -> int:
        with plain_errors(self.path):
            return self._db.execute(statement, values).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, with the write lock from the beginning."""
        with plain_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _large_transaction(self) -> Iterator[None]:
        """A transaction that writes a whole list: with room for its indexes in memory, and without looking at each row.

        What is skipped are the checks that statuses are ours and campaigns exist: one place writes all rows, from an enum and
        for one campaign. Durability is that of every transaction.
        """
        try:
            for pragma in LARGE:
                self._run(pragma)
            with self._transaction():
                yield
        finally:
            for pragma in USUAL:
                self._db.execute(pragma)


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def manifest_from(text: str) -> Manifest:
    """A manifest as it was written into the ledger."""
    data = json.loads(text)
    return Manifest(**{**data, "senders": tuple(data["senders"])})
