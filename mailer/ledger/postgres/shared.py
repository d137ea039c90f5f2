"""What workers share in a ledger on PostgreSQL: batches, who sends them, and the tables of the queue that brings them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg

from mailer.errors import BrokenLedgerError
from mailer.ledger.postgres import formats
from mailer.ledger.postgres.batches import Batches
from mailer.ledger.postgres.database import Postgres
from mailer.ledger.postgres.opening import address_of
from mailer.ledger.postgres.senders import Senders


class Step(NamedTuple):
    """What brings the queue's tables from one version to the next. Names are in order."""

    name: str
    statements: Callable[[], str]


class QueueTables(NamedTuple):
    """The tables of the queue: `mark` is one of them, `steps` how they came to be what `whole` makes at once."""

    mark: str
    whole: Callable[[], str]
    steps: Sequence[Step]


class Shared(Batches, Senders):
    """What workers share."""

    def __init__(self, db: Any) -> None:
        assert isinstance(db, Postgres)
        super().__init__(db)

    @property
    def address(self) -> str:
        """Where the queue connects to. There may be a password in it."""
        return address_of(self._db.place)

    def lend(self, row_factory: Any) -> psycopg.Cursor[Any]:
        """A cursor for statements in the words of another library, within the transaction that is under way."""
        return psycopg.Cursor(self._db.connection, row_factory=row_factory)

    def refuse_newer(self) -> None:
        """Raises BrokenLedgerError if a newer mailer has changed the tables since this ledger was opened."""
        with self._db.plain_errors():
            formats.refuse_newer(self._db)

    def prepare(self, tables: QueueTables) -> None:
        """Make the queue's tables, or bring them up to date. Raises BrokenLedgerError where they are newer, or not ours."""
        while not self._prepared(tables):
            # one step, one transaction: a later one may use what PostgreSQL shows only after a commit
            pass

    def _prepared(self, tables: QueueTables) -> bool:
        """Whether all is there; else it is one step nearer."""
        newest = tables.steps[-1].name
        with self._db.beside(self._db.key("queue")):
            known = self._db.native("SELECT convert_from(value, 'UTF8') FROM meta WHERE key = 'queue'").fetchone()
            if known is None:
                self._make(tables)
                self._note(newest)
                return True
            if known[0] > newest:
                raise BrokenLedgerError(
                    "The queue of workers in the ledger on PostgreSQL was made by a newer mailer.",
                    hint="update mailer on this computer, then run the same command again",
                )
            if step := next((step for step in tables.steps if step.name > known[0]), None):
                self._db.native(step.statements())
                self._note(step.name)
            return step is None

    def _make(self, tables: QueueTables) -> None:
        if self._db.native("SELECT to_regclass($1)", (tables.mark,)).fetchone() != (None,):
            raise BrokenLedgerError(
                "The ledger's database on PostgreSQL holds the queue of another program.",
                hint="give mailer a database of its own, see 'The ledger on PostgreSQL' in README.md",
            )
        self._db.native(tables.whole())

    def _note(self, version: str) -> None:
        self._db.native(
            "INSERT INTO meta (key, value) VALUES ('queue', convert_to($1, 'UTF8'))"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (version,),
        )
