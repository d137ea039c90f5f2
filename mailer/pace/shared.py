"""The same rule for many senders: the places of a quota are kept by one lender, a database, and leased from it.

A place is leased before a transaction may start, and given back with the time of its reply; `seconds` after that it is free
again. The lender knows when, so it leases a place ahead of that time, and whoever has it waits. So the proof in `pace` holds
word for word, over all senders: a message takes its place from before its start until `seconds` after its reply.

Times of places are by the lender's clock. Of it only bounds are known (`reading.py`): a start counts by the earlier one and a reply by
the later one, so that no delay on the way to the lender lets anybody start too soon.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from mailer.destination import limited_by, provider
from mailer.errors import LedgerError
from mailer.model import Ask, Lender, Place, PlaceKey, Quota, Return
from mailer.pace.domains import EACH, REMEMBERED
from mailer.pace.places import DRIFT
from mailer.pace.reading import UNREAD, Reading
from mailer.pace.slot import NO_LIMIT, Slot

TOGETHER = 10
"""Places that are leased beyond those that somebody waits for, at most, of a quota that lets so many pass in SOON."""

SOON = 0.05

IDLE_SECONDS = 1.0
"""What is leased beyond need and wanted by nobody for so long is given back."""

NEWS_SECONDS = 0.2
"""A reply is told to the lender after so many seconds at most."""

PATIENCE = (0.005, 0.01, 0.02, 0.05, 0.1, 0.25)
"""Seconds between two questions while all places are in use."""

GRACE = 0.25
"""Whoever was told that a domain may go on now, and has to wait for longer than this, tries another domain first."""

WORTH = 0.001
"""Part of a window from which on a lead is worth it: so much more of the quota is used."""

LONGEST_LEAD = 0.1
LONGEST_LED = 60
"""Seconds: a lead is no longer than that, since it hears no stop, and none is given for windows of a minute and more."""

PROOF_SECONDS = 1.0
"""While places are leased, the lender is spoken to this often: whose session has died has no places any more."""

Places = tuple[Place, ...]


class Purse:
    """The places of quotas that are always wanted together: who waits for them, and what is at hand for whoever comes next."""

    def __init__(self, quotas: Sequence[Quota], *, account: str = "", domain: str = "") -> None:
        # of two with one window only the smaller one says anything
        tight = {quota.seconds: quota for quota in sorted(quotas, key=lambda quota: -quota.count)}.values()
        self.quotas = {
            PlaceKey(account, domain, quota.count, quota.seconds, quota.seconds * (1 + DRIFT)): quota for quota in tight
        }
        self.keys = tuple(self.quotas)
        self.spare: deque[Places] = deque()
        self.waiting: deque[asyncio.Future[Places]] = deque()
        self.beyond = min(TOGETHER, max((int(quota.count / quota.seconds * SOON) for quota in quotas), default=0))
        self.next_free = -math.inf
        self.wanted_at = -math.inf
        self.tries = 0

    def want(self, now: float) -> int:
        """How many to ask for: several at a time, since each question is a commit of the lender's."""
        beyond = 0 if self.is_idle(now) else self.beyond
        left = len(self.spare) - len(self.waiting)
        return 0 if left >= 0 and left * 2 >= beyond else beyond - left

    def is_idle(self, now: float) -> bool:
        return not self.waiting and now - self.wanted_at > IDLE_SECONDS

    def hand_out(self) -> None:
        """Give what is at hand to those who wait, in the order in which they came."""
        while self.waiting and self.spare:
            waiter = self.waiting.popleft()
            if not waiter.done():
                waiter.set_result(self.spare.popleft())

    def quota_of(self, places: Places) -> Quota:
        """The one that holds these places back longest."""
        return self.quotas[max(places, key=lambda place: place.free_at).key]


def free_at(places: Places) -> float:
    return max(place.free_at for place in places)


class SharedPace:
    """The quotas of one account and of destination domains, shared with other senders. Used as `Pace` is.

    `account` names the account to all who share it. Enter it before the first reservation; one event loop only.
    Whoever waits when the lender fails gets its LedgerError.
    """

    def __init__(
        self,
        lender: Lender,
        account: str,
        quotas: Sequence[Quota],
        domains: Mapping[str, Sequence[Quota]] | None = None,
        *,
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.wall = wall
        self._lender = lender
        self._account = Purse(quotas, account=account)
        self._rates = {key.lower().strip("."): tuple(rates) for key, rates in (domains or {}).items()}
        self._purses: dict[str, Purse] = {}
        self._looked_up: dict[str, Purse | None] = {}
        self._active: set[Purse] = set()
        self._closing = False
        self._returns: list[Return] = []
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._failure: BaseException | None = None
        self._held: tuple[Quota, float] | None = None
        self._told_at = -math.inf
        self._leased = 0
        self._reading = UNREAD
        self.unlimited = not (quotas or self._rates)
        """Whether there are no quotas at all, so that nobody ever waits."""
        every = [*quotas, *(quota for rates in self._rates.values() for quota in rates)]
        self.longest_window = max((quota.seconds for quota in every), default=0)

    async def __aenter__(self) -> Self:
        if not self.unlimited:
            self._serving = asyncio.ensure_future(self._serve())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give everything back. What cannot be told any more counts as that of a sender that died."""
        self.stop()
        if self._serving:
            self._closing = True
            self._news.set()
            await self._serving
            for purse in self._active:
                self._put_away(purse)
            if self._failure is None and self._returns:
                with contextlib.suppress(LedgerError):
                    await self._lender.exchange((), self._returns, self.clock)
            await self._lender.close()

    # -- for whoever sends

    def next_start(self, domain: str) -> float | None:
        """The earliest start by `clock`, as far as is known here. None: only the lender can tell."""
        now = self.clock()
        found = [now]
        for purse in self._needed(domain):
            if not purse.spare:
                return None
            found.append(self._reading.surely(free_at(purse.spare[0])))
        return max(found)

    def own_start(self, domain: str) -> float:
        """As `next_start`, of the domain's own quotas only and as it was heard last; minus infinity without any."""
        purse = self._purse(domain)
        if purse is None:
            return -math.inf
        return self._reading.surely(free_at(purse.spare[0])) if purse.spare else purse.next_free

    def waiting_for(self, domain: str) -> tuple[Quota, float] | None:  # noqa: ARG002 - as Pace asks
        """The quota that holds somebody back who waits, and until when (Unix time, at the earliest), or None."""
        if self._held and self._held[1] > self.wall():
            return self._held
        return None

    def try_reserve(self, domain: str) -> Slot | None:
        """A lease if a transaction to a domain may start this instant with what is at hand; else None."""
        if self._stopping.is_set():
            return None
        now = self.clock()
        needed = self._needed(domain)
        for purse in needed:
            self._want(purse, now)
        ready = all(
            purse.spare and not purse.waiting and self._reading.surely(free_at(purse.spare[0])) <= now
            for purse in needed
        )
        if not ready:
            self._news.set()
            return None
        return self._lease([purse.spare.popleft() for purse in needed])

    async def reserve(self, domain: str, lead: float = 0.0) -> Slot | None:
        """Wait until a transaction to a domain may start. None after `stop`, or if `own_start` tells another time meanwhile.

        It comes up to `lead` seconds before the slot's `starts_at`, where that is worth it: between the time at which a place is
        free and the reply nobody else can use it. Raises LedgerError if the lender fails.
        """
        taken: list[Places] = []
        starts_at = -math.inf
        try:
            # the domain's own first: who waits for those must not keep the account's from the others
            for purse in self._needed(domain):
                free = await self._get(purse, taken, lead)
                if free is None:
                    self._back(taken)
                    return None
                starts_at = max(starts_at, free)
        except BaseException:
            self._back(taken)
            raise
        return self._lease(taken, starts_at)

    def stop(self) -> None:
        """Send everybody who waits away, and whoever comes later; leases given out stay valid."""
        self._stopping.set()
        for purse in self._active:
            for waiter in purse.waiting:
                waiter.cancel()
            purse.waiting.clear()

    def finish(self, places: Places, answered_at: float) -> None:
        """A transaction was answered; for its slot."""
        at = self._reading.latest(answered_at)
        self._returns += [Return(place, at + place.key.span) for place in places]

    def take_back(self, places: Places) -> None:
        """A slot was not used; for that slot."""
        self._returns += [Return(place, None) for place in places]

    # -- who waits

    def _lease(self, taken: Sequence[Places], starts_at: float = -math.inf) -> Slot:
        places = tuple(place for part in taken for place in part)
        return Slot(self, places, starts_at) if places else NO_LIMIT

    def _back(self, taken: Sequence[Places]) -> None:
        for places in taken:
            self.take_back(places)

    async def _get(self, purse: Purse, taken: list[Places], lead: float) -> float | None:
        """Get places, and wait for their time, or nearly: when it is. None if nobody is to wait for them any more."""
        promised = purse.next_free
        places = await self._places_of(purse)
        if places is None:
            return None
        taken.append(places)
        quota, starts = purse.quota_of(places), self._reading.surely(free_at(places))
        if purse is not self._account and promised <= self.clock() < starts - GRACE:
            # nobody knew that this domain must wait; now the others can go first
            purse.next_free = starts
            return None
        early = min(lead, LONGEST_LEAD) if quota.seconds < LONGEST_LED and lead > quota.seconds * WORTH else 0.0
        return starts if await self._wait_until(starts - early, quota) else None

    async def _places_of(self, purse: Purse) -> Places | None:
        if self._failure:
            raise self._failure
        if self._stopping.is_set():
            return None
        self._want(purse, self.clock())
        waiter: asyncio.Future[Places] = asyncio.get_running_loop().create_future()
        purse.waiting.append(waiter)
        purse.hand_out()
        if not waiter.done():
            self._news.set()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and not waiter.exception():
                self.take_back(waiter.result())
            if self._stopping.is_set():
                return None
            raise

    async def _wait_until(self, start: float, quota: Quota) -> bool:
        while (wait := start - self.clock()) > 0:
            self._held = quota, self.wall() + wait
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)
            if self._stopping.is_set():
                break
        if self._failure:
            # its places went with the lender's session: others may have them
            raise self._failure
        return not self._stopping.is_set()

    # -- the lender

    async def _serve(self) -> None:
        try:
            while not self._closing:
                self._news.clear()
                pause = await self._exchange()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), pause)
        except Exception as error:  # noqa: BLE001 - everybody who waits is to hear it
            self._failure = error
            self._stopping.set()
            for purse in self._active:
                for waiter in purse.waiting:
                    if not waiter.done():
                        waiter.set_exception(error)
                purse.waiting.clear()

    async def _exchange(self) -> float:
        """Ask for what is wanted and tell what has ended. Returns how long to wait for news before the next time."""
        now = self.clock()
        for purse in [purse for purse in self._active if purse.is_idle(now)]:
            self._active.discard(purse)
            self._put_away(purse)
        asking = [purse for purse in self._active if purse.want(now)]
        quiet = now - self._told_at
        if (
            asking
            or (self._returns and (self._closing or quiet >= NEWS_SECONDS))
            or (self._leased and quiet >= PROOF_SECONDS)
        ):
            returns, self._returns, self._told_at = self._returns, [], now
            self._leased -= len(returns)
            asks = [Ask(purse.keys, purse.want(now)) for purse in asking]
            leased = await self._lender.exchange(asks, returns, self.clock)
            self._reading = Reading.of(leased.look).narrowed(self._reading)
            for purse, given, next_free in zip(asking, leased.places, leased.next_free, strict=True):
                self._take(purse, given, next_free)
        starving = [PATIENCE[min(purse.tries, len(PATIENCE)) - 1] for purse in asking if purse.waiting]
        until_told = max(0.0, self._told_at + NEWS_SECONDS - self.clock()) if self._returns else NEWS_SECONDS
        return min((until_told, *starving))

    def _take(self, purse: Purse, given: list[Places], next_free: float) -> None:
        self._leased += sum(map(len, given))
        purse.spare.extend(given)
        purse.hand_out()
        purse.tries = 0 if given else purse.tries + 1
        if purse.spare:
            purse.next_free = self._reading.surely(free_at(purse.spare[0]))
        elif next_free < math.inf:
            purse.next_free = self._reading.surely(next_free)
        else:
            # in use, all of them: nobody knows until when
            purse.next_free = self.clock() + PATIENCE[-1]

    def _put_away(self, purse: Purse) -> None:
        self._back(purse.spare)
        purse.spare.clear()

    def _needed(self, domain: str) -> list[Purse]:
        own = self._purse(domain)
        return [purse for purse in (own, self._account) if purse and purse.keys]

    def _want(self, purse: Purse, now: float) -> None:
        purse.wanted_at = now
        self._active.add(purse)

    def _purse(self, domain: str) -> Purse | None:
        """The places of a domain's own quotas; None for a domain without any."""
        if domain not in self._looked_up:
            if len(self._looked_up) >= REMEMBERED:
                self._forget()
            name = domain.lower().strip(".")
            key = limited_by(name, self._rates)
            rates = self._rates[key] if key else self._rates.get(EACH, ())
            self._looked_up[domain] = self._of_scope(key or provider(name), rates) if rates else None
        return self._looked_up[domain]

    def _of_scope(self, scope: str, rates: Sequence[Quota]) -> Purse:
        if scope not in self._purses:
            self._purses[scope] = Purse(rates, domain=scope)
        return self._purses[scope]

    def _forget(self) -> None:
        """Drop those of whom nothing is wanted, or the domains of a million people would fill the memory."""
        now = self.clock()
        self._looked_up.clear()
        self._purses = {
            scope: purse for scope, purse in self._purses.items() if purse in self._active or purse.next_free > now
        }
