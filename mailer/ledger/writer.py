"""Group commit: whatever the connections have for the ledger in one turn of the event loop is written in one transaction.

With a file the commit is made in the loop itself: while the disk works, everybody waits for it anyway, and handing each group to a
thread and its answers back costs more than that (ARCHITECTURE.md). A server is far away: a thread waits for it, the loop goes on,
and what comes meanwhile is the next group. If a commit fails, every waiter fails and nothing is written any more: what
cannot be recorded must not be sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple, Self

from mailer.errors import LedgerError
from mailer.ledger.database import Pen
from mailer.ledger.entries import Intent, Record
from mailer.ledger.ledger import Ledger
from mailer.ledger.scribe import Scribe
from mailer.model import Granted, Told, said

ASK_AGAIN = 0.004
"""Seconds until the next look at whether another program has let go of the ledger."""

QUIET_TURNS = 3
"""Turns of the event loop without anybody new until a group is written: a server's answer that has just come takes its connection
one turn to be read, one to wake up who waits for it, and on asyncio's own loop one more to get here.
"""

PATIENCE = 60.0
"""Seconds that another program may hold the ledger: while it starts a large campaign."""


class Waiting(NamedTuple):
    """Who waits for a commit, and for what in it."""

    records: Sequence[Record]
    intent: Intent | None
    tell: Told


class Writer:
    """The only one that writes deliveries and attempts while a campaign is being sent, over `senders` connections."""

    def __init__(self, ledger: Ledger, *, senders: int = 1) -> None:
        self._ledger = ledger
        self._senders = senders
        self._waiting: list[Waiting] = []
        self._broken: LedgerError | None = None
        self.unwritten: list[Record] = []
        """What came of messages whose final dot had left when the ledger was lost, for `Ledger.write_late`."""
        self.commits = self.written = self.in_flight = 0
        """Groups and what they held, and how many messages have an intent and no outcome yet: for whoever watches."""
        self.newest: Intent | None = None
        """The last one that was made durable: a ledger without it is an older copy."""
        self.commit_since: float | None = None
        """Since when a commit is waited for, by time.monotonic()."""
        self._due: asyncio.Handle | asyncio.Future[list[bool]] | None = None
        self._idle = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._pen: Pen = self._ledger.pen()
        pen = self._pen
        self._scribe = Scribe(interrupt=pen.interrupt, close=pen.close) if pen.is_remote else None
        self._idle.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._idle.wait()
        finally:
            # also for whoever will not wait for another program; what is not written yet, fails
            if self._scribe:
                self._scribe.dismiss()
            else:
                self._pen.close()

    def write(self, *, records: Sequence[Record] = (), intent: Intent | None = None) -> asyncio.Future[bool]:
        """Make outcomes and the next intent durable in one commit, for which to wait.

        Comes to False if the delivery of the intent is no longer free: somebody else has it, so send nothing. Whoever goes on then
        has heard what came while the loop was held up by the disk.
        Raises LedgerError if the commit fails, now and ever after.
        """
        done: asyncio.Future[bool] = self._loop.create_future()

        def tell(granted: Granted) -> None:
            if done.done():
                return
            if isinstance(granted, Exception):
                done.set_exception(granted)
            else:
                done.set_result(granted)

        self.put(tell, records=records, intent=intent)
        return done

    def put(self, tell: Told, *, records: Sequence[Record] = (), intent: Intent | None = None) -> None:
        """The same for whoever is told of it. Raises LedgerError if an earlier commit failed."""
        if self._broken:
            self._keep(records)
            raise self._broken
        self._waiting.append(Waiting(records, intent, tell))
        if self._due is None:
            self._idle.clear()
            self._due = self._loop.call_soon(self._gather, 0, 0)

    def _gather(self, before: int, quiet: int) -> None:
        """Commit as soon as everybody is here, or some turns of the loop have brought nobody else."""
        here = len(self._waiting)
        quiet = quiet + 1 if here == before else 0
        if here < self._senders and quiet < QUIET_TURNS:
            self._due = self._loop.call_soon(self._gather, here, quiet)
        elif self._scribe:
            self._hand_over(self._scribe)
        else:
            self._take_turn(self._loop.time() + PATIENCE)

    def _take_turn(self, patience: float) -> None:
        """Write all that wait in one transaction, as soon as no other program writes. `patience` is a time of the loop."""
        here = len(self._waiting)
        try:
            results = self._pen.write([item[:2] for item in self._waiting])
        except Exception as error:  # noqa: BLE001 - a waiter must never hang, whatever went wrong here
            if self._pen.is_busy(error) and self._loop.time() < patience:
                self._due = self._loop.call_later(ASK_AGAIN, self._take_turn, patience)
            else:
                self._fail(error)
        else:
            self._answer(here, results)

    def _hand_over(self, scribe: Scribe) -> None:
        """Have all that wait written elsewhere; who comes meanwhile is of the next group."""
        here = len(self._waiting)

        def come_back(writing: asyncio.Future[list[bool]]) -> None:
            error = writing.exception()
            self.commit_since = None
            if error is None:
                self._answer(here, writing.result())
            else:
                self._fail(error)

        group = [item[:2] for item in self._waiting]
        self.commit_since = time.monotonic()
        writing = scribe.do(lambda: self._pen.write(group))
        writing.add_done_callback(come_back)
        self._due = writing

    def _answer(self, number: int, results: Sequence[bool]) -> None:
        """Tell the first so many of those who wait, and see to the others."""
        waiting, self._waiting = self._waiting[:number], self._waiting[number:]
        self._count(waiting, results)
        self._due = self._loop.call_soon(self._gather, 0, 0) if self._waiting else None
        # a turn of the loop later: meanwhile it reads what came while it stood still
        self._loop.call_soon(self._wake, waiting, results)

    def _count(self, waiting: Sequence[Waiting], results: Sequence[bool]) -> None:
        written = begun = ended = 0
        for (records, intent, _), granted in zip(waiting, results, strict=True):
            if intent is not None and granted:
                begun += 1
                self.newest = intent
            for record in records:
                written += 1
                ended += record.intended
        self.commits += 1
        self.written += written
        self.in_flight += begun - ended

    def _wake(self, waiting: Sequence[Waiting], results: Sequence[bool]) -> None:
        if not self._waiting:
            self._idle.set()
        for item, granted in zip(waiting, results, strict=True):
            item.tell(granted)

    def _fail(self, error: BaseException) -> None:
        """Tell everybody, and whoever comes later."""
        if not isinstance(error, LedgerError):
            broken = LedgerError(
                said(
                    "The ledger {place} refused a record ({name}).", place=self._ledger.place, name=type(error).__name__
                )
            )
            broken.__cause__ = error
            error = broken
        self._broken = error
        waiting, self._waiting, self._due = self._waiting, [], None
        for item in waiting:
            self._keep(item.records)
        self._idle.set()
        for item in waiting:
            item.tell(error)

    def _keep(self, records: Sequence[Record]) -> None:
        # the others were refused before their dot: they are tried again, or have been recorded as they are
        self.unwritten += [record for record in records if record.intended]
