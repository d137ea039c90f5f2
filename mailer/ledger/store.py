"""What all parts of the ledger share: its database, plain errors, whole transactions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import fields
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from mailer.errors import BrokenLedgerError
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.database import Database
from mailer.ledger.embedded import Embedded
from mailer.ledger.reading import ReadOnly, is_unwritable, only_readable
from mailer.model import LedgerPlace, Manifest, Server

ALL = 2**62
"""Rows, where nobody wants fewer."""


def opened(place: LedgerPlace, *, create: bool, key: LedgerKey | None, reading: bool = False) -> Database:
    """The database at this place. Raises LedgerError, CampaignError, SettingsError without the library that it needs."""
    if isinstance(place, Server):
        from mailer.ledger.postgres import connected  # noqa: PLC0415 - a ledger in a file needs nothing of it

        return connected(place, create=create)
    if reading and only_readable(place):
        return ReadOnly(place, key=key)
    try:
        return Embedded(place, create=create, key=key)
    except BrokenLedgerError as error:
        # on Windows only SQLite finds out what may be written
        if not (reading and is_unwritable(error) and place.is_file()):
            raise
        return ReadOnly(place, key=key)


class Store:
    """An open ledger; an encrypted one has a key. Raises LedgerError for whatever its database says.

    For `reading` a file will do that cannot be written.
    """

    def __init__(
        self, place: LedgerPlace, *, create: bool = True, key: LedgerKey | None = None, reading: bool = False
    ) -> None:
        self.key = key
        self._db = opened(place, create=create, key=key, reading=reading)

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be noted in it, and nobody can be asked whether a campaign is being sent."""
        return isinstance(self._db, ReadOnly)

    @property
    def place(self) -> LedgerPlace:
        return self._db.place

    @property
    def path(self) -> Path:
        """The file of a ledger that is in one."""
        assert isinstance(self.place, Path)
        return self.place

    def close(self) -> None:
        self._db.close()

    def _all(self, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        with self._db.plain_errors():
            return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: object) -> tuple:  # type: ignore[type-arg]
        return self._all(query, *values)[0]

    def _each(self, query: str, *values: object) -> Iterator[tuple]:  # type: ignore[type-arg]
        with self._db.plain_errors():
            # within a chain: left half-way, `yield from` would close the cursor, which complains where its ledger was closed before
            yield from chain(self._db.each(query, values))

    def _run(self, statement: str, *values: object) -> int:
        with self._db.plain_errors():
            return self._db.execute(statement, values).rowcount

    def _transaction(self) -> AbstractContextManager[None]:
        """All or nothing, and nobody else writes meanwhile."""
        return self._db.transaction()

    def _large_transaction(self) -> AbstractContextManager[None]:
        """A transaction that writes a whole list."""
        return self._db.large_transaction()


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def manifest_from(text: str) -> Manifest:
    """A manifest as it was written into the ledger, perhaps by a mailer that notes more."""
    known = {one.name for one in fields(Manifest)}
    data = {name: value for name, value in json.loads(text).items() if name in known}
    return Manifest(**{**data, "senders": tuple(data["senders"])})
