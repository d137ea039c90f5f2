"""Where the pace of a worker comes from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

from mailer.campaign.limits import Limits, alone, make_pace
from mailer.campaign.pacing import Pacing
from mailer.ledger import Ledger
from mailer.model import Quota
from mailer.pace import Slot
from mailer.smtp import Relay


@asynccontextmanager
async def pace_of(ledger: Ledger, relay: Relay, limits: Limits) -> AsyncIterator[Pacing]:
    """The quotas of a worker's account and of domains, as all its campaigns share them, and all who share the ledger."""
    with alone(ledger, relay, limits):
        async with make_pace(ledger, relay, limits) as pace:
            yield pace


class Share:
    """A worker's pace as one of its campaigns sees it: where that one stops, the others go on."""

    def __init__(self, pace: Pacing, note_wait: Callable[[float], None] = lambda _: None) -> None:
        """`note_wait` is told how many seconds each message waited that had to."""
        self._pace = pace
        self._note_wait = note_wait
        self._waiting: set[asyncio.Task[Slot | None]] = set()
        self._stopped = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing: the worker's pace goes on."""

    @property
    def longest_window(self) -> int:
        return self._pace.longest_window

    def clock(self) -> float:
        return self._pace.clock()

    def next_start(self, domain: str) -> float | None:
        return self._pace.next_start(domain)

    def own_start(self, domain: str) -> float:
        return self._pace.own_start(domain)

    def waiting_for(self, domain: str) -> tuple[Quota, float] | None:
        return self._pace.waiting_for(domain)

    def try_reserve(self, domain: str) -> Slot | None:
        return None if self._stopped else self._pace.try_reserve(domain)

    async def reserve(self, domain: str, lead: float = 0.0) -> Slot | None:
        """Wait until a transaction to a domain may start, or until `lead` seconds before. None after `stop`."""
        if self._stopped:
            return None
        if slot := self._pace.try_reserve(domain):
            return slot
        task = asyncio.ensure_future(self._pace.reserve(domain, lead))
        self._waiting.add(task)
        began = time.monotonic()
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if task.done() and not task.cancelled() and (slot := task.result()):
                slot.cancel()
            task.cancel()
            raise
        finally:
            self._waiting.discard(task)
            self._note_wait(time.monotonic() - began)
        return None if task.cancelled() else task.result()

    @property
    def waiting(self) -> int:
        """How many messages wait here just now."""
        return len(self._waiting)

    def stop(self) -> None:
        """Send everybody away who waits here."""
        self._stopped = True
        for task in self._waiting:
            task.cancel()
