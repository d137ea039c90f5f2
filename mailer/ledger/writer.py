"""Group commit: one thread writes whatever is waiting, in one transaction, as soon as the last commit ends.

Alone, a record is durable after one sync; with many connections, one sync serves them all: while others have something on its
way, a group waits for theirs as long as the last commit took, and never above a millisecond. If a commit
fails, every waiter fails and nothing is written any more: what cannot be recorded must not be sent.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from mailer.errors import LedgerError
from mailer.ledger.attempts import Intent, Record, write_one
from mailer.ledger.connection import connect, plain_errors
from mailer.ledger.together import prepare_together, write_together

GROUP_LIMIT = 1000

LONGEST_LINGER = 0.001
"""Seconds for which a group may wait for the other senders' records, and never longer than the last commit took."""

GLANCE = 0.00005
"""Seconds between two looks at whether they have come."""


class Waiting(NamedTuple):
    """Who waits for a commit, and for what in it."""

    records: Sequence[Record]
    intent: Intent | None
    done: asyncio.Future[bool]


class Writer:
    """The only one that writes deliveries and attempts while a campaign is being sent."""

    def __init__(self, path: Path, *, senders: int = 1) -> None:
        self._path = path
        # the other half has something to do meanwhile
        self._worthwhile = senders // 2
        self._took = 0.0
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._broken: LedgerError | None = None
        self._common = False
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def write(self, *, records: Sequence[Record] = (), intent: Intent | None = None) -> asyncio.Future[bool]:
        """Make outcomes and the next intent durable in one commit, for which to wait.

        Comes to False if the delivery of the intent is no longer free: somebody else has it, so send nothing.
        Raises LedgerError if the commit fails, now and ever after.
        """
        if self._broken:
            raise self._broken
        done = self._loop.create_future()
        self._queue.put(Waiting(records, intent, done))
        return done

    def _run(self) -> None:
        try:
            connection = connect(self._path)
        except LedgerError as error:
            self._broken = error
            connection = None
        except Exception as error:  # noqa: BLE001 - without this thread every waiter would hang
            self._broken = LedgerError(f"The ledger {self._path} cannot be opened ({type(error).__name__}).")
            self._broken.__cause__ = error
            connection = None
        self._common = connection is not None and prepare_together(connection)
        last = False
        while not last:
            group, last = self._collect()
            if group:
                began = time.perf_counter()
                self._answer(group, self._commit(connection, group))
                self._took = time.perf_counter() - began
        if connection:
            connection.close()

    def _collect(self) -> tuple[list[Waiting], bool]:
        first = self._queue.get()
        if first is None:
            return [], True
        until = time.perf_counter() + min(self._took, LONGEST_LINGER)
        while self._queue.qsize() + 1 < self._worthwhile and time.perf_counter() < until:
            try:
                time.sleep(GLANCE)
            except OSError:
                break  # the clock jumps, and the system refuses to wait by it
        group = [first]
        while len(group) < GROUP_LIMIT:
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
            if item is None:
                return group, True
            group.append(item)
        return group, False

    def _commit(self, connection: sqlite3.Connection | None, group: list[Waiting]) -> list[bool] | LedgerError:
        if self._broken or connection is None:
            return self._broken or LedgerError(f"The ledger {self._path} cannot be used.")
        try:
            with plain_errors(self._path):
                if self._common and write_together(connection, [item[:2] for item in group]):
                    return [True] * len(group)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    results = [write_one(connection, *item[:2]) for item in group]
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
        except LedgerError as error:
            self._broken = error
            return error
        except Exception as error:  # noqa: BLE001 - a waiter must never hang, whatever went wrong here
            self._broken = LedgerError(f"The ledger {self._path} refused a record ({type(error).__name__}).")
            self._broken.__cause__ = error
            return self._broken
        return results

    def _answer(self, group: list[Waiting], results: list[bool] | LedgerError) -> None:
        def resolve() -> None:
            for number, item in enumerate(group):
                if item.done.done():
                    continue
                if isinstance(results, LedgerError):
                    item.done.set_exception(results)
                else:
                    item.done.set_result(results[number])

        # The loop may have been closed by a second Ctrl-C; nobody waits any more then.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(resolve)
