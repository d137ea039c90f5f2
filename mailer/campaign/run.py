"""Steps 5 to 7: claim, send under pace, record; until nothing is left that may be tried now."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailer.campaign.ahead import Ahead
from mailer.campaign.backlog import Backlog
from mailer.campaign.decide import SENT, Decision, decide
from mailer.campaign.line import Line
from mailer.campaign.makers import Makers, Recipe
from mailer.campaign.observer import Observer
from mailer.campaign.pacing import Pacing, Throttling
from mailer.campaign.reasons import broken_off, complained_of, distrusted, stopped_by, too_many_refused, unreachable
from mailer.campaign.retries import Retries
from mailer.deadline import Deadline
from mailer.errors import MailerError
from mailer.hours import Hours
from mailer.ledger import Ledger, Writer
from mailer.model import (
    Action,
    CampaignRecord,
    Delivery,
    Message,
    Outcome,
    Scope,
    Verdict,
)
from mailer.pace.duration import Duration
from mailer.reaction import STOP_LEAST, STOP_PERCENT, Complaints, judge_complaints
from mailer.retry import LONGEST, BounceBrake, PolicyStreak
from mailer.smtp import Connection, Relay, connect

if TYPE_CHECKING:
    from mailer.mime.dkim import Signer

# Seconds before the next try to connect, while no transaction succeeds in between.
RECONNECT_DELAYS = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)

# Seconds after the first failure of a run that has not met its server at all: more likely its name or port is wrong.
STRANGER = 60.0

# Seconds without an answer after which whoever watches is told, and then again after so many.
SILENCE, SILENCE_AGAIN = 15.0, 120.0

# A server that keeps taking messages without saying so must not be given the whole list.
UNCERTAIN_IN_A_ROW = 3

# With --wait: how long the account rests after its provider said that its limit is reached.
ACCOUNT_PAUSES = (900.0, 1800.0, 3600.0)

# With --wait: seconds until it asks again who may be tried, at least, whatever it was told, and at most, since others change that.
BREATH, ASK_AGAIN = 1.0, 60.0

# How often a recipient keeps its place when the connection breaks on it, before it waits like any temporary failure.
REQUEUES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """How to send, none of which shapes a message. Times in seconds; no bounce brake if `bounce_failures` is None, and no
    complaint brake if `complaints` is. Of the `processes` one sends, and the others make messages for it; None: as many as are worth it.
    """

    batch_size: int = 50
    batch_pause: float = 0.0
    connections: int = 1
    processes: int | None = 1
    limit: int | None = None
    wait: bool = False
    bounce_failures: int | None = 5
    bounce_percent: float = 10.0
    complaints: int | None = STOP_LEAST
    complaint_percent: float = STOP_PERCENT
    give_up_after: float = LONGEST
    reconnect_delays: tuple[float, ...] = RECONNECT_DELAYS


class Run:
    """One run of one campaign: some lines, each with its connection, share a backlog, a pace and a writer."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        campaign: CampaignRecord,
        relay: Relay,
        pace: Pacing,
        throttle: Throttling,
        render: Callable[[Delivery], Message],
        options: RunOptions,
        observer: Observer,
        signer: Signer | None = None,
        writer: Writer | None = None,
        token: str | None = None,
        opening: Callable[[], Coroutine[Any, Any, Connection | Outcome]] | None = None,
    ) -> None:
        """A worker has a writer and a token for all its runs, and counts what it is `opening`; otherwise they are the run's own."""
        self._open: Callable[[], Coroutine[Any, Any, Connection | Outcome]] = opening or (lambda: connect(relay))
        self._recipe = Recipe(ledger, campaign, relay.name, signer)
        self.relay = relay
        self.pace = pace
        self.render = render
        self.options = options
        self.observer = observer
        self.token = token or uuid.uuid4().hex
        self.account = relay.account
        self.writer = writer or Writer(ledger, senders=options.connections)
        self._ledger = ledger
        self._campaign = campaign
        self._stopped = asyncio.Event()
        self.stopped = False
        self.reason: MailerError | None = None
        self.scope: Scope | None = None
        self.other_relays_may = False
        """Whether what stopped it may be this relay's doing: over another one it is worth a try."""
        self.answered_at = 0.0
        self._uncertain = 0
        self._requeues: Counter[int] = Counter()
        self._met = False
        self._connecting: dict[object, tuple[float, float]] = {}
        self._lines: list[Line] = []
        self.overlaps = True
        self._brake = BounceBrake(failures=options.bounce_failures or 0, percent=options.bounce_percent)
        self._streak = PolicyStreak()
        self._throttle = throttle
        self.intents = Duration()
        self._pauses = 0
        self._rest_ends: Deadline | None = None

    def stop(self, reason: MailerError, scope: Scope | None = None) -> None:
        """Begin nothing new; what is on the wire is waited for and recorded. The first reason counts.

        `scope` tells whether it is about the mail server, or the account there, rather than about this campaign.
        """
        if self.reason is None:
            self.reason, self.scope = reason, scope
        self.stopped = True
        self._stopped.set()
        self.pace.stop()

    async def run(self) -> MailerError | None:
        """Send until nothing may be tried now. Returns why it ended earlier, if it did. Raises LedgerError."""
        self._ledger.note_lines(self._campaign, self.account, self.options.connections)
        async with self.pace, self._throttle, self.writer, self._noticing_silence():
            remaining = self.options.limit
            while not self.stopped:
                now = self._ledger.round(self._campaign, time.time())
                due = now.due[:remaining]
                if due:
                    untouched = await self._send_all(due, now.until)
                    remaining = None if remaining is None else remaining - (len(due) - untouched)
                elif remaining == 0 or not await self._wait_for_others():
                    break
        self._ledger.note_lines(self._campaign, self.account, 0)
        return self.reason

    @contextlib.asynccontextmanager
    async def _noticing_silence(self) -> AsyncIterator[None]:
        watching = asyncio.ensure_future(self._notice_silence())
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _notice_silence(self) -> None:
        told = -SILENCE_AGAIN
        while True:
            await asyncio.sleep(SILENCE / 5)
            now = asyncio.get_running_loop().time()
            waits = [*self._connecting.values(), *(line.waiting for line in self._lines if line.waiting)]
            since, patience = min(waits, default=(now, 0.0))
            if now - since >= SILENCE and now - told >= SILENCE_AGAIN:
                told = now
                self.observer.silent(now - since, patience)

    def stop_overlapping(self) -> None:
        """The server throws away what leaves together with the end of a message: two round trips a message from now on."""
        self.overlaps = False

    async def _send_all(self, due: list[int], until: float) -> int:
        """Send these, but begin with nobody after `until`. How many are left then."""
        backlog = Backlog(due, self._ledger.deliveries, self.pace.own_start, until)
        processes = self.options.processes
        async with Makers(self._recipe, backlog, None if processes is None else processes - 1) as makers:
            render = Ahead(self.render, backlog, makers)
            self._lines = [Line(self, backlog, render) for _ in range(min(self.options.connections, len(due)))]
            ends = await asyncio.gather(*(line.work() for line in self._lines), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return len(backlog) if backlog.is_over else 0

    async def send_batch(self, due: Collection[int], until: float = math.inf) -> None:
        """Send these over one connection, beside other batches of this run, but begin with nobody after `until`.

        What a worker does. Raises LedgerError.
        """
        backlog = Backlog(due, self._ledger.deliveries, self.pace.own_start, until)
        line = Line(self, backlog, Ahead(self.render, backlog))
        self._lines.append(line)
        try:
            await line.work()
        finally:
            self._lines.remove(line)

    async def _wait_for_others(self) -> bool:
        if not self.options.wait:
            return False
        due, away = self._ledger.next_due(self._campaign), self._ledger.out_of_hours(self._campaign, time.time())
        if away and (due is None or away.since <= due):
            what, until = Hours.parse(self._campaign.hours), away.since
        elif due is not None:
            what, until = None, due
        else:
            return False
        self.observer.waiting(what, until)
        await self.sleep_until(Deadline.at(max(until, time.time() + BREATH), ASK_AGAIN))
        return True

    async def sleep(self, seconds: float) -> None:
        """Sleep, or until the run is stopped."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), seconds)

    async def sleep_until(self, moment: Deadline) -> None:
        """The same until a moment that may be far away."""
        await moment.wait(self._stopped)

    async def held_back(self) -> Deadline | None:
        """Until when the next transaction is to wait, for a relay that rests or that defers in storms."""
        if self._rest_ends and self._rest_ends.left > 0:
            self.observer.waiting(None, self._rest_ends.wall)
            return self._rest_ends
        seconds = await self._throttle.turn()
        return Deadline.at(math.inf, seconds) if seconds > 0 else None

    def count_start(self) -> None:
        """Note a transaction that starts while nothing is held back."""
        self._throttle.count()

    @property
    def connections(self) -> int:
        """How many are open just now."""
        return sum(line.is_connected for line in list(self._lines))

    @property
    def slowed(self) -> bool:
        """Whether transactions are held back just now. Unlike `held_back`, asking counts nothing."""
        return self._throttle.rate is not None or (self._rest_ends is not None and self._rest_ends.left > 0)

    async def connect(self, retries: Retries) -> Connection | None:
        """A connection ready for transactions; None if the run is stopped, or the line has no tries left."""
        self._heed_complaints()
        while not (self.stopped or retries.given_up):
            key = object()
            self._connecting[key] = (asyncio.get_running_loop().time(), self.relay.patience)
            try:
                result = await self._unless_stopped(self._open())
            finally:
                del self._connecting[key]
            if not isinstance(result, Outcome):
                self._met = self._met or result is not None
                return result
            if result.action in {Action.STOP, Action.PAUSE}:
                self.stop(stopped_by(result), result.scope)
            else:
                await self.broken(result, retries)
        return None

    def _heed_complaints(self) -> None:
        """Before each batch: `mailer inbox`, which may run beside, has perhaps brought reports of spam."""
        least = self.options.complaints
        if least is None:
            return
        complained, sent = self._ledger.complaints(self._campaign)
        verdict = judge_complaints(complained, sent, least=least, percent=self.options.complaint_percent)
        if verdict is Complaints.STOP:
            self.stop(complained_of(complained, sent))

    async def _unless_stopped(
        self, connecting: Coroutine[Any, Any, Connection | Outcome]
    ) -> Connection | Outcome | None:
        """Its result, or None as soon as the run is stopped: nobody waits a minute for a silent server after Ctrl-C."""
        attempt, stopped = asyncio.ensure_future(connecting), asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({attempt, stopped}, return_when=asyncio.FIRST_COMPLETED)
            while not attempt.done():
                # more than once: wait_for() of Python 3.11 swallows one that comes just as the connection is made
                attempt.cancel()
                await asyncio.wait({attempt}, timeout=0.1)
        finally:
            stopped.cancel()
        return None if attempt.cancelled() else attempt.result()

    async def broken(self, outcome: Outcome, retries: Retries) -> None:
        """Wait a little longer after each connection of a line that came to nothing.

        After too many the line gives up. If no other line got an answer meanwhile, the server is gone and the run stops;
        else it only wants fewer connections.
        """
        delays = self.options.reconnect_delays
        if not retries.made:
            retries.since = time.monotonic()
        stranger = not self._met and time.monotonic() - retries.since > STRANGER
        if stranger or retries.made >= len(delays):
            retries.given_up = True
            if self.answered_at <= retries.since:
                self.stop(unreachable(outcome), Scope.CONNECTION)
            return
        delay = delays[retries.made]
        retries.made += 1
        self.observer.reconnecting(outcome.text, delay)
        await self.sleep(delay)

    def conclude(self, delivery: Delivery, outcome: Outcome, begun_at: float) -> Decision:
        """Decide what becomes of a delivery, and whether the run goes on."""
        if outcome.verdict is Verdict.SENT:
            self._note_success(outcome, begun_at)
            return SENT
        if outcome.verdict is Verdict.REQUEUED and outcome.scope is Scope.CONNECTION:
            self._requeues[delivery.id] += 1
        decision = decide(
            delivery,
            outcome,
            time.time(),
            give_way=self._requeues[delivery.id] > REQUEUES,
            longest=self.options.give_up_after,
        )
        self._watch(outcome, delivery, begun_at)
        return decision

    def _note_success(self, outcome: Outcome, begun_at: float) -> None:
        self.answered_at = time.monotonic()
        self._uncertain = self._pauses = 0
        self._throttle.observe(put_off=False, begun_at=begun_at, tell=self._tell_storm)
        self._streak.record(outcome)
        if self.options.bounce_failures is not None:
            self._brake.record(time.time(), failed=False)

    def _watch(self, outcome: Outcome, delivery: Delivery, begun_at: float) -> None:
        """Stop where going on would do harm."""
        if outcome.scope is not Scope.CONNECTION:
            self.answered_at = time.monotonic()
        self._uncertain = self._uncertain + 1 if outcome.verdict is Verdict.UNCERTAIN else 0
        if outcome.reply and 400 <= outcome.reply.code < 500:
            self._throttle.observe(put_off=True, begun_at=begun_at, tell=self._tell_storm)
        if outcome.action is Action.PAUSE and self.options.wait:
            self._rest()
        elif outcome.action in {Action.STOP, Action.PAUSE}:
            self.stop(stopped_by(outcome, delivery), outcome.scope)
        elif self._streak.record(outcome):
            self.other_relays_may = True
            self.stop(distrusted(outcome))
        elif self._bounced(outcome):
            self.stop(too_many_refused(self._campaign.name))
        elif self._uncertain >= UNCERTAIN_IN_A_ROW:
            self.other_relays_may = True
            self.stop(broken_off(self._uncertain, self._campaign.name))

    def _tell_storm(self, rate: float) -> None:
        self.observer.reconnecting(f"the mail server puts off many messages, so at most {rate * 60:.0f} a minute", 0)

    def _rest(self) -> None:
        pause = ACCOUNT_PAUSES[min(self._pauses, len(ACCOUNT_PAUSES) - 1)]
        ends = Deadline.after(pause)
        if self._rest_ends is None or self._rest_ends.left < ends.left:
            self._rest_ends = ends
        self._pauses += 1

    def _bounced(self, outcome: Outcome) -> bool:
        if self.options.bounce_failures is None or outcome.verdict is not Verdict.FAILED:
            return False
        return self._brake.record(time.time(), failed=outcome.scope is Scope.RECIPIENT)
