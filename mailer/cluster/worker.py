"""A worker: shift after shift, until it is told to end. What goes wrong between two shifts it waits out by itself.

It serves one account. A program that serves several is as many workers, and so whatever befalls one of them concerns no other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from mailer.cluster.engine import be_quiet
from mailer.cluster.shift import Shift
from mailer.cluster.terms import Terms
from mailer.cluster.vitals import State
from mailer.deadline import Deadline
from mailer.errors import BrokenLedgerError, CampaignError, LedgerError, MailerError, Paused
from mailer.model import Rest, Scope

GOOD_SHIFT = 60.0
"""Seconds: what went wrong after such a shift goes wrong for the first time."""


class Worker:
    """Works for the campaigns that were left to workers."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._shift: Shift | None = None
        self._stopped = asyncio.Event()
        self._lost = 0
        self._unreachable = 0
        # half of the time after which others take its jobs
        terms.vitals.patience = terms.rhythm.stalled / 2

    def stop(self) -> None:
        """Fetch nothing new, wait for the replies to what is on the wire, give the rest back, and end."""
        self._stopped.set()
        self._terms.vitals.enter(State.ENDING)
        if self._shift:
            self._shift.stop()

    async def run(self) -> None:
        """Work until it is stopped. Raises MailerError where it cannot begin, or never could again."""
        be_quiet()
        asyncio.get_running_loop().set_exception_handler(_only_what_nobody_saw)
        pulse = asyncio.ensure_future(self._beat())
        try:
            await self._work()
        finally:
            pulse.cancel()
            self._terms.vitals.enter(State.ENDING)

    async def _beat(self) -> None:
        """So that whoever watches sees that the loop turns."""
        vitals, pause = self._terms.vitals, min(1.0, self._terms.vitals.patience / 5)
        while True:
            vitals.loop_at = time.monotonic()
            await asyncio.sleep(pause)

    async def _work(self) -> None:
        begun = False
        while not self._stopped.is_set():
            started = time.monotonic()
            try:
                if not await self._rested():
                    before = self._shift
                    self._shift = Shift(self._terms, before.unrecorded, before.known) if before else Shift(self._terms)
                    await self._shift.work()
                    await self._after(self._shift)
            except BrokenLedgerError:
                raise
            except LedgerError as error:
                self._lost = 0 if time.monotonic() - started > GOOD_SHIFT else self._lost
                await self._wait_out(error)
            except CampaignError as error:
                # the account is in use: at the beginning somebody is there to read it
                if not begun:
                    raise
                await self._wait_out(error)
            begun = True

    async def _rested(self) -> bool:
        """Whether the account rests, so that there is nothing to do but wait."""
        with self._terms.open_ledger() as ledger:
            rest = ledger.shared.resting(self._terms.relay.account)
        if rest:
            await self._rest(rest, Paused(rest.reason), Scope.ACCOUNT)
        return rest is not None

    async def _after(self, shift: Shift) -> None:
        """A shift that ended tidily; perhaps since the mail server would have no more of it."""
        relay, rhythm = self._terms.relay, self._terms.rhythm
        account = relay.account
        if shift.sent_any:
            self._lost = self._unreachable = 0
        if shift.trouble is None:
            return
        reason, scope = shift.trouble
        if scope is Scope.CONNECTION:
            pause = _nth(rhythm.unreachable, self._unreachable)
            self._unreachable += 1
            with self._terms.open_ledger() as ledger:
                rest = ledger.shared.rest_here(account, pause, reason.message, relay=relay.name)
            await self._rest(rest, reason, scope)
            return
        with self._terms.open_ledger() as ledger:
            if shift.sent_any:
                ledger.shared.wake(account)
            rest = ledger.shared.rest(account, rhythm.account, reason.message, relay=relay.name)
        await self._rest(rest, reason, scope)

    async def _rest(self, rest: Rest, reason: MailerError, about: Scope) -> None:
        if not self._stopped.is_set():
            self._terms.vitals.enter(State.RESTING, about.value)
            self._terms.reporter.resting(reason, rest.until, about)
            await Deadline.after(rest.left).wait(self._stopped)

    async def _wait_out(self, error: MailerError) -> None:
        if not self._stopped.is_set():
            delay = _nth(self._terms.rhythm.ledger, self._lost)
            self._lost += 1
            self._terms.vitals.lost(error)
            self._terms.reporter.lost(error, delay)
            await Deadline.after(delay).wait(self._stopped)


class Crew:
    """The workers of one program, one for each of its accounts."""

    def __init__(self, terms: Sequence[Terms]) -> None:
        self._workers = [Worker(one) for one in terms]

    def stop(self) -> None:
        """As `Worker.stop`, all of them."""
        for worker in self._workers:
            worker.stop()

    async def run(self) -> None:
        """Work until it is stopped. Raises MailerError where one of them cannot work, once the others have ended tidily."""
        working = [asyncio.ensure_future(worker.run()) for worker in self._workers]
        try:
            await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop()
            ends = await asyncio.gather(*working, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end


def _nth(pauses: Sequence[float], number: int) -> float:
    return pauses[min(number, len(pauses) - 1)]


def _only_what_nobody_saw(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A job that another worker has ended meanwhile cannot be ended: the queue says so in a task that nobody waits for."""
    error = context.get("exception")
    if not type(error).__module__.startswith(("procrastinate", "mailer.cluster")):
        loop.default_exception_handler(context)
