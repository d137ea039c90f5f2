"""Group commit: whatever the connections have for the ledger in one turn of the event loop is written in one transaction.

The commit is made in the loop itself: while the disk works, everybody waits for it anyway, and handing each group to a
thread and its answers back costs more than that (ARCHITECTURE.md). If a commit fails, every waiter fails and nothing is
written any more: what cannot be recorded must not be sent.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from mailer.errors import LedgerError
from mailer.ledger.attempts import Intent, Record
from mailer.ledger.cipher import LedgerKey
from mailer.ledger.connection import BUSY_TIMEOUT_MS, connect, is_busy, plain_errors
from mailer.ledger.together import Item, Unusual, write_each, write_together

ASK_AGAIN = 0.004
"""Seconds until the next look at whether another program has let go of the ledger."""


QUIET_TURNS = 3
"""Turns of the event loop without anybody new until a group is written: a server's answer that has just come takes its connection
one turn to be read, one to wake up who waits for it, and on asyncio's own loop one more to get here.
"""


Write = Callable[[sqlite3.Connection, Sequence[Item]], list[bool]]


class Waiting(NamedTuple):
    """Who waits for a commit, and for what in it."""

    records: Sequence[Record]
    intent: Intent | None
    done: asyncio.Future[bool]


class Writer:
    """The only one that writes deliveries and attempts while a campaign is being sent, over `senders` connections."""

    def __init__(self, path: Path, *, senders: int = 1, key: LedgerKey | None = None) -> None:
        self._path = path
        self._key = key
        self._senders = senders
        self._waiting: list[Waiting] = []
        self._broken: LedgerError | None = None
        self._due: asyncio.Handle | None = None
        self._idle = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._connection = connect(self._path, key=self._key)
        # whoever holds the ledger for long is waited for without holding up the loop
        self._connection.execute("PRAGMA busy_timeout = 0")
        self._idle.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._idle.wait()
        finally:
            # also for whoever will not wait for another program; what is not written yet, fails
            self._connection.close()

    def write(self, *, records: Sequence[Record] = (), intent: Intent | None = None) -> asyncio.Future[bool]:
        """Make outcomes and the next intent durable in one commit, for which to wait.

        Comes to False if the delivery of the intent is no longer free: somebody else has it, so send nothing. Whoever goes on then
        has heard what came while the loop was held up by the disk.
        Raises LedgerError if the commit fails, now and ever after.
        """
        if self._broken:
            raise self._broken
        done: asyncio.Future[bool] = self._loop.create_future()
        self._waiting.append(Waiting(records, intent, done))
        if self._due is None:
            self._idle.clear()
            self._due = self._loop.call_soon(self._gather, 0, 0)
        return done

    def _gather(self, before: int, quiet: int) -> None:
        """Commit as soon as everybody is here, or some turns of the loop have brought nobody else."""
        here = len(self._waiting)
        quiet = quiet + 1 if here == before else 0
        if here < self._senders and quiet < QUIET_TURNS:
            self._due = self._loop.call_soon(self._gather, here, quiet)
        else:
            self._take_turn(self._loop.time() + BUSY_TIMEOUT_MS / 1e3, write_together)

    def _take_turn(self, patience: float, write: Write) -> None:
        """Write all that wait in one transaction, as soon as no other program writes. `patience` is a time of the loop."""
        connection, group = self._connection, [item[:2] for item in self._waiting]
        try:
            with plain_errors(self._path):
                connection.execute("BEGIN IMMEDIATE")
                try:
                    results = write(connection, group)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except Unusual:
            self._take_turn(patience, write_each)
        except LedgerError as error:
            if is_busy(error.__cause__) and self._loop.time() < patience:
                self._due = self._loop.call_later(ASK_AGAIN, self._take_turn, patience, write)
            else:
                self._answer(error)
        except Exception as error:  # noqa: BLE001 - a waiter must never hang, whatever went wrong here
            broken = LedgerError(f"The ledger {self._path} refused a record ({type(error).__name__}).")
            broken.__cause__ = error
            self._answer(broken)
        else:
            self._answer(results)

    def _answer(self, results: list[bool] | LedgerError) -> None:
        waiting, self._waiting, self._due = self._waiting, [], None
        if isinstance(results, LedgerError):
            self._broken = results
        # a turn of the loop later: meanwhile it reads what came while it stood still
        self._loop.call_soon(self._wake, waiting, results)

    def _wake(self, waiting: Sequence[Waiting], results: list[bool] | LedgerError) -> None:
        if not self._waiting:
            self._idle.set()
        for number, item in enumerate(waiting):
            if item.done.done():
                continue
            if isinstance(results, LedgerError):
                item.done.set_exception(results)
            else:
                item.done.set_result(results[number])
