"""One connection's work: take a delivery, wait for its slot, send it, record it; reconnect where needed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from mailer import crashpoint
from mailer.campaign.decide import Decision
from mailer.campaign.retries import Retries
from mailer.errors import LetterError, MailerError, Paused
from mailer.ledger import Intent, Record
from mailer.model import Action, Delivery, Outcome, Phase, Scope, Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from mailer.campaign.run import Run
    from mailer.model import Message
    from mailer.pace import Slot
    from mailer.smtp import Connection

# Servers close idle connections after some minutes; leave politely before a longer wait.
IDLE_SECONDS = 10.0

# An outcome waits no longer than this for the next intent: a server may take its time over the next envelope.
HELD_SECONDS = 0.1

GAVE_WAY = Outcome(
    verdict=Verdict.REQUEUED,
    scope=Scope.CONNECTION,
    phase=Phase.CONTENT,
    text="ended before the final dot: somebody else has decided about this message",
)


class Line:
    """Sends from the run's backlog over one connection at a time.

    An outcome is held until the next intent, so that both are one commit, but through no wait, and never for long.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._connection: Connection | None = None
        self._unwritten: list[Record] = []
        self._late: asyncio.Future[None] | None = None
        self._retries = Retries()

    async def work(self) -> None:
        """Send until the backlog is empty or the run is stopped. Raises LedgerError."""
        try:
            while self._goes_on and (delivery := self._run.backlog.take(self._run.pace.clock())):
                await self._send(delivery)
            await self._flush()
        except BaseException as error:
            # The other lines finish their transactions; what cannot be recorded stays in doubt, and is said so later.
            self._run.stop(error if isinstance(error, MailerError) else Paused("Stopped by an error in mailer itself."))
            with contextlib.suppress(MailerError):
                await self._flush()
            raise
        finally:
            await self._hang_up()

    @property
    def _goes_on(self) -> bool:
        return not (self._run.stopped or self._retries.given_up)

    async def _send(self, delivery: Delivery) -> None:
        await self._hold_back()
        slot = await self._slot(delivery)
        connection = await self._connected() if slot else None
        if slot is None or connection is None or self._run.stopped:
            if slot:
                slot.cancel()
            self._run.backlog.put_back(delivery)
            return
        message = self._render(delivery, slot)
        if isinstance(message, Outcome):
            self._record(delivery, message, started_at=time.time(), intended=False)
            return
        await self._transmit(connection, delivery, message, slot)
        await self._after_transaction(connection)

    def _render(self, delivery: Delivery, slot: Slot) -> Message | Outcome:
        """Its message, made only now: the Date is that at which it leaves, however long it had to wait."""
        try:
            return self._run.render(delivery)
        except LetterError as error:
            slot.cancel()
            # Every message was rendered before the start; this is a frozen letter that this version reads otherwise.
            return Outcome(verdict=Verdict.FAILED, scope=Scope.RECIPIENT, phase=Phase.CONNECT, text=error.message)
        except BaseException:
            slot.cancel()
            raise

    async def _hold_back(self) -> None:
        wait = self._run.held_back()
        if wait > 0:
            await self._flush()
            if wait > IDLE_SECONDS:
                await self._hang_up()
            await self._run.sleep(wait)

    async def _slot(self, delivery: Delivery) -> Slot | None:
        pace, domain = self._run.pace, delivery.contact.domain
        start = pace.next_start(domain)
        wait = None if start is None else start - pace.clock()
        if wait is None or wait > 0:
            await self._flush()
            if held := pace.waiting_for(domain):
                self._run.observer.waiting(*held)
            if wait and wait > IDLE_SECONDS:
                await self._hang_up()
        if not pace.longest_window:
            return await pace.reserve(domain)
        return await self._patiently(pace.reserve(domain))

    async def _patiently(self, reserving: Coroutine[None, None, Slot | None]) -> Slot | None:
        """Others may be before us, so that a wait is longer than it looked."""
        task = asyncio.ensure_future(reserving)
        try:
            await asyncio.wait({task}, timeout=IDLE_SECONDS)
            if not task.done():
                await self._flush()
                await self._hang_up()
            return await task
        finally:
            task.cancel()

    async def _connected(self) -> Connection | None:
        if self._connection and self._connection.usable:
            return self._connection
        await self._flush()
        await self._hang_up()
        self._connection = await self._run.connect(self._retries)
        return self._connection

    async def _transmit(self, connection: Connection, delivery: Delivery, message: Message, slot: Slot) -> None:
        started_at, intended = time.time(), False
        late = asyncio.get_running_loop().call_later(HELD_SECONDS, self._flush_soon) if self._unwritten else None

        async def intent() -> bool:
            nonlocal intended
            if late:
                late.cancel()
            records, self._unwritten = self._unwritten, []
            intended = await self._run.writer.write(records=records, intent=self._intent(delivery))
            return intended

        try:
            with self._run.answering(self._run.relay.final_timeout):
                outcome = await connection.transmit(message, intent)
        finally:
            slot.done()
            if late:
                late.cancel()
        if outcome is None:
            await self._give_way(delivery, started_at)
            return
        if outcome.scope is not Scope.CONNECTION:
            self._retries = Retries()
        status = self._record(delivery, outcome, started_at=started_at, intended=intended)
        if not intended:
            # the server has counted it, and no intent says so: a crash must not give the quota back
            await self._flush()
        if status is Status.QUEUED:
            # durable first: another line may take it at once
            await self._flush()
            self._run.backlog.put_back(delivery)
        if outcome.action is Action.RECONNECT:
            await self._flush()
            if connection.transactions <= 1:  # after good ones, a closed connection is nothing unusual
                await self._run.broken(outcome, self._retries)

    async def _give_way(self, delivery: Delivery, started_at: float) -> None:
        """Somebody else has decided about it, so it is not ours to record; but the server has counted a transaction."""
        gone = self._entry(delivery, GAVE_WAY, Decision(status=Status.SKIPPED), started_at=started_at, intended=False)
        self._unwritten.append(replace(gone, delivery=None))
        await self._flush()
        # they may have decided about many
        self._run.backlog.look_again()

    def _intent(self, delivery: Delivery) -> Intent:
        return Intent(
            delivery=delivery.id,
            token=self._run.token,
            account=self._run.relay.account,
            domain=delivery.contact.domain,
            at=time.time(),
        )

    def _record(self, delivery: Delivery, outcome: Outcome, *, started_at: float, intended: bool) -> Status:
        decision = self._run.conclude(delivery, outcome)
        self._unwritten.append(self._entry(delivery, outcome, decision, started_at=started_at, intended=intended))
        # only now: whoever watches may fail, and what the server said must not be lost with it
        self._run.observer.recorded(delivery, decision.status, outcome)
        return decision.status

    def _entry(
        self, delivery: Delivery, outcome: Outcome, decision: Decision, *, started_at: float, intended: bool
    ) -> Record:
        return Record(
            delivery=delivery.id,
            token=self._run.token,
            account=self._run.relay.account,
            domain=delivery.contact.domain,
            started_at=started_at,
            finished_at=time.time(),
            outcome=outcome,
            status=decision.status,
            intended=intended,
            reason=decision.reason,
            next_attempt_at=decision.next_attempt_at,
            suppress=decision.suppress,
        )

    async def _after_transaction(self, connection: Connection) -> None:
        options = self._run.options
        if connection.transactions >= options.batch_size:
            await self._flush()
            await self._hang_up()
            if len(self._run.backlog):
                await self._run.sleep(options.batch_pause)

    def _flush_soon(self) -> None:
        self._late = asyncio.ensure_future(self._write())

    async def _flush(self) -> None:
        late, self._late = self._late, None
        if late:
            await late
        await self._write()

    async def _write(self) -> None:
        if self._unwritten:
            records, self._unwritten = self._unwritten, []
            await self._run.writer.write(records=records)
            crashpoint.pass_through("after-outcome")

    async def _hang_up(self) -> None:
        if self._connection:
            connection, self._connection = self._connection, None
            await connection.quit()
