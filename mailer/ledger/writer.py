"""Group commit: one thread writes whatever is waiting, in one transaction, as soon as the last commit ends.

There is no timer: alone, a record is durable after one sync; with many connections, one sync serves them all. If a commit
fails, every waiter fails and nothing is written any more: what cannot be recorded must not be sent.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mailer.errors import LedgerError
from mailer.ledger.connection import connect, plain_errors
from mailer.ledger.memory import LEAVE_ADDRESS, UNLIST_ONE
from mailer.model import OPEN, Outcome, Status

GROUP_LIMIT = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """Said before the final dot of a delivery's message: from here on it may have arrived."""

    delivery: int
    token: str
    account: str
    domain: str
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What an attempt came to. `intended` tells whether an Intent went before (else it was refused before the dot)."""

    delivery: int | None
    token: str
    account: str
    domain: str
    started_at: float
    finished_at: float
    outcome: Outcome
    status: Status
    intended: bool
    reason: str = ""
    next_attempt_at: float | None = None
    suppress: bool = False


class Writer:
    """The only one that writes deliveries and attempts while a campaign is being sent."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._broken: LedgerError | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    async def write(self, *, records: Sequence[Record] = (), intent: Intent | None = None) -> bool:
        """Make outcomes and the next intent durable in one commit.

        Returns False if the delivery of the intent is no longer free: somebody else has it, so send nothing.
        Raises LedgerError if the commit fails, now and ever after.
        """
        if self._broken:
            raise self._broken
        waiting = _Waiting(records=tuple(records), intent=intent, done=self._loop.create_future())
        self._queue.put(waiting)
        return await waiting.done

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
        while True:
            group, last = self._collect()
            if group:
                self._answer(group, self._commit(connection, group))
            if last:
                break
        if connection:
            connection.close()

    def _collect(self) -> tuple[list[_Waiting], bool]:
        first = self._queue.get()
        if first is None:
            return [], True
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

    def _commit(self, connection: sqlite3.Connection | None, group: list[_Waiting]) -> list[bool] | LedgerError:
        if self._broken or connection is None:
            return self._broken or LedgerError(f"The ledger {self._path} cannot be used.")
        try:
            with plain_errors(self._path):
                connection.execute("BEGIN IMMEDIATE")
                try:
                    results = [item.apply(connection) for item in group]
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

    def _answer(self, group: list[_Waiting], results: list[bool] | LedgerError) -> None:
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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    records: tuple[Record, ...]
    intent: Intent | None
    done: asyncio.Future[bool]

    def apply(self, connection: sqlite3.Connection) -> bool:
        for record in self.records:
            write_record(connection, record)
        return write_intent(connection, self.intent) if self.intent else True


def write_intent(connection: sqlite3.Connection, intent: Intent) -> bool:
    """Compare and set: only one sender ever moves a delivery from open to sending."""
    changed = connection.execute(
        "UPDATE deliveries SET status = 'sending', token = ?, updated_at = ?,"
        " first_attempt_at = coalesce(first_attempt_at, ?)"
        " WHERE id = ? AND status IN ('queued', 'deferred')",
        (intent.token, intent.at, intent.at, intent.delivery),
    ).rowcount
    if not changed:
        return False
    connection.execute(
        "INSERT INTO attempts (delivery_id, token, account, domain, started_at) VALUES (?, ?, ?, ?, ?)",
        (intent.delivery, intent.token, intent.account, intent.domain, intent.at),
    )
    return True


def write_record(connection: sqlite3.Connection, record: Record) -> None:
    """Write an outcome, and move its delivery if it is still this sender's to move."""
    connection.execute(_MOVE_OWN if record.intended else _MOVE_FREE, _values(record))
    connection.execute(_COMPLETE if record.intended else _ADD, _values(record))
    if record.suppress:
        connection.execute(_SUPPRESS, _values(record))
    if record.suppress or record.status in OPEN:
        # dead for other campaigns too; and whoever was suppressed while on the wire does not get back into a queue
        connection.execute(LEAVE_ADDRESS, (record.finished_at, record.delivery))
    if record.status in OPEN:
        connection.execute(UNLIST_ONE, (record.finished_at, record.delivery))


def _values(record: Record) -> dict[str, object]:
    outcome = record.outcome
    # A delivery that goes back into the queue did not get its try: it keeps its place and its schedule.
    tried = record.status is not Status.QUEUED
    return {
        "delivery": record.delivery,
        "token": record.token,
        "account": record.account,
        "domain": record.domain,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "first_attempt_at": record.started_at if tried else None,
        "tries": int(tried),
        "status": record.status,
        "reason": record.reason,
        "next_attempt_at": record.next_attempt_at,
        "verdict": outcome.verdict,
        "scope": outcome.scope,
        "phase": outcome.phase,
        "code": outcome.reply.code if outcome.reply else None,
        "enhanced": outcome.reply.enhanced if outcome.reply else None,
        "text": outcome.text,
    }


_MOVE = """
UPDATE deliveries SET status = :status, reason = :reason, next_attempt_at = :next_attempt_at, updated_at = :finished_at,
    attempts = attempts + :tries, first_attempt_at = coalesce(first_attempt_at, :first_attempt_at)
WHERE id = :delivery AND """

# after an intent: still by proof that comes late, while nobody else has decided
_MOVE_OWN = _MOVE + "token = :token AND status IN ('sending', 'uncertain')"

# refused before the dot: nobody held it
_MOVE_FREE = _MOVE + "status IN ('queued', 'deferred')"

# The attempt that this sender began. Another one may have tried the delivery again since.
_COMPLETE = """
UPDATE attempts SET finished_at = :finished_at, verdict = :verdict, scope = :scope, phase = :phase, code = :code,
    enhanced = :enhanced, text = :text
WHERE id = (SELECT max(id) FROM attempts WHERE delivery_id = :delivery AND token = :token AND verdict IS NULL)
"""

# The delivery may be gone: its campaign was frozen anew while this sender stood still.
_ADD = """
INSERT INTO attempts (delivery_id, token, account, domain, started_at, finished_at, verdict, scope, phase, code,
    enhanced, text)
VALUES ((SELECT id FROM deliveries WHERE id = :delivery), :token, :account, :domain, :started_at, :finished_at,
    :verdict, :scope, :phase, :code, :enhanced, :text)
"""

_SUPPRESS = """
INSERT INTO suppressions (key, reason, source, created_at)
SELECT key, :reason, 'refused', :finished_at FROM deliveries WHERE id = :delivery ON CONFLICT DO NOTHING
"""
