"""What the page sends: `mailer send`, and once more whenever somebody is due, until the campaign is done or a person pauses it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool

from mailer.campaign.pausing import pause as pause_it
from mailer.campaign.resuming import NOTHING, Next, next_step
from mailer.errors import MailerError
from mailer.ledger import Ledger, taken_at, turn
from mailer.model import CampaignRecord
from mailer.web.journey import command
from mailer.web.journey.command import Command
from mailer.web.journey.draft import Draft
from mailer.web.journey.means import Means
from mailer.web.journey.outlook import draft_of

PAUSE_SECONDS = 15.0
"""How long the page waits at its end for what it sends to pause."""

NOTED_SECONDS = 3.0
"""How long it waits at its end for what its commands came to to be noted."""

INSIST = 1.0
"""Seconds until a command that is to pause is asked again: while it begins it forgets what an earlier run was asked."""

SOON = 2.0
"""Seconds between two looks while it is another program that a campaign waits for."""

SELDOM = 10.0
"""The same while nobody is due: a computer that slept has missed the time."""

IN_USE = 10.0
"""Seconds until the next try of a campaign whose account was taken at the last moment."""

BEGINNING = 60.0
"""Seconds that a page is given to begin a campaign whose turn it took, before another one takes it."""

ENDED = 3
"""The exit code of a run that was paused, or that left people to be tried again."""


class Continuing:
    """The commands of this page, and the loop that begins them again. What is wished stands in the ledger (`Wishes`)."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._running: dict[str, Command] = {}
        self._marks: dict[str, bytes] = {}
        self._not_before: dict[str, float] = {}
        self._starting = asyncio.Lock()
        self._news = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def running(self, name: str) -> Command | None:
        """The command of this page that sends the campaign, or that has ended."""
        return self._running.get(name)

    def begin(self) -> None:
        """Go on with what is wished, from now on."""
        self._keeping = asyncio.create_task(self._keep())

    async def start(self, name: str, arguments: Sequence[str], *, goes_on: bool = True) -> None:
        """Run the command, and go on with the campaign afterwards; nothing if it runs already: a second click."""
        async with self._starting:
            if self._is_running(name):
                return
            if goes_on:
                self._marks[name] = turn(time.time())
                await run_in_threadpool(self._wish, name, self._marks[name])
            await self._run(name, arguments)

    def _wish(self, name: str, mark: bytes) -> None:
        with self._ledger() as ledger:
            ledger.wish(name, mark)

    async def _run(self, name: str, arguments: Sequence[str]) -> None:
        self._running[name] = ran = await command.run(self._means, arguments)
        self._do(self._heed(name, ran))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what a command comes to

    async def _heed(self, name: str, ran: Command) -> None:
        await ran.process.wait()
        with contextlib.suppress(MailerError):  # the ledger is out of reach; the next look says so
            await run_in_threadpool(self._note_end, name, ran)
        self._news.set()

    def _note_end(self, name: str, ran: Command) -> None:
        """Give the turn back where it may go on; forget it where a person has to look first."""
        result = ran.result()
        with self._ledger() as ledger:
            if result.get("in_use"):
                self._not_before[name] = time.monotonic() + IN_USE
                goes_on = ledger.campaign(name) is not None
            else:
                goes_on = ran.code == ENDED and not (result.get("reason") or result.get("error"))
            if goes_on:
                ledger.take_turn(name, self._marks.get(name, b""), b"")
            else:
                ledger.forget_wish(name)

    # -- going on

    async def _keep(self) -> None:
        while True:
            self._news.clear()
            try:
                due, rest = await run_in_threadpool(self._look)
                for campaign in due:
                    await self._again(campaign)
            except MailerError:
                rest = SELDOM  # settings that are being edited, a ledger out of reach
            except Exception as error:  # noqa: BLE001 - whatever it is, campaigns are not forgotten for it
                self._means.warn(self._means.bug(error).message)
                rest = SELDOM
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), rest)

    async def _again(self, campaign: CampaignRecord) -> None:
        """Begin it, unless a person has paused it since its turn was taken: what begins forgets what was asked before."""
        async with self._starting:
            if await run_in_threadpool(self._is_mine, campaign.name):
                await self._run(campaign.name, await run_in_threadpool(self._go_on, campaign))

    def _go_on(self, campaign: CampaignRecord) -> list[str]:
        with self._ledger() as ledger:
            return go_on(draft_of(ledger, campaign, self._means.folder))

    def _is_mine(self, name: str) -> bool:
        with self._ledger() as ledger:
            return ledger.wishes().get(name) == self._marks.get(name)

    def _look(self) -> tuple[list[CampaignRecord], float | None]:
        """The campaigns whose turn this page has just taken, and the seconds until the next look, if there is to be one."""
        due, rests = [], []
        with self._ledger() as ledger:
            for name, mark in ledger.wishes().items():
                if self._is_running(name):
                    continue  # its end is news
                campaign, rest = self._looked(ledger, name, mark)
                due += [campaign] if campaign else []
                rests += [rest] if rest is not None else []
        return due, min(rests, default=None)

    def _looked(self, ledger: Ledger, name: str, mark: bytes) -> tuple[CampaignRecord | None, float | None]:
        now, campaign = time.time(), ledger.campaign(name)
        if abs(now - taken_at(mark)) < BEGINNING:
            return None, SOON  # another page begins it
        step = next_step(ledger, campaign, now) if campaign else NOTHING
        if step.next is Next.NOTHING:
            ledger.forget_wish(name, mark)
            return None, None
        if step.next is Next.LATER and step.due:
            return None, min(max(step.due - now, 0.0), SELDOM)
        if step.next is not Next.NOW or time.monotonic() < self._not_before.get(name, 0.0):
            return None, SOON
        mine = turn(now)
        if not ledger.take_turn(name, mark, mine):
            return None, SOON
        self._marks[name] = mine
        return campaign, None

    def _is_running(self, name: str) -> bool:
        running = self._running.get(name)
        return running is not None and running.code is None

    def _ledger(self) -> Ledger:
        return self._means.ledger(self._means.settings())

    # -- pausing

    async def pause(self, name: str) -> None:
        """Have it paused, whoever sends it, and do not go on by itself."""
        async with self._starting:  # either it is running by then, and hears it, or it does not begin any more
            await run_in_threadpool(self._ask_to_pause, name)
        self._do(self._insist(name))
        self._news.set()

    def _ask_to_pause(self, name: str) -> None:
        with self._ledger() as ledger:
            if campaign := ledger.campaign(name):
                pause_it(ledger, campaign)

    async def _insist(self, name: str) -> None:
        """Until the command of this page has ended."""
        while self._is_running(name):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._running[name].process.wait(), INSIST)
                return
            with contextlib.suppress(MailerError):
                await run_in_threadpool(self._ask_to_pause, name)

    async def shut(self) -> None:
        """Ask what the page sends to pause, and wait for it a little. It would go on by itself otherwise."""
        if self._keeping:
            self._keeping.cancel()
        ours = {name: one for name, one in self._running.items() if one.code is None}
        for name in ours:
            await self.pause(name)
        waits = [asyncio.ensure_future(one.process.wait()) for one in ours.values()]
        if waits:
            await asyncio.wait(waits, timeout=PAUSE_SECONDS)
        if self._tasks:  # what the commands came to is noted first: a pause forgets the wish
            await asyncio.wait(self._tasks, timeout=NOTED_SECONDS)
        await run_in_threadpool(self._keep_in_mind, list(ours))
        for task in list(self._tasks):
            task.cancel()

    def _keep_in_mind(self, names: Sequence[str]) -> None:
        """Where nobody is left but those to be tried again, the next page goes on. Whoever was not tried yet waits for a person."""
        if not names:
            return
        with contextlib.suppress(MailerError), self._ledger() as ledger:
            for name in names:
                campaign = ledger.campaign(name)
                tally = ledger.tally(campaign) if campaign else None
                if tally and tally.deferred and tally.deferred == tally.work_left:
                    ledger.wish(name)


def go_on(draft: Draft, *options: str) -> list[str]:
    """The command that continues a campaign, with the options that it began with."""
    return ["send", "--yes", *options, *draft.arguments()]


def wished(ledger: Ledger, now: float) -> list[str]:
    """The campaigns that a page over this ledger goes on with by itself."""
    found = ((name, ledger.campaign(name)) for name in ledger.wishes())
    return [name for name, campaign in found if campaign and next_step(ledger, campaign, now).next is not Next.NOTHING]
