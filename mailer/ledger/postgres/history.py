"""What was sent before a sender's session began, with or without a place, as the attempts tell it.

What is sent later has a place of each quota, since whoever keeps a quota has been here first. So each is read once a session.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import psycopg

from mailer.destination import destinations, provider
from mailer.ledger import handed
from mailer.ledger.database import Rows
from mailer.ledger.postgres.dialect import translated
from mailer.model import PlaceKey

NOW = "extract(epoch FROM clock_timestamp())::float8"


class Sent(NamedTuple):
    """What a quota counts at a time by the server's clock: when it ended, newest first, and how much had no answer yet."""

    at: float
    ended: Sequence[float]
    under_way: int


class _ToDomains(NamedTuple):
    """What was sent within a window to each destination, the `newest` so many to each domain."""

    at: float
    newest: int
    ended: Mapping[str, Sequence[Sequence[float]]]
    under_way: Mapping[str, int]


class _Plain:
    """A connection that understands the ledger's statements."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Any = (), /) -> Rows:
        said = translated(statement)
        return self._connection.execute(said.text, said.bound(values) or None)


class History:
    """Reads over a connection when something is asked for the first time."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._native = connection
        self._connection = _Plain(connection)
        self._to_accounts: dict[PlaceKey, Sent] = {}
        self._to_domains: dict[int, _ToDomains] = {}

    def of(self, key: PlaceKey) -> Sent:
        """What the quota of these places counts, no more of it than there are places."""
        if key.account:
            if key not in self._to_accounts:
                self._to_accounts[key] = self._to_account(key)
            return self._to_accounts[key]
        known = self._to_domains.get(key.seconds)
        if known is None or known.newest < key.places:
            known = self._to_domains[key.seconds] = self._to_each(key)
        # to whom some messages went nobody knows
        names = ("", provider(key.domain))
        newest = heapq.merge(*(times for name in names for times in known.ended.get(name, ())), reverse=True)
        return Sent(known.at, list(islice(newest, key.places)), sum(known.under_way.get(name, 0) for name in names))

    def _to_account(self, key: PlaceKey) -> Sent:
        now = self._now()
        under_way = handed.under_way(self._connection, key.account)
        rows = handed.ended(self._connection, key.account, now - key.span, key.places)
        return Sent(now, [min(at, now) for at, _ in rows], len(under_way))

    def _to_each(self, key: PlaceKey) -> _ToDomains:
        now = self._now()
        times: defaultdict[str, list[float]] = defaultdict(list)
        under_way: Counter[str] = Counter()
        for account in handed.accounts(self._connection):
            for domain in handed.under_way(self._connection, account):
                under_way.update(destinations(domain))
            for at, domain in handed.ended_by_domain(self._connection, account, now - key.span, key.places):
                times[domain].append(min(at, now))
        ended: defaultdict[str, list[list[float]]] = defaultdict(list)
        for domain, its_times in times.items():
            its_times.sort(reverse=True)
            for name in destinations(domain):
                ended[name].append(its_times)
        return _ToDomains(now, key.places, ended, under_way)

    def _now(self) -> float:
        """A time of another computer's clock that is later counts as now, so that nobody waits for longer than a window."""
        row = self._native.execute(f"SELECT {NOW}").fetchone()
        assert row
        return float(row[0])
