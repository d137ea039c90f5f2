"""A ledger in a file, with SQLite: how it writes, locks and forgets."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from filelock import FileLock, Timeout

from mailer.errors import LedgerError
from mailer.ledger import cipher
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.connection import BUSY_TIMEOUT_MS, IN_USE, SENT_FROM_HERE, connect, is_busy, plain_errors
from mailer.ledger.database import Connection, Filling, Values
from mailer.ledger.entries import Item
from mailer.ledger.together import Unusual, write_each, write_together
from mailer.model import said

File = tuple[int, int]

LOOK = 1.0
"""Seconds from one look for the file to the next while a campaign is sent."""

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


class Embedded:
    """An open file; an encrypted one has a key."""

    def __init__(self, path: Path, *, create: bool = True, key: LedgerKey | None = None) -> None:
        # the file itself, not a link to it: the locks of senders stand beside it
        self.place = path.resolve() if path.is_symlink() else path
        self._key = key
        self._connection = connect(self.place, create=create, key=key)
        self._file = _which(self.place)
        # the library's own, without a step in between
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany
        self.close = self._connection.close

    def each(self, statement: str, values: Values = ()) -> Iterator[tuple[Any, ...]]:
        return iter(self.execute(statement, values))

    def plain_errors(self) -> AbstractContextManager[None]:
        return plain_errors(self.place)

    def is_at_home(self) -> bool:
        """Of a file nobody can tell."""
        return True

    def settle_in(self) -> None: ...

    def leave_home(self) -> None: ...

    def settling_in(self) -> AbstractContextManager[None]:
        return self.transaction()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """With the write lock from the beginning."""
        with plain_errors(self.place):
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self.execute("ROLLBACK")
                raise

    @contextmanager
    def large_transaction(self) -> Iterator[None]:
        """With room for the indexes in memory, and without looking at each row.

        What is skipped are the checks that statuses are ours and campaigns exist: one place writes all rows, from an enum and
        for one campaign. Durability is that of every transaction.
        """
        try:
            with plain_errors(self.place):
                for pragma in LARGE:
                    self.execute(pragma)
            with self.transaction():
                yield
        finally:
            for pragma in USUAL:
                self.execute(pragma)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with plain_errors(self.place):
            self.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self.execute("COMMIT")

    def jot(self, statement: str, rows: Iterable[Sequence[object]]) -> bool:
        self.execute("PRAGMA busy_timeout = 0")
        try:
            with self.transaction():
                self.executemany(statement, cast("Iterable[Any]", rows))
        except LedgerError as error:
            if is_busy(error.__cause__):
                return False
            raise
        finally:
            self.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        return True

    @contextmanager
    def erasing(self) -> Iterator[None]:
        with plain_errors(self.place):
            [[before]] = self.execute("PRAGMA secure_delete").fetchall()
            self.execute("PRAGMA secure_delete = ON")
            try:
                yield
            finally:
                self.execute(f"PRAGMA secure_delete = {before}")

    def wipe(self, *_tables: str) -> None:
        """What was rewritten before lies about in pages that are half full, or free, and in the log."""
        with plain_errors(self.place):
            try:
                self.execute("VACUUM")
            finally:
                # also where there was no room for it: what it had written by then takes up the rest of the disk
                [[in_use, *_]] = self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if in_use:
            raise LedgerError(said("The ledger {path} {what}", path=self.place, what=IN_USE))

    def fill(self, filling: Filling, rows: Iterable[Sequence[object]]) -> None:
        # what is the same for all is written into the statement: a million rows bind it once
        same = ", ".join(repr(value) for value in filling.same.values())
        marks = ", ".join("?" * len(filling.columns))
        columns = ", ".join([*filling.same, *filling.columns])
        self.executemany(
            f"INSERT INTO {filling.table} ({columns}) VALUES ({same}, {marks}) {filling.otherwise}",
            cast("Iterable[Any]", rows),
        )

    def whole(self, number: str) -> str:
        return f"CAST({number} AS INTEGER)"

    def lock(self, name: str, kind: str = "") -> FileGuard:
        return FileGuard(lock_path(self.place, name, kind))

    def leave_trace(self) -> None:
        path = self.place.with_name(f"{self.place.name}{SENT_FROM_HERE}")
        with plain_errors(self.place), suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
            file.write(
                f"Mail was sent from this folder. Keep this file: it tells so if {self.place.name} is ever lost.\n"
            )
            file.flush()
            # what empties the ledger may be a power cut
            os.fsync(file.fileno())

    def pen(self) -> EmbeddedPen:
        return EmbeddedPen(self.place, self._key, self._file)

    def lender(self) -> None:
        return None


class EmbeddedPen:
    """A second connection to the file, so that a group is a transaction of its own."""

    is_remote = False

    def __init__(self, path: Path, key: LedgerKey | None, file: File | None) -> None:
        self._path, self._file = path, file
        self._connection = connect(path, key=key)
        # whoever holds the ledger for long is waited for without holding up the loop
        self._connection.execute("PRAGMA busy_timeout = 0")
        # statuses and reasons come from enums here, and looking each up in its list takes as long as writing the row
        self._connection.execute("PRAGMA ignore_check_constraints = ON")
        self.close = self._connection.close
        self._look_at = 0.0

    def write(self, group: Sequence[Item]) -> list[bool]:
        self._look_for_the_file()
        try:
            return self._written(write_together, group)
        except Unusual:
            return self._written(write_each, group)

    def _written(self, write: Any, group: Sequence[Item]) -> list[bool]:
        connection: Any = self._connection
        with plain_errors(self._path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                results: list[bool] = write(cast("Connection", connection), group)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return results

    def _look_for_the_file(self) -> None:
        """SQLite writes on into a file that was deleted or replaced, as if it were there. Raises LedgerError."""
        if (now := time.monotonic()) < self._look_at:
            return
        self._look_at = now + LOOK
        with plain_errors(self._path):
            there = _which(self._path)
        if there == self._file:
            return
        with suppress(*cipher.errors()):
            # the log stays where it was: its records belong into the file that they were made for, not into another one that lies there now
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if there is None:
            raise LedgerError(
                said("The ledger {place} is gone: it was deleted or moved while it was written.", place=self._path),
                hint="put it back where it was, as it was a moment ago, then run the send command again; without it nobody knows who has"
                " the message",
            )
        raise LedgerError(
            said("The ledger {place} was replaced by another file while it was written.", place=self._path),
            hint="put the one that was there back, as it was a moment ago, then run the send command again; if you cannot, say so"
            " before anything else is sent: mailer ledger restored",
        )

    def is_busy(self, error: BaseException) -> bool:
        return isinstance(error, LedgerError) and is_busy(error.__cause__)

    def interrupt(self) -> None:
        self._connection.interrupt()


def _which(path: Path) -> File | None:
    """Which file it is, by its number; None if there is none. A file system that counts none has 0 for all."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return None
    return there.st_dev, there.st_ino


class FileGuard:
    """A lock of the operating system on a file beside the ledger."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self, seconds: float) -> bool:
        try:
            self._lock.acquire(timeout=seconds)
        except Timeout:
            return False
        return True

    def release(self) -> None:
        self._lock.release()

    def is_held(self) -> bool:
        if not self.acquire(0):
            return True
        self._lock.release()
        return False


def lock_path(ledger: Path, name: str, kind: str = "") -> Path:
    """A file beside the ledger; the name is hashed since it may hold what a file name may not."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return ledger.with_name(f"{ledger.name}{kind}-{digest}.lock")
