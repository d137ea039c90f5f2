"""A ledger written anew, encrypted or no longer so, and put in the place of the old one: at any instant one of them is whole."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

from mailer import crashpoint
from mailer.errors import CampaignError, LedgerError
from mailer.ledger import cipher
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.connection import connect, is_busy, plain_errors
from mailer.ledger.formats import SCHEMA_VERSION
from mailer.model import said

STEP = 1 << 20
NOT_THE_CONTENTS = ("-journal", "-wal", "-shm")


def convert(path: Path, *, old: LedgerKey | None, new: LedgerKey | None) -> None:
    """Write the ledger anew under another key, or None for none.

    Raises CampaignError while another program has it open, LockedError for a wrong key, LedgerError, SettingsError without the
    library; then nothing was changed.
    """
    path = path.resolve()
    connect(path, create=False, key=old).close()
    fresh = path.with_name(f"{path.name}.new")
    for leftover in (fresh, *(fresh.with_name(fresh.name + ending) for ending in NOT_THE_CONTENTS)):
        leftover.unlink(missing_ok=True)
    with plain_errors(path):
        connection = cipher.connect(path, old, timeout=0)
        try:
            _take_hold(connection)
            _copy(connection, fresh, new)
            _compare(connection, fresh, new)
            _sync(fresh)
            crashpoint.pass_through("before-exchange")
            _exchange(connection, path, fresh)
        except cipher.errors() as error:
            if is_busy(error):
                raise CampaignError(
                    said("Another program has the ledger {path} open. Nothing was changed.", path=path),
                    hint="pause what is being sent with Ctrl-C and close what shows it, then run the same command again",
                ) from error
            raise
        finally:
            connection.close()
            fresh.unlink(missing_ok=True)


def _take_hold(connection: sqlite3.Connection) -> None:
    """Have the ledger alone, until the connection is closed, and all of it in one file."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    # leaving WAL needs the file alone; whoever came in before the lock would have brought the WAL back
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")
    if connection.execute("PRAGMA journal_mode").fetchone() != ("delete",):
        raise LedgerError("The ledger is in use by another program.", hint="run the same command again")


def _copy(connection: sqlite3.Connection, fresh: Path, key: LedgerKey | None) -> None:
    connection.execute(f'ATTACH DATABASE ? AS fresh KEY "{key.pragma if key else ""}"', (str(fresh),))
    connection.execute("SELECT sqlcipher_export('fresh')").fetchone()
    connection.execute(f"PRAGMA fresh.user_version = {SCHEMA_VERSION}")
    connection.execute("DETACH DATABASE fresh")


def _compare(connection: sqlite3.Connection, fresh: Path, key: LedgerKey | None) -> None:
    """Read all of it once more before the old one goes. Raises LedgerError."""
    copy = cipher.connect(fresh, key, timeout=0)
    try:
        whole = copy.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        if not whole or _counts(copy) != _counts(connection):
            raise LedgerError("The new ledger is not like the old one. Nothing was changed.", hint="run it again")
    finally:
        copy.close()


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL").fetchall()
    return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for (name,) in tables}


def _exchange(connection: sqlite3.Connection, path: Path, fresh: Path) -> None:
    """Put the new one in the place of the old one, and make the old one unreadable as far as a program can.

    Whoever waits to read the old one meanwhile must not come to write into a file that no longer has a name.
    """
    if os.name != "posix":
        # Windows replaces no file that somebody has open, ourselves included: nobody can wait for the old one
        connection.close()
        fresh.replace(path)
        return
    with path.open("r+b", buffering=0) as former:
        fresh.replace(path)
        _sync(path.parent)
        crashpoint.pass_through("after-exchange")
        for _ in range(0, os.fstat(former.fileno()).st_size, STEP):
            former.write(bytes(STEP))
        os.fsync(former.fileno())
        # only now: to close a file that SQLite has locked, too, gives up its locks
        connection.close()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
        if sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 - not on Windows

            # there fsync ends in the drive's own cache: a power cut could keep the overwriting and lose the exchange
            fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    finally:
        os.close(handle)
