"""Who may start now, and who waits for how long."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Self

from mailer.model import Quota
from mailer.pace.domains import Domains
from mailer.pace.places import Group, Window, free_at, reach, then
from mailer.pace.slot import NO_LIMIT, Slot


class Pace:
    """The quotas of one account and of destination domains, kept at once.

    A key of `domains` stands for the domain and everything below it that has no key of its own, in any case. The key
    EACH gives every other domain the same quotas, each for itself.
    `clock` must never go back (seconds); `wall` is Unix time. One event loop only; no thread safety.
    """

    def __init__(
        self,
        account: Sequence[Quota],
        domains: Mapping[str, Sequence[Quota]] | None = None,
        *,
        # finer than time.monotonic() on Windows, whose 16 ms would be missing from each window
        clock: Callable[[], float] = time.perf_counter,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.wall = wall
        self._shared = tuple(Window(quota) for quota in account)
        self._domains = Domains(self._shared, domains or {})
        self.account_reach = reach(account)
        """How many seconds back, and to how many of the newest messages, the quotas of the account look."""
        self.domain_reach = reach(self._domains.quotas)
        """The same of the quotas of domains; so many of each domain."""
        self.unlimited = not (account or self._domains.quotas)
        """Whether there are no quotas at all, so that nobody ever waits."""
        self._queues: dict[Group, deque[tuple[int, asyncio.Future[Slot | None]]]] = {}
        # who may go on as far as their own quotas are concerned: ticket of who is first, stamp, group
        self._ready: list[tuple[int, int, Group]] = []
        # who may not yet: when, stamp, group
        self._later: list[tuple[float, int, Group]] = []
        self._numbers = itertools.count(1)
        self._rings_at = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing: all there is to it is in the ledger's attempts."""

    @property
    def longest_window(self) -> int:
        """Seconds of history that matter to `preload`; 0 without quotas."""
        return max(self.account_reach[0], self.domain_reach[0])

    def preload(
        self,
        history: Iterable[tuple[float, str]] = (),
        elsewhere: Iterable[tuple[float, str]] = (),
        *,
        of_account: Iterable[float] = (),
    ) -> None:
        """Take over what was sent before, as (Unix time of the reply, domain) in any order.

        A time in the future counts as now: the wall clock was set back since. Without a domain it counts for every one.
        `elsewhere` counts for its domain only, e.g. since it went over other accounts; `of_account` for the account only.
        """
        # The wall clock first: what passes between the two then makes the history younger, never older.
        today = self.wall()
        now = self.clock()
        ours = [(then(at, today, now), domain) for at, domain in history]
        alone = [then(at, today, now) for at in of_account]
        for window in self._shared:
            window.add([*alone, *(at for at, _ in ours)])
        self._domains.add([*ours, *((then(at, today, now), domain) for at, domain in elsewhere)], now)

    def next_start(self, domain: str) -> float | None:
        """The earliest start by `clock`, not counting who waits already. None: a transaction must end first."""
        now = self.clock()
        if self.unlimited:
            return now
        start = free_at(self._domains.group(domain, now).windows)
        return None if start == math.inf else max(start, now)

    def own_start(self, domain: str) -> float:
        """As `next_start`, of the domain's own quotas only: minus infinity without any, infinity if all are in use."""
        return -math.inf if self.unlimited else free_at(self._domains.group(domain, self.clock()).own)

    def waiting_for(self, domain: str) -> tuple[Quota, float] | None:
        """The quota that holds a domain back and until when (Unix time, at the earliest), or None if nothing does."""
        now = self.clock()
        window = max(self._domains.group(domain, now).windows, key=Window.free_at, default=None)
        start = window.free_at() if window else now
        if window is None or start <= now:
            return None
        return window.quota, self.wall() + (window.span if start == math.inf else start - now)

    def try_reserve(self, domain: str) -> Slot | None:
        """A slot if a transaction to a domain may start this instant and nobody waits who would go first; else None.

        None after `stop`.
        """
        if self._stopped:
            return None
        if self.unlimited:
            return NO_LIMIT
        now = self.clock()
        group = self._domains.group(domain, now)
        if self._rings_at <= now:
            # somebody's time has come, though the timer has not rung yet
            self._serve(now)
        if group.awaited:
            return None
        return self._take(group) if free_at(group.windows) <= now else None

    async def reserve(self, domain: str, lead: float = 0.0) -> Slot | None:  # noqa: ARG002 - as SharedPace has it
        """Wait until a transaction to a domain may start. None after `stop`. It never comes before.

        Who came first goes first, except that nobody waits for a domain other than their own.
        """
        slot = self.try_reserve(domain)
        if slot or self._stopped:
            return slot
        now = self.clock()
        group = self._domains.group(domain, now)
        waiter: asyncio.Future[Slot | None] = asyncio.get_running_loop().create_future()
        if not group.awaited:
            group.awaited = True
            self._queues[group] = deque()
        queue = self._queues[group]
        queue.append((next(self._numbers), waiter))
        if len(queue) == 1:
            self._file(group, now)
            self._serve(now)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and (slot := waiter.result()):
                slot.cancel()
            self._first(group)
            raise

    def stop(self) -> None:
        """Send everybody who waits away, and whoever comes later; slots given out stay valid."""
        self._stopped = True
        for group in list(self._queues):
            while first := self._first(group):
                first[1].set_result(None)
        self._ready.clear()
        self._later.clear()
        self._ring_at(math.inf, 0.0)

    def finish(self, group: Group, answered_at: float) -> None:
        """A transaction of a group was answered; for its slot."""
        now = self.clock()
        for window in group.windows:
            window.finish(answered_at)
        self.wake(group, now, sooner=False)

    def take_back(self, group: Group) -> None:
        """A slot of a group was not used; for that slot."""
        for window in group.windows:
            window.under_way -= 1
        self.wake(group, self.clock(), sooner=True)

    def wake(self, group: Group, now: float, *, sooner: bool) -> None:
        """Let those start who may, since a transaction of a group has ended.

        A reply only tells when a place will be free of which nobody knew; it frees none `sooner`, as a slot unused does.
        """
        if self._queues:
            filed = group.awaited and free_at(group.own) != group.due
            if filed:
                self._file(group, now)
            if sooner or filed or self._rings_at == math.inf:
                self._serve(now)

    def _file(self, group: Group, now: float) -> None:
        """Enter a group in which somebody waits. While all its places are under way it is nowhere, until one ends."""
        if first := self._first(group):
            group.due = free_at(group.own)
            # an entry with an older number is void
            group.stamp = next(self._numbers)
            if group.due <= now:
                heappush(self._ready, (first[0], group.stamp, group))
            elif group.due < math.inf:
                heappush(self._later, (group.due, group.stamp, group))

    def _serve(self, now: float) -> None:
        """Give slots to those who may start now, in the order in which they came, and set one timer for the next."""
        while self._later and self._later[0][0] <= now:
            _, stamp, group = heappop(self._later)
            if stamp == group.stamp:
                self._file(group, now)
        start = free_at(self._shared)
        while self._ready and start <= now:
            ticket, stamp, group = heappop(self._ready)
            if stamp == group.stamp and (first := self._first(group)):
                if first[0] == ticket:
                    self._queues[group].popleft()
                    first[1].set_result(self._take(group))
                    start = free_at(self._shared)
                # whoever is first now has another ticket
                self._file(group, now)
        if self._ready:
            self._ring_at(start, now)
        else:
            self._ring_at(max(start, self._later[0][0]) if self._later else math.inf, now)

    def _ring_at(self, at: float, now: float) -> None:
        if at != self._rings_at:
            if self._timer:
                self._timer.cancel()
            self._rings_at = at
            self._timer = asyncio.get_running_loop().call_later(at - now, self._ring) if at < math.inf else None

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = math.inf
        self._serve(self.clock())

    def _first(self, group: Group) -> tuple[int, asyncio.Future[Slot | None]] | None:
        """Who has waited longest in a group; those who gave up are forgotten."""
        queue = self._queues.get(group)
        while queue and queue[0][1].done():
            queue.popleft()
        if queue:
            return queue[0]
        self._queues.pop(group, None)
        group.awaited = False
        return None

    def _take(self, group: Group) -> Slot:
        if not group.windows:
            return NO_LIMIT
        for window in group.windows:
            window.under_way += 1
        return Slot(self, group)
