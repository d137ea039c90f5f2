"""The places of quotas in PostgreSQL, leased to senders one by one (mailer/pace/shared.py has the rule).

Whoever leases takes the rows that are free first and locked by nobody, so that senders never wait for each other. A sender holds
a lock of the server's for as long as its session lives; what is held by a number that nobody locks was a dead sender's.
"""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from mailer.ledger.postgres import lessons
from mailer.ledger.postgres.fitting import BURY, SENDERS, fit
from mailer.ledger.postgres.history import NOW, History
from mailer.ledger.postgres.opening import hold_up_nobody
from mailer.ledger.postgres.words import in_words
from mailer.ledger.scribe import Scribe
from mailer.model import Ask, Learned, Leased, Lesson, Look, Place, PlaceKey, Return

LOOK_AGAIN = 1.0
"""Seconds until dead senders are looked for again, while places are missing."""

RETURN = """
UPDATE places p SET holder = NULL, free_at = coalesce(r.free_at, p.free_at)
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::float8[]) AS r (account, domain, seconds, number, free_at)
WHERE p.account = r.account AND p.domain = r.domain AND p.seconds = r.seconds AND p.number = r.number AND p.holder = $1
"""
# Materialized: else the planner may look for free rows once for each row of the table, and take more than it was asked for.
LEASE = """
WITH free AS MATERIALIZED (
    SELECT number FROM places WHERE account = $2 AND domain = $3 AND seconds = $4 AND holder IS NULL
    ORDER BY free_at LIMIT $5 FOR UPDATE SKIP LOCKED
)
UPDATE places p SET holder = $1 FROM free
WHERE p.account = $2 AND p.domain = $3 AND p.seconds = $4 AND p.number = free.number
RETURNING p.number, p.free_at
"""
NEXT = "SELECT min(free_at) FROM places WHERE account = $1 AND domain = $2 AND seconds = $3 AND holder IS NULL"


class PostgresLender:
    """Leases places over a connection of its own, in a thread of its own."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection[Any] | None = None
        self._history: History | None = None
        self._scribe: Scribe | None = None
        self._holder = 0
        self._known: set[PlaceKey] = set()
        self._looked_at = -math.inf

    async def exchange(self, asks: Sequence[Ask], returns: Sequence[Return], clock: Callable[[], float]) -> Leased:
        if self._scribe is None:
            self._scribe = Scribe(interrupt=self._interrupt, close=self._hang_up)
        return await self._scribe.do(lambda: self._exchange(asks, returns, clock))

    async def learn(self, account: str, lesson: Lesson) -> Learned:
        if self._scribe is None:
            self._scribe = Scribe(interrupt=self._interrupt, close=self._hang_up)
        return await self._scribe.do(lambda: self._learn(account, lesson))

    async def close(self) -> None:
        if self._scribe:
            self._scribe.dismiss()
            self._scribe = None

    def _interrupt(self) -> None:
        if self._connection:
            try:
                self._connection.cancel_safe(timeout=1)
            except psycopg.Error:
                return

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None
            self._known.clear()

    # -- in the thread

    def _exchange(self, asks: Sequence[Ask], returns: Sequence[Return], clock: Callable[[], float]) -> Leased:
        connection = self._connection or self._begin()
        try:
            for key in {key for ask in asks for key in ask.keys} - self._known:
                assert self._history
                if fit(connection, self._holder, key, self._history.of(key)):
                    self._known.add(key)
            with connection.transaction():
                places, next_free = self._lease(connection, asks, returns)
            leased = Leased(places, next_free, self._look(connection, clock))
            if self._is_short(asks, leased):
                with connection.transaction():
                    spans = max(key.span / key.seconds for ask in asks for key in ask.keys)
                    connection.execute(BURY, (self._holder, SENDERS, spans))
        except psycopg.Error as error:
            raise in_words(error) from None
        return leased

    def _learn(self, account: str, lesson: Lesson) -> Learned:
        connection = self._connection or self._begin()
        try:
            return lessons.learn(connection, account, lesson)
        except psycopg.Error as error:
            raise in_words(error) from None

    def _begin(self) -> psycopg.Connection[Any]:
        """A session that is alive for all to see, under a number that nobody else has."""
        connection = self._connect()
        try:
            hold_up_nobody(connection)
            while True:
                self._holder = secrets.randbelow(2**31)
                free = connection.execute("SELECT pg_try_advisory_lock($1, $2)", (SENDERS, self._holder)).fetchone()
                if free and free[0]:
                    break
        except psycopg.Error as error:
            connection.close()
            raise in_words(error) from None
        # only now: without the lock nobody would know that it is alive
        self._connection = connection
        self._history = History(connection)
        return connection

    def _look(self, connection: psycopg.Connection[Any], clock: Callable[[], float]) -> Look:
        """A question of its own, as short as one can be: the longer it takes, the less it tells."""
        before = clock()
        row = connection.execute(f"SELECT {NOW}").fetchone()
        after = clock()
        assert row
        return Look(before, row[0], after)

    def _lease(
        self, connection: psycopg.Connection[Any], asks: Sequence[Ask], returns: Sequence[Return]
    ) -> tuple[list[list[tuple[Place, ...]]], list[float]]:
        with connection.pipeline():
            if returns:
                connection.execute(RETURN, self._columns(returns))
            taken = [
                [connection.execute(LEASE, (self._holder, *_whose(key), ask.want)) for key in ask.keys] for ask in asks
            ]
            later = [[connection.execute(NEXT, _whose(key)) for key in ask.keys] for ask in asks]
        places, unused = [], []
        for ask, cursors in zip(asks, taken, strict=True):
            of_each = [
                sorted((Place(key, *row) for row in rows), key=lambda place: place.free_at)
                for key, rows in zip(ask.keys, cursors, strict=True)
            ]
            # all of a message's places or none: two who hold one each would wait for each other
            number = min(map(len, of_each))
            places.append([tuple(together) for together in zip(*(some[:number] for some in of_each), strict=True)])
            unused += [Return(place, None) for some in of_each for place in some[number:]]
        if unused:
            connection.execute(RETURN, self._columns(unused))
        return places, [max(_least(cursor) for cursor in cursors) for cursors in later]

    def _columns(self, returns: Sequence[Return]) -> list[object]:
        keys = [one.place.key for one in returns]
        return [
            self._holder,
            [key.account for key in keys],
            [key.domain for key in keys],
            [key.seconds for key in keys],
            [one.place.number for one in returns],
            [one.free_at for one in returns],
        ]

    def _is_short(self, asks: Sequence[Ask], leased: Leased) -> bool:
        """Whether places are missing, and nobody has looked for dead senders for a while."""
        short = any(len(given) < ask.want for ask, given in zip(asks, leased.places, strict=True))
        if not short or time.monotonic() - self._looked_at < LOOK_AGAIN:
            return False
        self._looked_at = time.monotonic()
        return True


def _whose(key: PlaceKey) -> tuple[str, str, int]:
    return key.account, key.domain, key.seconds


def _least(cursor: psycopg.Cursor[Any]) -> float:
    row = cursor.fetchone()
    return math.inf if row is None or row[0] is None else float(row[0])
