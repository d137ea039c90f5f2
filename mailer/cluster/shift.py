"""A worker's time from one opening of the ledger to the next: it fetches batches, sends them, and looks after the others.

`run_batch` is the only sender. What the promises rest on is in the ledger: the lock of the worker's token, the compare-and-set of
each intent, and the pen that is lost with the lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack

from mailer import crashpoint
from mailer.campaign.limits import make_throttle
from mailer.campaign.pacing import Throttling
from mailer.campaign.reasons import too_many_refused
from mailer.cluster.desk import Desk
from mailer.cluster.engine import Again, Engine, Jobs
from mailer.cluster.pacing import pace_of
from mailer.cluster.runs import Active, Runs
from mailer.cluster.terms import Terms
from mailer.cluster.vitals import Now, State
from mailer.errors import LedgerError, MailerError, Paused
from mailer.ledger import Intent, Record, Writer
from mailer.model import Batch, Round, Scope

SETTLING = 0.2
"""Seconds from a refusal to the look at whether there were too many: an outcome waits a tenth for company (campaign/line.py)."""

WATCHED = 120.0
"""Seconds since somebody asked how all campaigns stand, after which it is not looked for any more."""

AT_ONCE = 0.0
"""A time that has come by any clock: that of this computer may be wrong, and jobs go by the server's."""

SELDOM = 50
"""How many times as long as it took it is not looked again: a count of many millions takes a second."""


class Shift:
    """One shift of a worker. It ends when it is stopped, when its account is to rest, or with the session that holds its lock."""

    def __init__(self, terms: Terms, late: Sequence[Record] = (), known: Intent | None = None) -> None:
        """`late` is what the shift before could not record, `known` the last intent that it had made durable."""
        self._terms = terms
        self._known = known
        self._late = late
        self._token = uuid.uuid4().hex
        self._over = asyncio.Event()
        self._closing = False
        self._failure: Exception | None = None
        self._unfit: dict[str, float] = {}
        self._under_way = 0
        self._engine_number: int | None = None
        self._look_over_at = 0.0
        self.sent_any = False
        self.unrecorded: Sequence[Record] = late
        self.trouble: tuple[MailerError, Scope] | None = None
        """What the mail server has against this worker, or its account."""

    def stop(self) -> None:
        """Fetch nothing new; what is on the wire is waited for and recorded, the rest of each batch given back."""
        self._over.set()

    async def work(self) -> None:
        """Raises LedgerError where the ledger is lost, SettingsError or CampaignError where there can be no work."""
        terms, token = self._terms, self._token
        async with AsyncExitStack() as stack:
            ledger = stack.enter_context(terms.open_ledger())
            shared = ledger.shared
            shared.hold_up_nobody()
            Jobs(shared).prepare()
            if self._late:
                ledger.write_late(self._late)
            ledger.refuse_copy()
            if self._known:
                ledger.refuse_without(self._known)
            self._desk = stack.enter_context(Desk(terms.open_ledger()))
            # the lock before the writer, whose pen is the session that holds it
            relay = terms.relay
            lock = shared.join(token, account=relay.account, lines=terms.lines, queues=terms.queues, relay=relay.name)
            stack.callback(lock.release)
            pace = await stack.enter_async_context(pace_of(ledger, relay, terms.limits))
            throttle: Throttling = await stack.enter_async_context(make_throttle(ledger, relay))
            writer = await stack.enter_async_context(Writer(ledger, senders=terms.lines))
            stack.callback(self._remember, writer)
            self.unrecorded = writer.unwritten
            self._runs = Runs(terms, ledger, pace=pace, throttle=throttle, writer=writer, token=token)
            self._writer = writer
            terms.vitals.look = self._now
            stack.callback(terms.vitals.shift_over)
            engine = Engine(shared.address, self.run_batch, lines=terms.lines, queues=terms.queues, rhythm=terms.rhythm)
            async with engine:
                terms.vitals.enter(State.WORKING)
                terms.reporter.working()
                await self._until_over(engine)
            await self._runs.let_go(0)
            await self._desk.ask(lambda shared: shared.part(token))

    @property
    def known(self) -> Intent | None:
        """The last intent that was made durable, in this shift or before."""
        return self._known

    def _remember(self, writer: Writer) -> None:
        self._known = writer.newest or self._known

    def _now(self) -> Now:
        """May be called by another thread."""
        writer, runs = self._writer, self._runs
        return Now(
            in_flight=writer.in_flight,
            connections=runs.connections,
            batches=self._under_way,
            waiting=runs.waiting,
            commits=writer.commits,
            written=writer.written,
            commit_since=writer.commit_since,
        )

    async def _until_over(self, engine: Engine) -> None:
        duties = (engine.work(), self._look_after(engine), self._watch_refusals())
        working = [asyncio.ensure_future(duty) for duty in duties]
        over = asyncio.ensure_future(self._over.wait())
        try:
            await asyncio.wait({*working, over}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._closing = True
            tidy = self._over.is_set() and not self._failure
            for task in (*working, over):
                task.cancel()
            self._runs.stop(Paused("The worker ends."))
            ends = await asyncio.gather(*working, return_exceptions=True)
        if self._failure:
            raise self._failure
        for end in ends:
            if isinstance(end, Exception) and not tidy:
                raise end

    # -- the work

    async def run_batch(self, number: int, engine_number: int) -> None:
        """Send what is due of a batch over one connection. Raises Again if anything of it is left to try."""
        again: float | None = AT_ONCE
        if not self._closing:
            try:
                again = await self._run(number, engine_number)
            except Exception as error:
                # whoever looks at the shift is told; this job comes back, to another shift or another worker
                self._failure = self._failure or error
                self._over.set()
                raise
        if again is not None:
            raise Again(again)

    async def _run(self, number: int, engine_number: int) -> float | None:
        if engine_number != self._engine_number:
            await self._desk.ask(lambda shared: shared.note_engine(self._token, engine_number))
            self._engine_number = engine_number
        batch = await self._desk.ask(lambda shared: shared.claim(number, self._token))
        crashpoint.pass_through("after-claim")
        if batch is None:
            return None
        again = await self._sent(batch)
        crashpoint.pass_through("after-batch")
        return again

    async def _sent(self, batch: Batch) -> float | None:
        """Send it and give it back: when it is to be run again, if at all."""
        pause = 0.0
        try:
            if self._unfit.get(batch.campaign, 0.0) > time.monotonic():
                # a line that gave it back at once would fetch, one after the other, all that others could send
                await self._pause(self._terms.rhythm.pause)
            elif not (active := await self._entered(batch)):
                pause = self._terms.rhythm.pause
            else:
                try:
                    now = await self._desk.ask(lambda shared: shared.round(batch, time.time()))
                    if now.due:
                        await self._send(active, batch, now)
                        # as it would between two batches of a run
                        await active.run.sleep(active.run.options.batch_pause)
                finally:
                    self._runs.leave(active)
                await self._heed(active)
        finally:
            again = await self._desk.ask(lambda shared: shared.release(batch, self._token, pause))
            self._terms.reporter.batch_ended(batch.campaign, batch.id, again)
        return again

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    async def _entered(self, batch: Batch) -> Active | None:
        try:
            return await self._runs.enter(batch.campaign)
        except LedgerError:
            raise
        except MailerError as error:
            self._unfit[batch.campaign] = time.monotonic() + self._terms.rhythm.strays
            self._terms.reporter.unfit(batch.campaign, error)
            return None

    async def _send(self, active: Active, batch: Batch, now: Round) -> None:
        self._terms.reporter.batch_begun(batch.campaign, batch.id, len(now.due))
        self._terms.vitals.batches += 1
        self._under_way += 1
        try:
            await active.run.send_batch(now.due, now.until)
        except LedgerError:
            raise
        except MailerError:
            pass  # it stands with the run, and is heeded there
        except Exception as error:  # noqa: BLE001 - told by whoever runs this worker, once no other meets it
            self._failure = self._failure or error
            self._over.set()
        finally:
            self._under_way -= 1
        self.sent_any = self.sent_any or active.run.answered_at > 0

    async def _heed(self, active: Active) -> None:
        """Whether what stopped a run is about this worker, or about the campaign and so for all workers."""
        await self._brake(self._runs.take_refused(active.campaign.name))
        run = active.run
        if not run.stopped or active.told or run.reason is None:
            return
        scope = run.scope
        if run.other_relays_may and await self._desk.ask(
            lambda shared: shared.others_serve(active.campaign, self._terms.relay.account)
        ):
            scope = Scope.ACCOUNT
        if scope in {Scope.AUTH, Scope.ACCOUNT, Scope.POLICY, Scope.CONNECTION}:
            self.trouble = self.trouble or (run.reason, scope)
            self._over.set()
        else:
            reason = run.reason
            await self._halt(active, reason)

    async def _halt(self, active: Active, reason: MailerError) -> None:
        if await self._desk.ask(lambda shared: shared.halt(active.campaign, reason)):
            self._terms.reporter.halted(active.campaign.name, reason)

    async def _watch_refusals(self) -> None:
        """In the middle of batches, which may be long."""
        while True:
            await self._runs.refused.wait()
            # what came of them is on its way into the ledger
            await asyncio.sleep(SETTLING)
            await self._brake(self._runs.take_refused())

    async def _brake(self, refused: Sequence[Active]) -> None:
        """Stop a campaign for all workers when too many of its addresses are refused, whoever met them."""
        failures, percent = self._terms.options.bounce_failures, self._terms.options.bounce_percent
        for active in refused if failures is not None else ():
            if await self._desk.ask(
                lambda shared, it=active.campaign: shared.too_many_refused(it, failures, percent)  # type: ignore[misc]
            ):
                reason = too_many_refused(active.campaign.name)
                active.stop(reason)
                await self._halt(active, reason)

    # -- looking after all that workers left

    async def _look_after(self, engine: Engine) -> None:
        rhythm, desk = self._terms.rhythm, self._desk
        reconcile_at = strays_at = 0.0
        # not only until it is cancelled: within the queue's library, while an answer of the server comes, a cancellation can be lost
        while not self._closing:
            await desk.ask(lambda shared: shared.refuse_newer())
            if not await desk.ask(lambda shared: shared.is_there(self._token)):
                raise LedgerError("The ledger on PostgreSQL was lost: the session that keeps this worker's lock ended.")
            if await desk.ask(lambda shared: shared.resting(self._terms.relay.account)):
                self._over.set()  # another worker was sent away: this one does not ask for the same answer
            engines = await desk.ask(lambda shared: shared.bury())
            crashpoint.pass_through("after-bury")
            await engine.free(engines)
            await self._stop_what_is_halted()
            await self._look_over()
            now = self._terms.vitals.ledger_at = time.monotonic()
            if now >= reconcile_at:
                strays = now >= strays_at
                await self._reconcile(strays=strays)
                reconcile_at = now + rhythm.reconcile
                strays_at = now + rhythm.strays if strays else strays_at
            await self._runs.let_go(rhythm.idle)
            await asyncio.sleep(rhythm.round)

    async def _look_over(self) -> None:
        """How all campaigns stand, where somebody watches; the longer that takes, the more seldom."""
        vitals, began = self._terms.vitals, time.monotonic()
        if began >= self._look_over_at and began - vitals.asked_at < WATCHED:
            vitals.overview = await self._desk.ask(lambda shared: shared.overview())
            took = time.monotonic() - began
            self._look_over_at = began + max(self._terms.rhythm.overview, took * SELDOM)

    async def _stop_what_is_halted(self) -> None:
        if names := list(self._runs.names):
            for name, halt in (await self._desk.ask(lambda shared: shared.halted(names))).items():
                self._runs.stop(Paused(halt.reason, hint=halt.hint), {name})

    async def _reconcile(self, *, strays: bool) -> None:
        desk = self._desk
        for name in await desk.ask(lambda shared: shared.reconcile(desk.jobs, strays=strays)):
            if await desk.ask(lambda shared, name=name: shared.conclude(name)):  # type: ignore[misc]
                self._terms.reporter.finished(name)
