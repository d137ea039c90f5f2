"""The encrypted form of a ledger (SQLCipher), and the key that opens it: the only place that imports sqlcipher3.

The first 16 octets of an encrypted ledger are ours to choose: SQLCipher takes them for its salt. They say that it is a ledger of
ours and what opens it, so that no setting can be at odds with the file; the rest of them is random.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from mailer.age import INSTALL, Opener, canonical, opener_of
from mailer.errors import SettingsError
from mailer.model import LedgerPlace

MARKS = {Opener.KEY: b"MAILERK", Opener.PASSPHRASE: b"MAILERP"}
SALT = 16

MOST_KEPT = 64
"""Ledgers, none of which a process has open any more that has had so many others since."""

_kept: dict[tuple[int, int], int] = {}
_keeping = threading.Lock()

# RFC 7914: 128 MB and about half a second for each guess of a passphrase
SCRYPT = {"n": 2**17, "r": 8, "p": 1, "maxmem": 2**28, "dklen": 32}


@dataclass(frozen=True, kw_only=True, slots=True)
class LedgerKey:
    """What opens one ledger: 32 octets, and the 16 with which its file begins."""

    salt: bytes
    raw: bytes = field(repr=False)

    @property
    def pragma(self) -> str:
        """The key as SQLCipher takes it without deriving another one from it, which would cost each opening 0.2 s."""
        return f"x'{self.raw.hex()}{self.salt.hex()}'"


def opener(place: LedgerPlace) -> Opener | None:
    """What opens this ledger; None if it is not encrypted by mailer, or there is none."""
    salt = _salt(place)
    return next((one for one, mark in MARKS.items() if salt.startswith(mark)), None)


def key_of(path: LedgerPlace, secret: str) -> LedgerKey:
    """The key of the encrypted ledger at this path, if the secret is right."""
    return _derived(secret, _salt(path))


def new_key(secret: str) -> LedgerKey:
    """A key for a ledger that is to be encrypted with this secret."""
    mark = MARKS[opener_of(secret)]
    return _derived(secret, mark + secrets.token_bytes(SALT - len(mark)))


def _salt(path: LedgerPlace) -> bytes:
    if not isinstance(path, Path):
        return b""
    try:
        if hasattr(os, "pread"):
            return os.pread(_kept_open(path), SALT, 0)
        # Windows: a lock belongs to a handle
        with path.open("rb") as file:
            return file.read(SALT)
    except OSError:
        return b""


def _kept_open(path: Path) -> int:
    """A descriptor to read a ledger's beginning by, which is not closed.

    With the first that is closed, whichever it is, a process gives up all locks that it has on a file (POSIX, fcntl), SQLite's, too:
    where another thread had the ledger open, the next program that closed it would clear away the WAL under that thread.
    """
    with _keeping:
        there = path.stat()
        file = (there.st_dev, there.st_ino)
        if file not in _kept:
            _kept[file] = os.open(path, os.O_RDONLY)
            if len(_kept) > MOST_KEPT:
                os.close(_kept.pop(next(iter(_kept))))
        return _kept[file]


def _derived(secret: str, salt: bytes) -> LedgerKey:
    text = canonical(secret).encode()
    if opener_of(secret) is Opener.KEY:  # as random as the key itself: nothing to stretch
        return LedgerKey(salt=salt, raw=hmac.digest(text, b"mailer ledger" + salt, "sha256"))
    return LedgerKey(salt=salt, raw=hashlib.scrypt(text, salt=salt, **SCRYPT))


def connect(path: Path | str, key: LedgerKey | None, *, timeout: float, uri: bool = False) -> sqlite3.Connection:
    """A connection through SQLCipher; without a key to a plain file. Raises SettingsError without the library."""
    try:
        from sqlcipher3 import dbapi2  # noqa: PLC0415 - optional, and seldom needed
    except ImportError as error:
        raise SettingsError("Encryption of the ledger needs a library that is not installed.", hint=INSTALL) from error
    connection: Any = dbapi2.connect(str(path), isolation_level=None, check_same_thread=False, timeout=timeout, uri=uri)
    # a wrong key is said by us; SQLCipher would write of it to standard error
    connection.execute("PRAGMA cipher_log_level = NONE")
    if key:
        connection.execute(f'PRAGMA key = "{key.pragma}"')
    # what a large sort lays aside would lie on the disk as it is
    connection.execute("PRAGMA temp_store = MEMORY")
    return cast("sqlite3.Connection", connection)


def errors() -> tuple[type[Exception], ...]:
    """What a ledger's database raises: SQLCipher has a tree of classes of its own, with the same names in it."""
    loaded: Any = sys.modules.get("sqlcipher3.dbapi2")
    return (sqlite3.DatabaseError, loaded.DatabaseError) if loaded else (sqlite3.DatabaseError,)
