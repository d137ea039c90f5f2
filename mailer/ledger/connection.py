"""Opening the SQLite file: durability, migrations, and errors in plain words."""

from __future__ import annotations

import glob
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from mailer.age import Opener, way_out
from mailer.errors import BrokenLedgerError, CampaignError, LedgerError, LockedError
from mailer.ledger import cipher
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.filesystem import refuse_network
from mailer.ledger.formats import MIGRATIONS, SCHEMA_VERSION, make_secret
from mailer.model import Said, said
from mailer.suppression import fingerprint

SENT_FROM_HERE = "-sent.lock"
"""What a file's name ends with that is left beside a ledger before mail is sent: without the ledger, that was lost.

No lock, since Windows takes away the file of a lock that is let go of; of that kind, so that no letter encloses it.
"""

ACCOUNT = "-account"
"""In the name of an account's lock file, the only trace that earlier versions left; it stays everywhere but on Windows."""

NOT_OPENED = {
    Opener.KEY: said("It was not opened: its key is missing or wrong, or it is damaged."),
    Opener.PASSPHRASE: said("It was not opened: its passphrase is missing or wrong, or it is damaged."),
}

IN_USE = said("is in use by another program that does not let go of it.")

UNWRITABLE = ("SQLITE_READONLY", "SQLITE_CANTOPEN")

BROKEN = ("SQLITE_NOTADB", "SQLITE_CORRUPT", *UNWRITABLE)
"""What running the same command again does not mend."""

# Another process may hold the write lock while it starts a large campaign.
BUSY_TIMEOUT_MS = 60_000


def connect(path: Path, *, create: bool = True, key: LedgerKey | None = None) -> sqlite3.Connection:
    """Open the ledger, making or migrating it as needed. One that is encrypted, or is to be, has a key.

    Raises LedgerError, LockedError without the right key, or CampaignError where there is none to open, where it lies on
    another computer's disk, or under two names: the locks of senders stand beside it.
    """
    if not create and not path.exists():
        raise CampaignError(
            said("There is no ledger at {path}.", path=path),
            hint="run the command in the folder in which the campaign was sent",
        )
    _refuse_to_forget(path)
    refuse_network(path)
    _refuse_two_names(path)
    with plain_errors(path, opening=True):
        connection = _opened(path, key)
        try:
            connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL, not NORMAL: in WAL mode NORMAL does not sync at commit, and a power cut takes back
            # what was acknowledged. An intent that is taken back is a person mailed twice.
            connection.execute("PRAGMA synchronous = FULL")
            # macOS: without these a sync ends in the drive's own cache, which a power cut empties; elsewhere they do nothing
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA checkpoint_fullfsync = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.create_function("fingerprint", 2, fingerprint, deterministic=True)
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _opened(path: Path, key: LedgerKey | None) -> sqlite3.Connection:
    timeout = BUSY_TIMEOUT_MS / 1e3
    if key is None:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=timeout)
    return cipher.connect(path, key, timeout=timeout)


def _refuse_to_forget(path: Path) -> None:
    """A new ledger where an old one was used knows nobody who was mailed. Raises CampaignError.

    A file of no bytes is what a crash, a full disk or a service that synchronises folders may leave of a ledger.
    """
    if not path.exists():
        _refuse_new(path, said("missing"))
    elif path.is_file() and not path.stat().st_size:
        _refuse_new(path, said("empty"))


def _refuse_new(path: Path, state: Said) -> None:
    """Raises CampaignError where a ledger was used of which nothing is left."""
    name = glob.escape(path.name)
    traces = sorted(
        trace for end in (SENT_FROM_HERE, f"{ACCOUNT}-*.lock") for trace in path.parent.glob(f"{name}{end}")
    )
    if traces:
        raise CampaignError(
            said(
                "{name}, the record of who was mailed, is {state}, although mail was sent from this "
                "folder. Nothing was sent.",
                name=path.name,
                state=state,
            ),
            hint=said(
                "bring it back (from the wastebasket or a backup); if you are sure that nobody was "
                "mailed, delete {traces} and run the command again",
                traces=", ".join(trace.name for trace in traces),
            ),
        )


def _refuse_two_names(path: Path) -> None:
    """Two hard links to one ledger, in two folders, would have two locks. Raises CampaignError."""
    if path.is_file() and path.stat().st_nlink > 1:
        raise CampaignError(
            said(
                "The ledger {path} has a second name on this disk (a hard link): under each a campaign "
                "could be sent at the same time. Nothing was sent.",
                path=path,
            ),
            hint="make a copy of it, delete both names, and give the copy the name of one of them",
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    if version > SCHEMA_VERSION:
        raise BrokenLedgerError(
            said(
                "{path} was written by a newer mailer (format {version}, this one knows {known}).",
                path=path,
                version=version,
                known=SCHEMA_VERSION,
            ),
            hint="update mailer on this machine, then run the same command again",
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have made the schema while this one waited for the lock.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            _refuse_foreign(connection, path)
            # a file without a table is what a copy of it alone may hold, whose log (-wal) had all the rest
            _refuse_new(path, said("empty"))
            _create(connection)
        else:
            for number in range(version, SCHEMA_VERSION):
                MIGRATIONS[number](connection)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back already where the disk failed it
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        raise BrokenLedgerError(
            said("{path} is a database of another program, not a ledger.", path=path),
            hint="set MAILER_LEDGER to another file, or bring the right one back",
        )


def _create(connection: sqlite3.Connection) -> None:
    schema = files("mailer.ledger").joinpath("schema.sql").read_text(encoding="utf-8")
    statement = ""
    # not executescript(): it commits, and the schema must appear whole or not at all
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
    connection.execute("INSERT INTO meta (key, value) VALUES ('secret', ?)", (secrets.token_bytes(32),))
    make_secret(connection)


@contextmanager
def plain_errors(path: Path, *, opening: bool = False) -> Iterator[None]:
    """Turn what SQLite says into what an organiser can act on."""
    try:
        yield
    except cipher.errors() as error:
        code = getattr(error, "sqlite_errorname", "")
        if opening and code == "SQLITE_NOTADB" and (needed := cipher.opener(path)):
            raise LockedError(
                said("The ledger {path} is encrypted. {why}", path=path, why=NOT_OPENED[needed]),
                hint=way_out(needed),
            ) from error
        kind = BrokenLedgerError if opening and code.startswith(BROKEN) else LedgerError
        what = _unwritable(path) if code.startswith(UNWRITABLE) else _in_words(error)
        raise kind(said("The ledger {path} {what}", path=path, what=what), hint=_way_out(error)) from error
    except OSError as error:
        raise LedgerError(
            said("The ledger {path} cannot be used: {why}.", path=path, why=error.strerror or error)
        ) from error


def is_busy(error: BaseException | None) -> bool:
    """Whether another program writes just now."""
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _without_room(code: str) -> bool:
    """SQLite says FULL only of the ledger itself; where a file beside it cannot grow, that is an I/O error."""
    return code.startswith("SQLITE_FULL") or (code.startswith("SQLITE_IOERR") and "READ" not in code)


def _in_words(error: Exception) -> Said:
    code = getattr(error, "sqlite_errorname", "")
    if _without_room(code):
        full = code.startswith("SQLITE_FULL")
        return said("cannot be written: the disk is full.") if full else said("cannot be written: is the disk full?")
    if code.startswith("SQLITE_BUSY"):
        return IN_USE
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return said("is not a ledger, or is damaged.")
    return said("cannot be used ({error}).", error=error)


def _unwritable(path: Path) -> Said:
    """Which of file and folder it is. SQLite tells no difference between a file that may not be written and one that cannot be made."""
    folder = path.absolute().parent
    if not folder.is_dir():
        return said("cannot be kept: there is no folder {folder}.", folder=folder)
    if not path.exists():
        return said("cannot be made: the folder {folder} cannot be written.", folder=folder)
    if not os.access(path, os.W_OK):
        return said("cannot be written: you may only read it.")
    return said("cannot be written: neither can the folder {folder}, where its other files lie.", folder=folder)


def _way_out(error: Exception) -> Said:
    code = getattr(error, "sqlite_errorname", "")
    if _without_room(code):
        return said("make room on the disk, then run the same command again; it goes on where it stopped")
    if code.startswith(UNWRITABLE):
        # never another ledger: it would know nobody who was mailed
        return said("get the right to write there from whoever keeps this computer, then run the same command again")
    if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return said("restore the file from a backup; do not send again before you know who was mailed")
    return said("run the same command again; it goes on where it stopped")
