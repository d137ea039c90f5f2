"""One connection's work: take a delivery, wait for its slot, send it, record it; reconnect where needed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, NamedTuple

from mailer import crashpoint
from mailer.campaign.decide import Decision
from mailer.campaign.retries import Retries
from mailer.campaign.unsent import GAVE_WAY, LEFT_EARLY, NOTHING_LEFT
from mailer.errors import LetterError, MailerError, Paused
from mailer.ledger import Intent, Record
from mailer.model import Action, Delivery, Message, Outcome, Phase, Scope, Status, Told, Verdict
from mailer.pace import Slot
from mailer.smtp import FAREWELL, Connection, Farewell

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailer.campaign.backlog import Backlog
    from mailer.campaign.run import Run

# Servers close idle connections after some minutes; leave politely before a longer wait.
IDLE_SECONDS = 10.0

# An outcome waits no longer than this for the next intent: a server may take its time over the next envelope.
HELD_SECONDS = 0.1


class Turn(NamedTuple):
    """A delivery whose time has come: its slot is taken and its message made."""

    delivery: Delivery
    slot: Slot
    message: Message
    started_at: float


class Line:
    """Sends from a backlog, its own or one that it shares with other lines, over one connection at a time.

    While a message's intent is being written the next one is made ready, so that its envelope can leave with the final dot.
    An outcome is held until the next intent, so that both are one commit, but through no wait, and never for long.
    """

    def __init__(self, run: Run, backlog: Backlog, render: Callable[[Delivery], Message]) -> None:
        self._run = run
        self._backlog = backlog
        self._render = render
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._ahead: Turn | None = None
        self._under_way: Turn | None = None
        self._unwritten: list[Record] = []
        self._late: asyncio.Future[None] | None = None
        self._held_since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._retries = Retries()
        self._turns = 0

    @property
    def waiting(self) -> tuple[float, float] | None:
        """Since when the server owes an answer (by the loop's clock) and how many seconds it is given; None if it does not."""
        return self._connection.waiting if self._connection else None

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def work(self) -> None:
        """Send until the backlog is empty or the run is stopped. Raises LedgerError."""
        try:
            while turn := self._taken_ahead() or await self._next_turn():
                await self._transmit(turn)
                if self._ahead is None:
                    await self._after_transaction()
            await self._flush()
        except BaseException as error:
            # The other lines finish their transactions; what cannot be recorded stays in doubt, and is said so later.
            self._run.stop(error if isinstance(error, MailerError) else Paused("Stopped by an error in mailer itself."))
            with contextlib.suppress(MailerError):
                await self._flush()
            raise
        finally:
            if self._timer:
                self._timer.cancel()
            await self._hang_up()

    @property
    def _goes_on(self) -> bool:
        return not (self._run.stopped or self._retries.given_up)

    # -- whose turn it is

    def _taken_ahead(self) -> Turn | None:
        ahead, self._ahead = self._ahead, None
        return ahead

    async def _next_turn(self) -> Turn | None:
        while self._goes_on and (delivery := self._next_delivery()):
            if turn := await self._turn(delivery):
                return turn
        return None

    def _next_delivery(self) -> Delivery | None:
        return None if self._backlog.is_over else self._backlog.take(self._run.pace.clock())

    async def _turn(self, delivery: Delivery) -> Turn | None:
        """Wait for its time and for a connection. None if it has no message, or the run was stopped meanwhile."""
        await self._hold_back()
        slot = await self._slot(delivery)
        connection = await self._connected() if slot else None
        if slot is None or connection is None or self._run.stopped or self._backlog.is_over:
            if slot:
                slot.cancel()
            self._backlog.put_back(delivery)
            return None
        try:
            # made only now: the Date is that at which it leaves, however long it had to wait
            return Turn(delivery, slot, self._render(delivery), time.time())
        except LetterError as error:
            slot.cancel()
            self._record_unmade(delivery, error)
            return None
        except BaseException:
            slot.cancel()
            raise

    def _look_ahead(self, connection: Connection) -> None:
        """Make the next message ready, if it may go at once: its envelope can then leave with the end of this one."""
        run = self._run
        if not (run.overlaps and connection.overlaps and self._goes_on) or self._batch_is_full or run.slowed:
            return
        delivery = slot = None
        try:
            delivery = self._next_delivery()
            slot = run.pace.try_reserve(delivery.domain) if delivery else None
            if delivery and slot:
                self._ahead = Turn(delivery, slot, self._render(delivery), time.time())
                run.count_start()
        except Exception:  # noqa: BLE001  # it comes up again when this one is over, and is told then
            if slot:
                slot.cancel()
        if delivery and self._ahead is None:
            self._backlog.put_back(delivery)

    def _following(self) -> Message | Farewell | None:
        """Called as a final dot leaves."""
        if not self._goes_on:
            return None
        if self._ahead:
            return self._ahead.message
        return FAREWELL if self._run.overlaps and self._batch_is_full else None

    @property
    def _batch_is_full(self) -> bool:
        return self._connection is not None and self._connection.transactions >= self._run.options.batch_size

    async def _settle_ahead(self, connection: Connection, *, rest: bool = False) -> None:
        """Whoever was made ready and cannot go on over this connection, or now, gets its place back."""
        turn = self._ahead
        assert turn is not None
        begun = connection.begun is turn.message
        if begun and self._goes_on and not (connection.ended or rest):
            return
        self._ahead = None
        if begun:
            connection.abort()
            turn.slot.done()
            await self._charge(turn, LEFT_EARLY)
        else:
            turn.slot.cancel()
        self._backlog.put_back(turn.delivery)

    async def _hold_back(self) -> None:
        if held := await self._run.held_back():
            await self._flush()
            if held.left > IDLE_SECONDS:
                await self._hang_up()
            await self._run.sleep_until(held)

    async def _slot(self, delivery: Delivery) -> Slot | None:
        pace, domain = self._run.pace, delivery.domain
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
        return await self._patiently(domain, self._run.intents.likely)

    async def _patiently(self, domain: str, lead: float) -> Slot | None:
        """Others may be before us, so that a wait is longer than it looked."""
        task = asyncio.ensure_future(self._run.pace.reserve(domain, lead))
        try:
            if self._unwritten:
                await asyncio.wait({task}, timeout=HELD_SECONDS)
                if not task.done():
                    await self._flush()
            await asyncio.wait({task}, timeout=IDLE_SECONDS)
            if not task.done():
                await self._flush()
                if held := self._run.pace.waiting_for(domain):
                    self._run.observer.waiting(*held)
                await self._hang_up()
            return await task
        finally:
            task.cancel()

    async def _connected(self) -> Connection | None:
        if self._connection and self._connection.usable:
            return self._connection
        await self._flush()
        await self._hang_up()
        self._turns = 0
        self._connection = await self._run.connect(self._retries)
        return self._connection

    # -- its transaction

    async def _transmit(self, turn: Turn) -> None:
        connection = self._connection
        assert connection is not None
        self._turns += 1
        self._under_way = turn
        early = self._begin_early(turn)
        intended = False

        async def intent() -> bool:
            nonlocal intended
            writing = early or self._write_intent(turn)
            self._look_ahead(connection)
            if early:
                # what is written already is no wait, in which the loop would read what came while it was held up
                await asyncio.sleep(0)
            intended = await writing
            return intended

        if self._unwritten:
            self._hold()
        try:
            while (wait := turn.slot.starts_at - self._run.pace.clock()) > 0:  # noqa: ASYNC110 - a timer may be a little early
                await asyncio.sleep(wait)
            outcome = await connection.transmit(turn.message, intent, self._following, self._onward)
            intended = intended or await _granted(early)
        except MailerError:
            if not intended and await _granted(early):
                self._record(turn.delivery, NOTHING_LEFT, started_at=turn.started_at, intended=True)
            raise
        finally:
            # others may have gone in its stride
            turn = self._under_way
            turn.slot.done()
        if outcome is None:
            if self._ahead:
                await self._settle_ahead(connection)
            await self._give_way(turn)
        else:
            await self._take_outcome(connection, turn, outcome, intended=intended)

    def _onward(self, outcome: Outcome, told: Told) -> bool:
        """A message was accepted, and the envelope of the next: record the one, have the intent of the other written, and look ahead."""
        run, turn, following, connection = self._run, self._under_way, self._ahead, self._connection
        if not (following and turn and connection and self._goes_on) or self._retries.made or run.pace.longest_window:
            return False
        self._record(turn.delivery, outcome, started_at=turn.started_at, intended=True)
        self._under_way, self._ahead = following, None
        self._turns += 1
        records, self._unwritten = self._unwritten, []
        run.writer.put(told, records=records, intent=self._intent(following.delivery))
        self._look_ahead(connection)
        return True

    def _begin_early(self, turn: Turn) -> asyncio.Future[bool] | None:
        """Write the intent before its slot begins, where the slot came so early: what it takes is no time of the slot's then."""
        return self._write_intent(turn) if turn.slot.starts_at > self._run.pace.clock() else None

    def _write_intent(self, turn: Turn) -> asyncio.Future[bool]:
        records, self._unwritten = self._unwritten, []
        began = time.perf_counter()
        writing = self._run.writer.write(records=records, intent=self._intent(turn.delivery))
        writing.add_done_callback(lambda _: self._run.intents.add(time.perf_counter() - began))
        return writing

    async def _take_outcome(self, connection: Connection, turn: Turn, outcome: Outcome, *, intended: bool) -> None:
        if self._retries.made and outcome.scope is not Scope.CONNECTION:
            self._retries = Retries()
        if connection.deaf:
            self._run.stop_overlapping()
        status = self._record(turn.delivery, outcome, started_at=turn.started_at, intended=intended)
        if self._ahead:
            await self._settle_ahead(connection, rest=outcome.action is Action.PAUSE)
        if not intended:
            # the server has counted it, and no intent says so: a crash must not give the quota back
            await self._flush()
        if status is Status.QUEUED:
            # durable first: another line may take it at once
            await self._flush()
            self._backlog.put_back(turn.delivery)
        if outcome.action is Action.RECONNECT:
            await self._flush()
            if self._turns <= 1:  # after good ones, a closed connection is nothing unusual
                await self._run.broken(outcome, self._retries)

    async def _give_way(self, turn: Turn) -> None:
        """Somebody else has decided about it, so it is not ours to record."""
        await self._charge(turn, GAVE_WAY)
        # they may have decided about many
        self._backlog.look_again()

    async def _charge(self, turn: Turn, outcome: Outcome) -> None:
        """Note a transaction that the server may have counted, and that decides nothing about its delivery."""
        nothing = Decision(status=Status.SKIPPED)
        entry = self._entry(turn.delivery, outcome, nothing, started_at=turn.started_at, intended=False)
        self._unwritten.append(entry._replace(delivery=None))
        await self._flush()

    def _intent(self, delivery: Delivery) -> Intent:
        run = self._run
        return Intent(delivery.id, run.token, run.account, delivery.domain, time.time())

    def _record(self, delivery: Delivery, outcome: Outcome, *, started_at: float, intended: bool) -> Status:
        decision = self._run.conclude(delivery, outcome, started_at)
        self._unwritten.append(self._entry(delivery, outcome, decision, started_at=started_at, intended=intended))
        # only now: whoever watches may fail, and what the server said must not be lost with it
        self._run.observer.recorded(delivery, decision.status, outcome)
        return decision.status

    def _record_unmade(self, delivery: Delivery, error: LetterError) -> None:
        # Every message was made before the start; this is a frozen row that this version reads otherwise.
        outcome = Outcome(verdict=Verdict.FAILED, scope=Scope.RECIPIENT, phase=Phase.CONNECT, text=error.message)
        self._record(delivery, outcome, started_at=time.time(), intended=False)

    def _entry(
        self, delivery: Delivery, outcome: Outcome, decision: Decision, *, started_at: float, intended: bool
    ) -> Record:
        run, whose, domain, now = self._run, delivery.id, delivery.domain, time.time()
        status, reason, again, suppress = decision.status, decision.reason, decision.next_attempt_at, decision.suppress
        return Record(
            whose, run.token, run.account, domain, started_at, now, outcome, status, intended, reason, again, suppress
        )

    async def _after_transaction(self) -> None:
        if self._batch_is_full:
            await self._flush()
            await self._hang_up()
            if len(self._backlog):
                await self._run.sleep(self._run.options.batch_pause)

    # -- outcomes that wait for company

    def _hold(self) -> None:
        self._held_since = self._loop.time()
        if self._timer is None:
            # one timer for many outcomes: nearly all of them wait no millisecond
            self._timer = self._loop.call_later(HELD_SECONDS, self._let_go)

    def _let_go(self) -> None:
        self._timer = None
        if self._unwritten:
            left = self._held_since + HELD_SECONDS - self._loop.time()
            if left > 0:
                self._timer = self._loop.call_later(left, self._let_go)
            else:
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
            if connection.deaf:
                self._run.stop_overlapping()


async def _granted(early: asyncio.Future[bool] | None) -> bool:
    """Whether an intent was written before its time, and granted."""
    return early is not None and await early
