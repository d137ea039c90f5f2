"""A ledger in a file that can only be looked at: on a stick that is locked, on a disc, in a folder of somebody else's.

SQLite's journal (WAL) wants to write even where one only reads. Where no journal lies beside the file nobody writes it, and it is read
as it is (`immutable`); where one does, its newest records are in there, and are read if SQLite can, never left out.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from mailer.errors import BrokenLedgerError, CampaignError
from mailer.ledger import cipher
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.connection import UNWRITABLE, plain_errors
from mailer.ledger.embedded import Embedded, FileGuard
from mailer.ledger.filesystem import lies_elsewhere
from mailer.ledger.formats import SCHEMA_VERSION
from mailer.model import said
from mailer.suppression import fingerprint

TIMEOUT = 5.0
"""Seconds for which another program is waited for."""

COPY = said("copy the whole folder to this computer's own disk, and run the same command there")


def only_readable(path: Path) -> bool:
    """Whether a ledger that is there cannot be written here, or must not be, since it lies on another computer's disk."""
    if not path.is_file():
        return False
    return not (_may_write(path) and _may_write(path.absolute().parent)) or lies_elsewhere(path)


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def is_unwritable(error: BaseException) -> bool:
    """Whether that is what keeps a ledger from being opened, however it came to light."""
    return getattr(error.__cause__, "sqlite_errorname", "").startswith(UNWRITABLE)


class ReadOnly(Embedded):
    """An open file that nothing is written into."""

    def __init__(self, path: Path, *, key: LedgerKey | None = None) -> None:
        self.place = path.resolve() if path.is_symlink() else path
        self._key = key
        self._connection = _connected(self.place, key)
        self.execute = self._connection.execute
        self.executemany = self._connection.executemany
        self.close = self._connection.close

    def lock(self, name: str, kind: str = "") -> FileGuard:
        """Nobody is known to hold it: that is told by a file beside the ledger, which cannot be opened to ask."""
        return Unasked(Path(self.place).with_name(f"{name}{kind}"))


class Unasked(FileGuard):
    """A lock that can neither be had nor asked about."""

    def acquire(self, seconds: float) -> bool:
        del seconds
        raise CampaignError("The ledger can only be read here. Nothing was changed.", hint=COPY)

    def is_held(self) -> bool:
        return False


def _connected(path: Path, key: LedgerKey | None) -> sqlite3.Connection:
    """Raises BrokenLedgerError for what cannot be read without a change, LockedError without the right key."""
    journal = path.with_name(f"{path.name}-wal")
    unfinished = journal.exists() and journal.stat().st_size > 0
    with plain_errors(path, opening=True):
        try:
            connection = _opened(path, key, immutable=not unfinished)
        except cipher.errors() as error:
            if unfinished and getattr(error, "sqlite_errorname", "").startswith(UNWRITABLE):
                raise BrokenLedgerError(
                    said(
                        "The ledger {path} can only be read here, and its newest records still stand in {journal}.",
                        path=path,
                        journal=journal.name,
                    ),
                    hint=COPY,
                ) from error
            raise
    return connection


def _opened(path: Path, key: LedgerKey | None, *, immutable: bool) -> sqlite3.Connection:
    address = f"file:{quote(path.absolute().as_posix())}?mode=ro{'&immutable=1' if immutable else ''}"
    if key is None:
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=TIMEOUT)
    else:
        connection = cipher.connect(address, key, timeout=TIMEOUT, uri=True)
    try:
        connection.create_function("fingerprint", 2, fingerprint, deterministic=True)
        _refuse_other_format(path, connection.execute("PRAGMA user_version").fetchone()[0])
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_other_format(path: Path, version: int) -> None:
    if version == SCHEMA_VERSION:
        return
    raise BrokenLedgerError(
        said(
            "The ledger {path} has the format of another mailer ({version}, this one has {known}), and can only be read here.",
            path=path,
            version=version,
            known=SCHEMA_VERSION,
        ),
        hint=COPY,
    )
