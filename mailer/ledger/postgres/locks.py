"""Locks on PostgreSQL: kept by the server for one session, and gone with it, however it ends.

The session that holds them is the one that writes intents (`Postgres.pen`). So whoever has lost the locks has lost the pen as
well, and no final dot leaves; and whoever gets a lock knows that what its former holder wrote last is either there or never will be.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from mailer.ledger.postgres.words import in_words

ASK_AGAIN = 0.05


class Session:
    """A connection that is made when it is first needed."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self.held: set[int] = set()
        self.turn = threading.Lock()
        """Held for what must not come in between: a group is written over this session in several steps, by a thread."""

    @property
    def connection(self) -> psycopg.Connection[Any]:
        if self._connection is None or (self._connection.closed and not self.held):
            self._connection = self._connect()
        return self._connection

    def close(self) -> None:
        if self._connection:
            self._connection.close()


class ServerLock:
    """A lock of the server's on a number, which stands for a name in one ledger.

    `shared`: several may hold it at once, and nobody holds it alone meanwhile.
    """

    def __init__(
        self, session: Session, key: int, look: Callable[[str, tuple[object, ...]], Any], *, shared: bool = False
    ) -> None:
        self._session = session
        self._key = key
        self._look = look
        self._kind = "_shared" if shared else ""

    def acquire(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        # a session may take a lock twice, which would be two senders here
        while self._key in self._session.held or not self._try():
            if time.monotonic() >= until:
                return False
            time.sleep(ASK_AGAIN)
        self._session.held.add(self._key)
        return True

    def release(self) -> None:
        if self._key not in self._session.held:
            return
        try:
            with self._session.turn:
                self._session.connection.execute(f"SELECT pg_advisory_unlock{self._kind}($1)", (self._key,))
        except psycopg.Error:
            # it is lost, and the lock with it; or it is lost now
            self._session.close()
        self._session.held.discard(self._key)

    def is_held(self) -> bool:
        """Without touching it."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory'"
            " AND d.datname = current_database() AND l.granted AND l.objsubid = 1"
            " AND (CAST(l.classid AS bigint) << 32) | CAST(l.objid AS bigint) = $1)"
        )
        return bool(self._look(query, (self._key,)).fetchone()[0])

    def _try(self) -> bool:
        try:
            with self._session.turn:
                query = f"SELECT pg_try_advisory_lock{self._kind}($1)"
                row = self._session.connection.execute(query, (self._key,)).fetchone()
        except psycopg.Error as error:
            raise in_words(error) from None
        return bool(row and row[0])


def key_of(secret: bytes, *names: str) -> int:
    """The number of a lock: other ledgers in the same database have others."""
    text = "\0".join(names).encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(text, key=secret, digest_size=8, person=b"mailer lock").digest()
    return int.from_bytes(digest, "big", signed=True)
