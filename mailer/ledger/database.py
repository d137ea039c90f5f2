"""What the rest of the ledger needs of its database: the one seam between a file with SQLite and a server with PostgreSQL.

Statements are written once, in SQL that both understand, with SQLite's marks for values (`?`, `?1`, `:name`). Where the two differ
the difference is a method here, with a name that says what is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from mailer.ledger.entries import Item
from mailer.model import LedgerPlace, Lender

Values = Sequence[object] | Mapping[str, object]


class Rows(Protocol):
    """What a statement came to."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[tuple[Any, ...]]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Where statements are said. A cursor of either library, or a connection, will do."""

    def execute(self, statement: str, values: Any = (), /) -> Rows: ...
    def executemany(self, statement: str, rows: Iterable[Any], /) -> Rows: ...


class Filling(NamedTuple):
    """Many rows for a table: what is the same for all of them, the columns that differ, and what becomes of a row that is there."""

    table: str
    same: Mapping[str, int | float]
    columns: Sequence[str]
    otherwise: str


class Lock(Protocol):
    """Held by one process at a time; it ends with the process, however that ends."""

    def acquire(self, seconds: float) -> bool:
        """Whether it is ours now; waits so long at most."""
        ...

    def release(self) -> None: ...
    def is_held(self) -> bool:
        """Whether anybody holds it just now."""
        ...


class Pen(Protocol):
    """The connection of a `Writer`: it writes groups, and nothing else."""

    @property
    def is_remote(self) -> bool:
        """Whether a commit waits for a network, so that the event loop must not wait for it."""
        ...

    def write(self, group: Sequence[Item]) -> list[bool]:
        """Make a group durable in one commit; for each of it whether its intent was granted. Raises LedgerError."""
        ...

    def is_busy(self, error: BaseException) -> bool:
        """Whether it only failed since another program writes just now, and may be asked again."""
        ...

    def interrupt(self) -> None:
        """Have a write end that nobody waits for any more. May be called by another thread."""
        ...

    def close(self) -> None: ...


class Database(Connection, Protocol):
    """An open ledger."""

    @property
    def place(self) -> LedgerPlace: ...

    def each(self, statement: str, values: Values = ()) -> Iterator[tuple[Any, ...]]:
        """Rows as they are needed: a million of them are never in memory at once."""
        ...

    def plain_errors(self) -> AbstractContextManager[None]:
        """Turn what the database says into what an organiser can act on: LedgerError and its kinds."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, and nobody else writes meanwhile."""
        ...

    def large_transaction(self) -> AbstractContextManager[None]:
        """A transaction that writes a whole list."""
        ...

    def snapshot(self) -> AbstractContextManager[None]:
        """All that is read inside is of one moment."""
        ...

    def jot(self, statement: str, rows: Iterable[Sequence[object]]) -> bool:
        """Insert what nothing depends on. Whoever else writes is not waited for: then nothing is inserted, and it comes to False."""
        ...

    def erasing(self) -> AbstractContextManager[None]:
        """What is deleted or overwritten inside is overwritten where it stood, as far as the database can see to it."""
        ...

    def wipe(self, *tables: str) -> None:
        """Leave nothing lying about of what was ever deleted or overwritten in these tables. Raises LedgerError while it cannot."""
        ...

    def fill(self, filling: Filling, rows: Iterable[Sequence[object]]) -> None:
        """Insert many rows, a later one after an earlier one."""
        ...

    def is_at_home(self) -> bool | None:
        """Whether it is the one that it was, and no copy that was put back; None where no mark says so yet."""
        ...

    def settle_in(self) -> None:
        """From now on it is at home where it is."""
        ...

    def leave_home(self) -> None:
        """Somebody knows that it is a copy: so it is for everybody from now on."""
        ...

    def settling_in(self) -> AbstractContextManager[None]:
        """A transaction that settles in, and forgets who worked where it came from."""
        ...

    def whole(self, number: str) -> str:
        """An expression for a positive number without its fraction."""
        ...

    def lock(self, name: str, kind: str = "") -> Lock: ...
    def leave_trace(self) -> None:
        """See to it that where mail was sent from, no new ledger is begun as if nothing had been."""
        ...

    def pen(self) -> Pen: ...
    def lender(self) -> Lender | None:
        """Who keeps the places of quotas for all who share the ledger; None where one sender at a time counts for itself."""
        ...

    def close(self) -> None: ...
