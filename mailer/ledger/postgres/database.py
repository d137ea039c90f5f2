"""A ledger on PostgreSQL: how it writes, locks and reads what is large."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from mailer.ledger.database import Filling, Rows, Values
from mailer.ledger.entries import Item
from mailer.ledger.postgres import formats, group, home
from mailer.ledger.postgres.dialect import translated
from mailer.ledger.postgres.locks import ServerLock, Session, key_of
from mailer.ledger.postgres.opening import connect
from mailer.ledger.postgres.places import PostgresLender
from mailer.ledger.postgres.words import in_words
from mailer.ledger.together import Unusual, sorted_out, write_each
from mailer.model import Server

AT_ONCE = 2000
"""Rows that a long answer brings at a time."""

FORGET = (
    "DELETE FROM batches",
    "DELETE FROM detached",
    "DELETE FROM senders",
    # what was sent since the copy counts towards quotas, and nobody knows how much that was
    "UPDATE places SET holder = NULL, free_at = greatest(free_at, extract(epoch FROM clock_timestamp()) + seconds * 1.001)",
)
"""Who worked, and at what, where a copy comes from."""


class Speaker:
    """A connection that understands the ledger's statements."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.alone = 0
        """The lock of whoever changes more than single deliveries."""

    def native(self, statement: str, values: Any = ()) -> Any:
        """A statement in PostgreSQL's own words."""
        return self.connection.execute(statement, values or None)

    def execute(self, statement: str, values: Any = (), /) -> Rows:
        said = translated(statement)
        return self.connection.execute(said.text, said.bound(values) or None)

    def executemany(self, statement: str, rows: Iterable[Any], /) -> Rows:
        said = translated(statement)
        cursor = self.connection.cursor()
        cursor.executemany(said.text, (said.bound(row) for row in rows))
        return cursor

    @contextmanager
    def plain_errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise in_words(error) from None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Alone with what many deliveries share, as SQLite's write lock would have it."""
        with self.plain_errors(), self._within("BEGIN"):
            self.native("SELECT pg_advisory_xact_lock($1)", (self.alone,))
            yield

    @contextmanager
    def _within(self, begin: str) -> Iterator[None]:
        self.native(begin)
        try:
            yield
            self.native("COMMIT")
        except BaseException:
            self.roll_back()
            raise

    def roll_back(self) -> None:
        if self.connection.info.transaction_status is not TransactionStatus.IDLE:
            # on a connection that is lost the server does it
            with contextlib.suppress(psycopg.Error):
                self.native("ROLLBACK")


class Postgres(Speaker):
    """An open database."""

    def __init__(self, place: Server, *, create: bool = True) -> None:
        super().__init__(connect(place))
        self.place = place
        try:
            self._secret = self._made_ready(create=create)
        except psycopg.Error as error:
            self.connection.close()
            raise in_words(error, opening=True) from None
        except BaseException:
            self.connection.close()
            raise
        self.alone = key_of(self._secret, "alone")
        self._session = Session(lambda: connect(place))
        self._numbers = itertools.count()

    def _made_ready(self, *, create: bool) -> bytes:
        """Make or migrate the tables as needed. The ledger's secret."""
        if not formats.is_current(self, create=create):
            self.native("SELECT pg_advisory_lock($1)", (formats.MAKING,))
            line = home.timeline(self)
            with self._within("BEGIN"):
                formats.bring_up_to_date(self, create=create, line=line)
            self.native("SELECT pg_advisory_unlock($1)", (formats.MAKING,))
        return bytes(self.native("SELECT value FROM meta WHERE key = 'secret'").fetchone()[0])

    def close(self) -> None:
        self._session.close()
        self.connection.close()

    def each(self, statement: str, values: Values = ()) -> Iterator[tuple[Any, ...]]:
        said = translated(statement)
        # kept by the server until it is read, so that other statements can come in between
        name = f"each {next(self._numbers)}"
        with psycopg.RawServerCursor(self.connection, name, withhold=True) as cursor:
            cursor.itersize = AT_ONCE
            cursor.execute(said.text, said.bound(values) or None)
            yield from cursor

    @contextmanager
    def large_transaction(self) -> Iterator[None]:
        with self.transaction():
            yield
            # the planner has not seen what was just written
            self.native("ANALYZE deliveries")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with self.plain_errors(), self._within("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield

    def jot(self, statement: str, rows: Iterable[Sequence[object]]) -> bool:
        # rows of their own wait for nobody
        with self.plain_errors(), self._within("BEGIN"):
            self.executemany(statement, rows)
        return True

    def erasing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def wipe(self, *tables: str) -> None:
        """What stands in the log of changes and in backups goes when those go."""
        with self.plain_errors():
            # the planner's statistics hold samples of what stood there
            self.native(f"VACUUM (ANALYZE) {', '.join(tables)}")

    def fill(self, filling: Filling, rows: Iterable[Sequence[object]]) -> None:
        table, columns = filling.table, ", ".join(filling.columns)
        same = ", ".join(repr(value) for value in filling.same.values())
        # a row without a key is one of its kind
        one = """coalesce(key, place::text COLLATE "C"), key IS NULL"""
        self.native(
            f"CREATE TEMPORARY TABLE filling ON COMMIT DROP AS SELECT {columns}, 0::bigint AS place FROM {table} WITH NO DATA"
        )
        with self.connection.cursor().copy(f"COPY filling ({columns}, place) FROM STDIN") as copy:
            for place, row in enumerate(rows):
                copy.write_row((*row, place))
        # where a key comes twice the later row counts, at the place of the first
        self.native(
            f"INSERT INTO {table} ({', '.join(filling.same)}, {columns}) SELECT {same}, {columns} FROM ("
            f"SELECT DISTINCT ON ({one}) {columns}, min(place) OVER (PARTITION BY {one}) AS first FROM filling"
            f" ORDER BY {one}, place DESC) AS once ORDER BY first {filling.otherwise}"
        )
        self.native("DROP TABLE filling")

    def pour(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
        """Rows that are not there yet, as they are; how many they were."""
        count = 0
        with self.connection.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
                count += 1
        return count

    def is_at_home(self) -> bool | None:
        return home.is_home(self)

    def settle_in(self) -> None:
        line = home.timeline(self)
        with self.transaction():
            home.mark(self, line)

    def leave_home(self) -> None:
        with self.transaction():
            self.native(home.ABROAD)

    @contextmanager
    def settling_in(self) -> Iterator[None]:
        line = home.timeline(self)
        with self.transaction():
            home.mark(self, line)
            for statement in FORGET:
                self.native(statement)
            yield

    def whole(self, number: str) -> str:
        return f"floor({number})"

    def lock(self, name: str, kind: str = "") -> ServerLock:
        return ServerLock(self._session, key_of(self._secret, "lock", kind, name), self._look)

    def shared_lock(self, name: str) -> ServerLock:
        """The same lock as `lock(name)`, for those who may hold it together."""
        return ServerLock(self._session, key_of(self._secret, "lock", "", name), self._look, shared=True)

    def key(self, *names: str) -> int:
        """The number of a lock that a transaction of this ledger takes."""
        return key_of(self._secret, *names)

    @contextmanager
    def beside(self, key: int) -> Iterator[None]:
        """A transaction that does not hold up those who write deliveries; alone with others that take this lock."""
        with self.plain_errors(), self._within("BEGIN"):
            self.native("SELECT pg_advisory_xact_lock($1)", (key,))
            yield

    def _look(self, query: str, values: tuple[object, ...]) -> Any:
        with self.plain_errors():
            return self.native(query, values)

    def leave_trace(self) -> None:
        """A server's tables are not lost, and begun anew, by chance."""

    def pen(self) -> PostgresPen:
        """The session that holds the locks, if there are any: who loses them cannot write any more."""
        if self._session.held:
            return PostgresPen(self._session.connection, self.alone, turn=self._session.turn)
        return PostgresPen(connect(self.place), self.alone)

    def lender(self) -> PostgresLender:
        return PostgresLender(lambda: connect(self.place))


class PostgresPen(Speaker):
    """Writes the groups of one `Writer`."""

    is_remote = True

    def __init__(self, connection: psycopg.Connection[Any], alone: int, *, turn: threading.Lock | None = None) -> None:
        """`turn` belongs to a connection that others use, too."""
        super().__init__(connection)
        self.alone = alone
        self._closes = turn is None
        self._turn = turn or threading.Lock()
        with self.plain_errors(), self._turn:
            self.native(group.PLANS)

    def write(self, item_group: Sequence[Item]) -> list[bool]:
        with self._turn:
            return self._written(item_group)

    def _written(self, item_group: Sequence[Item]) -> list[bool]:
        try:
            usual = sorted_out(item_group)
        except Unusual:
            with self.transaction():
                return write_each(self, item_group)
        with self.plain_errors():
            granted = group.write(self.connection, self.alone, usual)
        return [intent is None or intent.delivery in granted for _, intent in item_group]

    def is_busy(self, error: BaseException) -> bool:  # noqa: ARG002 - the server has waited already
        return False

    def interrupt(self) -> None:
        try:
            self.connection.cancel_safe(timeout=1)
        except psycopg.Error:
            # it is silent: whoever reads from it reads its end now
            with contextlib.suppress(psycopg.Error, OSError):
                handle = socket.fromfd(self.connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
                with handle:
                    handle.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        if self._closes:
            self.connection.close()
